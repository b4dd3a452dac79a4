# SPDX-License-Identifier: Apache-2.0
"""Flags in Redis: the store keeps each flag under a key of its own.

`clients` knows single servers, clusters and doubles. `transaction` writes atomically.
`watch` listens to changes, on the connections of `tracking`.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from ...arguments import check_count
from ...contracts.atomic import ABSENT, ANY
from ...contracts.document import DocumentFeatureFlagStore
from ...contracts.watch import SupportsWatch, WatchRefusedError
from ...exceptions import InvalidFlagDataError, StoreUnavailableError
from ...runtime.containers import free
from ...runtime.fork import renew_after_fork, renew_locks
from ..interface import AbstractFeatureFlagStore as AbstractFeatureFlagStore
from ..interface import FlagDoesNotExistError as FlagDoesNotExistError
from ..storage import FeatureFlagStoreItem as FeatureFlagStoreItem
from ..storage import FeatureFlagStoreMeta as FeatureFlagStoreMeta
from ..util.date import now
from ..util.iter import batchify
from .clients import (
    client_of_key,
    decode_key,
    is_cluster,
    key_encodings,
    supports_transactions,
    values_from_double,
)
from .transaction import (
    pooled_connection,
    unwatch,
    watch_and_read,
    write_unless_changed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from redis import Redis
    from redis.cluster import RedisCluster

    from .watch import RedisWatch

DEFAULT_LIST_METHOD_BATCH_SIZE = 100

# The smallest number of keys that the server looks at for one SCAN command. A scan goes
# through all keys of the database; the server's default of 10 costs many round trips.
_SMALLEST_SCAN_COUNT: Final = 1000
# How many flags are read in one round trip if all of them are wanted. A server may be
# asked by many processes at once; it is busy with this for less than a millisecond.
_BATCH_SIZE_FOR_ALL: Final = 1000
# The option of redis-py's commands for replies in bytes. A client that decodes replies
# would raise errors for keys and values that are no text.
_IN_BYTES: Final[dict[str, Any]] = {"NEVER_DECODE": []}
_PATTERN_ESCAPES: Final = str.maketrans({sign: f"\\{sign}" for sign in "*?[]\\"})


class RedisFeatureFlagStore(SupportsWatch, DocumentFeatureFlagStore):
    """Keeps flags in Redis, each as a string that does not expire.

    Writes are atomic: they use WATCH, and no scripts. The store is as safe for threads
    and forks as the clients of redis-py are, and it raises their errors unchanged. A
    write whose reply is lost raises an error, unless the store can read that the flag
    is as written.

    Args:
        redis: a client of redis-py: `RedisCluster`, or `Redis`, also one made from a
            URL or by a `Sentinel`. The client may decode responses or not. A test
            double works if it has `get`, `set`, `delete`, and `scan_iter` or `keys`.
        base_key: the store keeps flags under the keys `<base_key>/<feature_name>`.
        list_method_batch_size: how many flags `list` reads in one round trip, 1 or
            more.

    Raises:
        InvalidArgumentError: the batch size is not an integer of 1 or more.
    """

    _documents_are_tokens = True

    def __init__(
        self,
        redis: Redis | RedisCluster,
        base_key: str = "features",
        list_method_batch_size: int = DEFAULT_LIST_METHOD_BATCH_SIZE,
    ) -> None:
        check_count("list_method_batch_size", list_method_batch_size, "reads nothing")
        super().__init__()
        self._redis: Any = redis
        self._atomic: bool | None = None
        self.base_key = base_key
        self.list_method_batch_size = list_method_batch_size
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Replace the locks of the client: a thread of the parent may hold them."""
        renew_locks(self._redis, "redis")

    @property
    def atomic(self) -> bool:
        """Whether writes are atomic. They are with all clients except test doubles.

        With a double, the threads of this process do not undo each other's writes, but
        another process may.
        """
        # `cached_property` of Python before 3.12 has a lock. Another thread may hold it
        # during a fork, and then the child waits for ever.
        if self._atomic is None:
            self._atomic = supports_transactions(self._redis)
        return self._atomic

    @property
    def outage_errors(self) -> tuple[type[Exception], ...]:
        """The errors that mean: no server answers, or its reply is incomplete."""
        try:
            from redis import exceptions
        except ImportError:  # the client is a double
            return (StoreUnavailableError,)
        return (
            StoreUnavailableError,
            exceptions.InvalidResponse,
            exceptions.ConnectionError,
            exceptions.TimeoutError,
            exceptions.ClusterDownError,
            exceptions.RedisClusterException,
        )

    def watch(self) -> RedisWatch:
        """Listen to changes of flags, on a separate connection.

        Raises:
            WatchRefusedError: Redis is older than 6.0, its user has no permission for
                this, or the client is a double.
            redis.RedisError: the server is down.
        """
        if not self.atomic:
            kind = type(self._redis).__name__
            raise WatchRefusedError(f"{kind} is a double, without a change signal")
        from .watch import RedisWatch

        return RedisWatch(self._redis, self._key(""))

    def _read(self, feature_name: str) -> tuple[bytes, Any] | None:
        try:
            found = self._redis.get(self._key(feature_name))
        except UnicodeDecodeError as error:  # the client decodes responses
            raise InvalidFlagDataError.from_error(
                error, feature_name=feature_name
            ) from error
        if not found:
            return None
        found = self._encoded(found)
        return found, found

    def _read_many(self, feature_names: Sequence[str]) -> dict[str, bytes]:
        if not feature_names:  # MGET needs a key
            return {}
        documents = self._values([self._key(name) for name in feature_names])
        pairs = zip(feature_names, documents, strict=True)
        return {name: document for name, document in pairs if document}

    def _replace(self, feature_name: str, document: bytes, expected: Any) -> bool:
        key = self._key(feature_name)
        if expected is ANY:
            self._redis.set(key, document)
            return True
        if not self.atomic:
            return self._compare_and_put(self._redis, feature_name, document, expected)
        from redis import exceptions

        try:
            pool = client_of_key(self._redis, key).connection_pool
            with pooled_connection(pool) as connection:
                if (watch_and_read(connection, key) or ABSENT) != expected:
                    unwatch(connection)
                    return False
                try:
                    return write_unless_changed(connection, key, document)
                except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
                    connection.disconnect()
                    lost = error
        except exceptions.AskError:
            # The key is moving between two nodes of a cluster. The caller reads it
            # again, which waits for the move or asks the other node.
            return False
        # The write may have taken effect. To repeat it could apply the change twice.
        now_stored = self._read(feature_name)
        if now_stored is None or now_stored[0] != document:
            raise lost
        return True

    def _remove(self, feature_name: str) -> None:
        # This does not return whether the flag existed. If a reply is lost, the client
        # repeats the command, and the second reply says that there was no flag.
        self._redis.delete(self._key(feature_name))

    def _documents(self, offset: int, limit: int | None) -> Iterator[tuple[str, bytes]]:
        keys = islice(self._keys(), offset, None if limit is None else offset + limit)
        return self._in_batches(keys, self.list_method_batch_size)

    def _all_documents(self) -> Iterator[tuple[str, bytes]]:
        size = max(self.list_method_batch_size, _BATCH_SIZE_FOR_ALL)
        return self._in_batches(self._keys(), size)

    def _in_batches(
        self, keys: Iterator[tuple[Any, str]], size: int
    ) -> Iterator[tuple[str, bytes]]:
        """Yield names and documents, `size` of them in each round trip."""
        for batch in batchify(keys, size):
            documents = self._values([key for key, _ in batch])
            for (_, feature_name), document in zip(batch, documents, strict=True):
                if document:
                    yield feature_name, document

    def _now(self) -> int:
        return now()

    def _key(self, feature_name: str) -> str:
        return self.base_key + "/" + feature_name

    def _encoded(self, found: Any) -> Any:
        """Return a value as bytes, also if the client has decoded it."""
        if not isinstance(found, str):
            return found
        return (
            self._redis.get_encoder().encode(found) if self.atomic else found.encode()
        )

    def _keys(self) -> Iterator[tuple[Any, str]]:
        """Yield each key under the base key once, with the feature name in it."""
        prefix = self._key("")
        pattern = prefix.translate(_PATTERN_ESCAPES) + "*"
        encodings = ["utf-8"]
        if self.atomic:
            encodings = key_encodings(self._redis)
            count = max(self.list_method_batch_size, _SMALLEST_SCAN_COUNT)
            keys = self._redis.scan_iter(match=pattern, count=count, **_IN_BYTES)
        elif hasattr(self._redis, "scan_iter"):
            keys = self._redis.scan_iter(match=pattern)
        else:
            keys = self._redis.keys(pattern)
        # Not a set: the garbage collector walks through a set, not through such a dict.
        seen: dict[Any, None] = {}
        for key in keys:
            if key in seen:
                continue
            seen[key] = None
            text = key if isinstance(key, str) else decode_key(key, encodings)
            if text is not None and text.startswith(prefix):
                yield key if self.atomic else text, text[len(prefix) :]
        free(seen)

    def _values(self, keys: Sequence[Any]) -> Sequence[bytes | None]:
        """Read strings in one round trip. A key that holds no string gives `None`."""
        found: Sequence[bytes | None] | None = self._reply_with_values(keys)
        if found is None or len(found) != len(keys):
            raise StoreUnavailableError(
                f"Redis was asked for {len(keys)} flags, but its reply has another "
                f"number of values; is there a proxy in between?"
            )
        for value in found:
            # A proxy for several servers reports in this way that one is down.
            if isinstance(value, Exception):
                raise value
        return found

    def _reply_with_values(self, keys: Sequence[Any]) -> Any:
        if not self.atomic:
            found = values_from_double(self._redis, keys)
            return [self._encoded(value) for value in found]
        if not is_cluster(self._redis):
            return self._redis.execute_command("MGET", *keys, keys=keys, **_IN_BYTES)
        # One MGET cannot read from several nodes, nor from several slots of one node.
        pipe = self._redis.pipeline()
        for key in keys:
            pipe.execute_command("MGET", key, **_IN_BYTES)
        return [value for (value,) in pipe.execute()]
