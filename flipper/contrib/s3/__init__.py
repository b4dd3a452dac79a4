# SPDX-License-Identifier: Apache-2.0
"""A store for an S3 bucket, in which each flag is an object.

`keys` names the objects, `replies` refuses incomplete replies, `connections` renews a
client's after a fork.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from ...arguments import check_count
from ...contracts.atomic import ABSENT, ANY
from ...contracts.document import DocumentFeatureFlagStore
from ...exceptions import StoreUnavailableError
from ...runtime.fork import detect_fork, renew_after_fork
from ..interface import AbstractFeatureFlagStore as AbstractFeatureFlagStore
from ..interface import FlagDoesNotExistError as FlagDoesNotExistError
from ..storage import FeatureFlagStoreItem as FeatureFlagStoreItem
from ..storage import FeatureFlagStoreMeta as FeatureFlagStoreMeta
from ..util.date import now
from ..util.iter import batchify
from .connections import renew_connections
from .keys import Keys
from .replies import check_page_complete, incomplete_object, is_complete_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

logger = logging.getLogger(__name__)

DEFAULT_PAGE_SIZE: Final = 1000

# How many objects `list` fetches at a time, and in how many threads: fewer than the ten
# connections that a client keeps by default.
_BATCH_SIZE: Final = 80
_THREADS: Final = 8
# In bytes. A larger object in the bucket is not a flag, and is not fetched.
_LARGEST_OBJECT: Final = 16 * 1024 * 1024

# The codes of S3 for a conditional write whose condition is not met.
_CONDITION_FAILED: Final = frozenset(
    {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"}
)


class S3FeatureFlagStore(DocumentFeatureFlagStore):
    """Keeps flags in a bucket, under their names at its root or below a prefix.

    Several stores share a bucket if each has a prefix of its own. A store without a
    prefix takes every object of the bucket for its own.

    Safe for threads, as boto3's clients are. Errors of boto3 are raised unchanged, also
    if it is unknown whether a write took effect. A reply to a read that is incomplete,
    or not one of S3's, raises a `StoreUnavailableError` if boto3 does not notice it.

    Args:
        client: an S3 client of boto3.
        bucket_name: a bucket that exists.
        page_size: how many names one request of `list` gets, 1 or more; S3 gives 1000
            at most.
        prefix: what the keys of the flags begin with, before a slash. In the name of a
            flag, "/" and "%" are then encoded as "%2F" and "%25".

    Raises:
        InvalidArgumentError: the page size is not an integer, or less than 1, or the
            prefix is not text, or too long.

    Attributes:
        atomic: whether writes are conditional, so that none undoes another. That needs
            boto3 1.35.69 or newer, and a server that supports If-Match and
            If-None-Match, as AWS does. With an older boto3 this is false from the
            start. It becomes false when a server reports that it does not support them;
            a server that silently ignores them goes unnoticed. While it is false,
            threads of this process do not undo each other's writes, but other processes
            may.
    """

    def __init__(
        self,
        client: Any,
        bucket_name: str,
        page_size: int = DEFAULT_PAGE_SIZE,
        *,
        prefix: str = "",
    ) -> None:
        check_count("page_size", page_size, "lists nothing")
        super().__init__()
        self._client = client
        self._bucket_name = bucket_name
        self._page_size = page_size
        self._keys = Keys(prefix)
        # The results of `_read` for the last complete list, by feature name.
        self._listed: dict[str, tuple[bytes, Any]] = {}
        self.atomic = _supports_conditional_writes(client)
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Use connections of this process only."""
        renew_connections(self._client)

    @property
    def outage_errors(self) -> tuple[type[Exception], ...]:
        """The errors of a server that does not answer, or not completely."""
        try:
            from botocore import exceptions
            from botocore.parsers import ResponseParserError
            from urllib3.exceptions import ProtocolError
        except ImportError:  # the client is a double
            return (StoreUnavailableError,)
        return (
            exceptions.ConnectionError,
            exceptions.HTTPClientError,
            exceptions.IncompleteReadError,
            ProtocolError,  # which botocore lets pass if the reply is an error
            ResponseParserError,
            StoreUnavailableError,
        )

    def _read(self, feature_name: str) -> tuple[bytes, Any] | None:
        detect_fork()
        if self._keys.is_too_long(feature_name):
            return None
        key = self._keys.key_of(feature_name)
        try:
            found = self._client.get_object(Bucket=self._bucket_name, Key=key)
        except self._client.exceptions.NoSuchKey:
            return None
        except ValueError as error:  # of a header that was cut
            raise incomplete_object(feature_name) from error
        if not is_complete_object(found):
            raise incomplete_object(feature_name)
        document, etag = found["Body"].read(), found.get("ETag")
        return document, document if etag is None else etag  # None in test doubles

    def _replace(self, feature_name: str, document: bytes, expected: Any) -> bool:
        if expected is ANY:
            self._put(feature_name, document)
            return True
        if not self.atomic:
            return self._compare_and_put(self._client, feature_name, document, expected)
        condition = (
            {"IfNoneMatch": "*"} if expected is ABSENT else {"IfMatch": expected}
        )
        try:
            self._put(feature_name, document, **condition)
        except self._client.exceptions.ClientError as error:
            answer = error.response["ResponseMetadata"]
            if answer["HTTPStatusCode"] == HTTPStatus.NOT_IMPLEMENTED:
                self.atomic = False
                logger.warning(
                    "The S3 server does not support conditional writes: another "
                    "process may undo writes of this one",
                )
                return self._compare_and_put(
                    self._client, feature_name, document, expected
                )
            if error.response["Error"]["Code"] not in _CONDITION_FAILED:
                raise
            if not answer.get("RetryAttempts"):
                return False
            # Race: boto3 has sent the request again, because a reply was lost. S3 may
            # have carried out the first request, and refused only its repetition. Then
            # another try would apply the change twice.
            written = self._read(feature_name)
            if written is None or written[0] != document:
                raise
        return True

    def _put(self, feature_name: str, document: bytes, **condition: str) -> None:
        detect_fork()
        self._keys.check_length(feature_name)
        key = self._keys.key_of(feature_name)
        self._client.put_object(
            Bucket=self._bucket_name, Key=key, Body=document, **condition
        )

    def _remove(self, feature_name: str) -> None:
        detect_fork()
        if not self._keys.is_too_long(feature_name):
            key = self._keys.key_of(feature_name)
            self._client.delete_object(Bucket=self._bucket_name, Key=key)

    def _documents(self, offset: int, limit: int | None) -> Iterator[tuple[str, bytes]]:
        end = None if limit is None else offset + limit
        listed: dict[str, tuple[bytes, Any]] = {}
        for batch in batchify(islice(self._entries(), offset, end), _BATCH_SIZE):
            for feature_name, found in self._fetch(batch):
                if found is not None:  # deleted since it was listed
                    listed[feature_name] = found
                    yield feature_name, found[0]
        if offset == 0 and limit is None:
            self._listed = listed

    def _fetch(
        self, entries: Sequence[tuple[str, Any]]
    ) -> Iterator[tuple[str, tuple[bytes, Any] | None]]:
        """Read the objects, except those whose ETag is as it was in the last list."""
        known = self._listed
        found: dict[str, tuple[bytes, Any] | None] = {}
        changed = []
        for feature_name, etag in entries:
            last = known.get(feature_name)
            if last is not None and etag is not None and last[1] == etag:
                found[feature_name] = last
            else:
                changed.append(feature_name)
        if changed:
            # The threads end before a flag is returned, so that none is left if the
            # caller does not ask for the next one.
            with ThreadPoolExecutor(_THREADS, "flipper-s3") as threads:
                found.update(
                    zip(changed, threads.map(self._read, changed), strict=True)
                )
        return ((feature_name, found[feature_name]) for feature_name, _ in entries)

    def _now(self) -> int:
        return now()

    def _entries(self) -> Iterator[tuple[str, Any]]:
        """Yield the names and ETags of all objects that may be flags."""
        detect_fork()
        size = {"PaginationConfig": {"PageSize": self._page_size}}
        if (
            self._page_size == DEFAULT_PAGE_SIZE
        ):  # the default of S3; doubles may accept no other
            size = {}
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket_name, **self._keys.listing, **size
        )
        for page in pages:
            check_page_complete(page)
            for entry in page.get("Contents", ()):
                name = self._keys.name_of(entry["Key"])
                if name is None:
                    continue
                if 0 < entry.get("Size", 1) <= _LARGEST_OBJECT:  # doubles have no size
                    yield name, entry.get("ETag")


def _supports_conditional_writes(client: Any) -> bool:
    try:
        arguments = client.meta.service_model.operation_model("PutObject").input_shape
    except AttributeError:  # a test double
        return False
    return {"IfMatch", "IfNoneMatch"} <= set(arguments.members)
