# SPDX-License-Identifier: Apache-2.0
"""Flags in an S3 bucket, each an object of its own."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from ..arguments import check_count
from ..exceptions import StoreUnavailableError
from .atomic import ABSENT, ANY
from .document import DocumentFeatureFlagStore
from .interface import AbstractFeatureFlagStore as AbstractFeatureFlagStore
from .interface import FlagDoesNotExistError as FlagDoesNotExistError
from .s3_connections import renew_connections
from .storage import FeatureFlagStoreItem as FeatureFlagStoreItem
from .storage import FeatureFlagStoreMeta as FeatureFlagStoreMeta
from .util.date import now
from .util.fork import detect_fork, renew_after_fork
from .util.iter import batchify

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

logger = logging.getLogger(__name__)

DEFAULT_PAGE_SIZE: Final = 1000

# What `list` fetches before it gives the first of them, and by how many threads: fewer
# than the ten connections that a client keeps by default.
_BATCH: Final = 80
_THREADS: Final = 8
# Bytes. A larger object in the same bucket is not fetched to see whether it is a flag.
_LARGEST: Final = 16 * 1024 * 1024

_LOST_RACE: Final = frozenset(
    {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"}
)


class S3FeatureFlagStore(DocumentFeatureFlagStore):
    """Keeps flags in a bucket, under their names at its root.

    Safe for threads, as boto3's clients are; their errors come out as they are. Where
    it cannot be told whether a write took effect, the client's error is raised. A reply
    to a question that is not complete, or not one of S3's, is a
    `StoreUnavailableError` where boto3 does not notice that itself.

    Args:
        client: an S3 client of boto3.
        bucket_name: a bucket that exists.
        page_size: how many names one request of `list` gives, 1 or more; S3 gives 1000
            at most.

    Raises:
        InvalidArgumentError: the page size is no integer from 1 on.

    Attributes:
        atomic: whether writes are conditional, so that none undoes another. That needs
            boto3 1.35.69 or newer, and a server that heeds If-Match and If-None-Match:
            AWS does. With an older boto3 it is false from the start, and becomes so
            when a server says that it does not know them; one that ignores them in
            silence goes unnoticed. Then the threads of this process do not undo each
            other's writes, but another process may.
    """

    def __init__(
        self, client: Any, bucket_name: str, page_size: int = DEFAULT_PAGE_SIZE
    ) -> None:
        check_count("page_size", page_size, "lists nothing")
        super().__init__()
        self._client = client
        self._bucket_name = bucket_name
        self._page_size = page_size
        # What the last complete list has fetched, by name, as `_read` gives it.
        self._listed: dict[str, tuple[bytes, Any]] = {}
        self.atomic = _puts_conditionally(client)
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Begin with connections of this process."""
        renew_connections(self._client)

    @property
    def away_errors(self) -> tuple[type[Exception], ...]:
        """The errors that tell that nobody answers, or that no reply comes whole."""
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
            ProtocolError,  # which botocore lets out where the reply is a refusal
            ResponseParserError,
            StoreUnavailableError,
        )

    def _read(self, feature_name: str) -> tuple[bytes, Any] | None:
        detect_fork()
        try:
            found = self._client.get_object(Bucket=self._bucket_name, Key=feature_name)
        except self._client.exceptions.NoSuchKey:
            return None
        except ValueError as error:  # of a header that has lost its end
            raise _incomplete_object(feature_name) from error
        if not _is_complete_object(found):
            raise _incomplete_object(feature_name)
        document, etag = found["Body"].read(), found.get("ETag")
        return document, document if etag is None else etag  # by a double

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
            if answer["HTTPStatusCode"] == 501:  # noqa: PLR2004  (not implemented)
                self.atomic = False
                logger.warning(
                    "The S3 server knows no conditional writes: another process may "
                    "undo what this one writes",
                )
                return self._compare_and_put(
                    self._client, feature_name, document, expected
                )
            if error.response["Error"]["Code"] not in _LOST_RACE:
                raise
            if not answer.get("RetryAttempts"):
                return False
            # Race: the client has sent the request more than once, because a reply was
            # lost. Then this may be the answer to our own write, and beginning again
            # would apply the change twice.
            written = self._read(feature_name)
            if written is None or written[0] != document:
                raise
        return True

    def _put(self, feature_name: str, document: bytes, **condition: str) -> None:
        detect_fork()
        self._client.put_object(
            Bucket=self._bucket_name, Key=feature_name, Body=document, **condition
        )

    def _remove(self, feature_name: str) -> None:
        detect_fork()
        self._client.delete_object(Bucket=self._bucket_name, Key=feature_name)

    def _documents(self, offset: int, limit: int | None) -> Iterator[tuple[str, bytes]]:
        end = None if limit is None else offset + limit
        listed: dict[str, tuple[bytes, Any]] = {}
        for batch in batchify(islice(self._entries(), offset, end), _BATCH):
            for feature_name, found in self._fetch(batch):
                if found is not None:  # deleted since it was listed
                    listed[feature_name] = found
                    yield feature_name, found[0]
        if offset == 0 and limit is None:
            self._listed = listed

    def _fetch(
        self, entries: Sequence[tuple[str, Any]]
    ) -> Iterator[tuple[str, tuple[bytes, Any] | None]]:
        """Read objects, but for those whose ETag says that they are what they were."""
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
            # No thread is there between two flags: who stops asking, stops all.
            with ThreadPoolExecutor(_THREADS, "flipper-s3") as threads:
                found.update(
                    zip(changed, threads.map(self._read, changed), strict=True)
                )
        return ((feature_name, found[feature_name]) for feature_name, _ in entries)

    def _now(self) -> int:
        return now()

    def _entries(self) -> Iterator[tuple[str, Any]]:
        """Give names and ETags."""
        detect_fork()
        size = {"PaginationConfig": {"PageSize": self._page_size}}
        if self._page_size == DEFAULT_PAGE_SIZE:  # S3's own; doubles may take no other
            size = {}
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket_name, **size
        )
        for page in pages:
            _refuse_incomplete_page(page)
            for entry in page.get("Contents", ()):
                if 0 < entry.get("Size", 1) <= _LARGEST:  # doubles tell none
                    yield entry["Key"], entry.get("ETag")


# botocore takes what is left of a reply when the connection ends between its headers,
# or before its body, for a reply that says nothing: an empty list, an empty object.
# What the following look for is in each reply of S3, and of other servers that speak
# its protocol. Test doubles leave out what nobody reads, but they have no headers.


def _refuse_incomplete_page(page: Any) -> None:
    """Refuse what is no whole page of a list.

    Raises:
        StoreUnavailableError: it is not.
    """
    if _headers_of(page) is None:
        return
    entries = len(page.get("Contents", ())) + len(page.get("CommonPrefixes", ()))
    if not page.keys() & {"Name", "IsTruncated", "KeyCount", "Contents"}:
        problem = "it has no field of a list"
    elif page.get("IsTruncated") and not page.get("NextContinuationToken"):
        problem = "it does not tell how to go on"
    elif page.get("KeyCount", 0) > entries:
        problem = f"{page['KeyCount']} names are announced, and {entries} are there"
    else:
        return
    raise StoreUnavailableError(
        f"The list of the flags in S3 is not complete: {problem}; is there a proxy in "
        f"between?"
    )


def _is_complete_object(found: Any) -> bool:
    """Tell whether a reply with an object is whole; its body is not read yet."""
    headers = _headers_of(found)
    if headers is None:
        return True
    # By one or the other botocore notices that a body was cut.
    is_chunked = headers.get("transfer-encoding", "").lower().endswith("chunked")
    has_end = is_chunked or "content-length" in headers
    return has_end and "etag" in headers


def _incomplete_object(feature_name: str) -> StoreUnavailableError:
    return StoreUnavailableError(
        f"The reply of S3 with feature {feature_name!r} is not complete; is there a "
        f"proxy in between?",
        feature_name=feature_name,
    )


def _headers_of(reply: Any) -> Any:
    """Return the HTTP headers of a reply, `None` of a test double's."""
    metadata = reply.get("ResponseMetadata") if isinstance(reply, dict) else None
    return metadata.get("HTTPHeaders") if isinstance(metadata, dict) else None


def _puts_conditionally(client: Any) -> bool:
    try:
        arguments = client.meta.service_model.operation_model("PutObject").input_shape
    except AttributeError:  # a double
        return False
    return {"IfMatch", "IfNoneMatch"} <= set(arguments.members)
