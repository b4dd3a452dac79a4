# SPDX-License-Identifier: Apache-2.0
"""Flags in Redis, each under a key of its own."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from ..exceptions import InvalidArgumentError, InvalidFlagDataError
from .atomic import ABSENT, ANY
from .document import DocumentFeatureFlagStore
from .interface import AbstractFeatureFlagStore as AbstractFeatureFlagStore
from .interface import FlagDoesNotExistError as FlagDoesNotExistError
from .storage import FeatureFlagStoreItem as FeatureFlagStoreItem
from .storage import FeatureFlagStoreMeta as FeatureFlagStoreMeta
from .util.date import now
from .util.iter import batchify

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from redis import Redis
    from redis.cluster import RedisCluster

DEFAULT_LIST_METHOD_BATCH_SIZE = 100

# How many keys the server looks at for one SCAN, at least: it walks through all keys of
# the database, and each walk of its own default of 10 would be a round trip.
_SCANNED_AT_ONCE: Final = 1000
# Gives replies in bytes, also by clients that decode: keys and values that are no text
# would be errors there. Each of redis-py's commands takes it.
_IN_BYTES: Final[dict[str, Any]] = {"NEVER_DECODE": []}
_LITERALLY: Final = str.maketrans({sign: f"\\{sign}" for sign in "*?[]\\"})


class RedisFeatureFlagStore(DocumentFeatureFlagStore):
    """Keeps flags in Redis, each as a string that does not expire.

    Writes are atomic, by WATCH and not by scripts. Safe for threads and forks, as the
    clients of redis-py are; their errors come out as they are. A write whose reply is
    lost raises, unless the flag can be seen to be as written.

    Args:
        redis: a client of redis-py: `Redis`, from a URL or a `Sentinel` too, or
            `RedisCluster`; whether it decodes responses does not matter.
        base_key: flags are kept under the keys `<base_key>/<feature_name>`.
        list_method_batch_size: how many flags `list` reads in one round trip, 1 or
            more.

    Raises:
        InvalidArgumentError: the batch size is below 1.
    """

    _documents_are_tokens = True

    def __init__(
        self,
        redis: Redis | RedisCluster,
        base_key: str = "features",
        list_method_batch_size: int = DEFAULT_LIST_METHOD_BATCH_SIZE,
    ) -> None:
        if list_method_batch_size < 1:
            raise InvalidArgumentError(
                f"list_method_batch_size={list_method_batch_size!r} reads nothing; use "
                f"1 or a larger integer",
                value=list_method_batch_size,
            )
        super().__init__()
        self._redis: Any = redis
        self.base_key = base_key
        self.list_method_batch_size = list_method_batch_size

    @property
    def away_errors(self) -> tuple[type[Exception], ...]:
        """The errors of redis-py by which it tells that nobody answers."""
        from redis import exceptions

        return (
            exceptions.ConnectionError,
            exceptions.TimeoutError,
            exceptions.ClusterDownError,
            exceptions.RedisClusterException,
        )

    def _read(self, feature_name: str) -> tuple[bytes, Any] | None:
        try:
            found = self._redis.get(self._key(feature_name))
        except UnicodeDecodeError as error:  # by a client that decodes
            raise InvalidFlagDataError.of(error, feature_name=feature_name) from error
        if not found:
            return None
        if isinstance(found, str):
            found = self._redis.get_encoder().encode(found)
        return found, found

    def _replace(self, feature_name: str, document: bytes, expected: Any) -> bool:
        key = self._key(feature_name)
        if expected is ANY:
            self._redis.set(key, document)
            return True
        from redis.exceptions import AskError, WatchError

        handled = sys.exc_info()[1]
        with self._client_of(key).pipeline() as pipe:
            try:
                pipe.watch(key)
                # In lower case, or redis-py's client-side cache would answer it.
                found = pipe.execute_command("get", key, **_IN_BYTES)
                if (found or ABSENT) != expected:
                    return False
            except (AskError, WatchError):
                # The key is moving between the nodes of a cluster, or the connection is
                # lost: reading it again waits, connects, or tells.
                return False
            pipe.multi()
            pipe.set(key, document)
            try:
                pipe.execute()
            except AskError:
                return False
            except WatchError as error:
                # Race: another writer was faster, since the key is watched. redis-py
                # has the same error for a lost connection, while it handles that; and
                # then the write may have taken effect. Beginning again would apply the
                # change twice.
                lost = error.__context__
                if lost is None or lost is handled:
                    return False
                written = self._read(feature_name)
                if written is None or written[0] != document:
                    raise lost from None
        return True

    def _remove(self, feature_name: str) -> None:
        self._redis.delete(self._key(feature_name))

    def _documents(self, offset: int, limit: int | None) -> Iterator[tuple[str, bytes]]:
        keys = islice(self._keys(), offset, None if limit is None else offset + limit)
        for batch in batchify(keys, self.list_method_batch_size):
            documents = self._values([key for key, _ in batch])
            for (_, feature_name), document in zip(batch, documents, strict=True):
                if document:
                    yield feature_name, document

    def _now(self) -> int:
        return now()

    def _key(self, feature_name: str) -> str:
        return self.base_key + "/" + feature_name

    def _keys(self) -> Iterator[tuple[bytes, str]]:
        """Give the keys under the base key, each once, with the names in them."""
        prefix = self._key("")
        # The driver's C extension writes keys in UTF-8, even for a client that has
        # another encoding.
        encodings = ("utf-8", self._redis.get_encoder().encoding)
        seen = set()
        for key in self._redis.scan_iter(
            match=prefix.translate(_LITERALLY) + "*",
            count=max(self.list_method_batch_size, _SCANNED_AT_ONCE),
            **_IN_BYTES,
        ):
            if key in seen:
                continue
            seen.add(key)
            text = _decoded(key, encodings)
            if text is not None:
                yield key, text[len(prefix) :]

    def _values(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """Read strings in one round trip; what is no string is `None`."""
        if not self._is_cluster:
            return self._redis.execute_command(  # type: ignore[no-any-return]
                "MGET", *keys, keys=keys, **_IN_BYTES
            )
        # One MGET cannot go to several nodes, nor to several slots of one.
        pipe = self._redis.pipeline()
        for key in keys:
            pipe.execute_command("MGET", key, **_IN_BYTES)
        return [value for (value,) in pipe.execute()]

    @property
    def _is_cluster(self) -> bool:
        from redis.cluster import RedisCluster

        return isinstance(self._redis, RedisCluster)

    def _client_of(self, key: str) -> Any:
        """Return a client that can watch this key: in a cluster, one of its node."""
        if not self._is_cluster:
            return self._redis
        return self._redis.get_redis_connection(self._redis.get_node_from_key(key))


def _decoded(key: bytes, encodings: Sequence[str]) -> str | None:
    for encoding in encodings:
        try:
            return key.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None
