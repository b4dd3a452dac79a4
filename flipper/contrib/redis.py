# SPDX-License-Identifier: Apache-2.0
"""Flags in Redis, each under a key of its own."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from ..arguments import check_count
from ..exceptions import InvalidFlagDataError, StoreUnavailableError
from .atomic import ABSENT, ANY
from .document import DocumentFeatureFlagStore
from .interface import AbstractFeatureFlagStore as AbstractFeatureFlagStore
from .interface import FlagDoesNotExistError as FlagDoesNotExistError
from .storage import FeatureFlagStoreItem as FeatureFlagStoreItem
from .storage import FeatureFlagStoreMeta as FeatureFlagStoreMeta
from .util.date import now
from .util.fork import renew_after_fork, renew_locks
from .util.iter import batchify
from .watch import SupportsWatch, WatchRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from redis import Redis
    from redis.cluster import RedisCluster

    from .redis_watch import RedisWatch

DEFAULT_LIST_METHOD_BATCH_SIZE = 100

# How many keys the server looks at for one SCAN, at least: it walks through all keys of
# the database, and each walk of its own default of 10 would be a round trip.
_SCANNED_AT_ONCE: Final = 1000
# Gives replies in bytes, also by clients that decode: keys and values that are no text
# would be errors there. Each of redis-py's commands takes it.
_IN_BYTES: Final[dict[str, Any]] = {"NEVER_DECODE": []}
_LITERALLY: Final = str.maketrans({sign: f"\\{sign}" for sign in "*?[]\\"})


class RedisFeatureFlagStore(SupportsWatch, DocumentFeatureFlagStore):
    """Keeps flags in Redis, each as a string that does not expire.

    Writes are atomic, by WATCH and not by scripts. Safe for threads and forks, as the
    clients of redis-py are; their errors come out as they are. A write whose reply is
    lost raises, unless the flag can be seen to be as written.

    Args:
        redis: a client of redis-py: `Redis`, from a URL or a `Sentinel` too, or
            `RedisCluster`; whether it decodes responses does not matter. Or a double of
            one, with `get`, `set`, `delete`, and `scan_iter` or `keys`.
        base_key: flags are kept under the keys `<base_key>/<feature_name>`.
        list_method_batch_size: how many flags `list` reads in one round trip, 1 or
            more.

    Raises:
        InvalidArgumentError: the batch size is no integer from 1 on.
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
        """Free the client from locks that a thread of the parent has held."""
        renew_locks(self._redis, "redis")

    @property
    def atomic(self) -> bool:
        """Whether writes are atomic, which they are by all clients but doubles.

        By a double, the threads of this process do not undo each other's writes, but
        another process may.
        """
        # Not by `cached_property`, whose lock a forked child may find taken.
        if self._atomic is None:
            self._atomic = _can_swap(self._redis)
        return self._atomic

    @property
    def away_errors(self) -> tuple[type[Exception], ...]:
        """The errors that tell that nobody answers, or that no reply comes whole."""
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
        """Begin to listen, on a connection of its own, to what Redis tells of changes.

        Raises:
            WatchRefusedError: Redis is older than 6.0, the user may not, or the client
                is a double.
            redis.RedisError: it is away.
        """
        if not self.atomic:
            kind = type(self._redis).__name__
            raise WatchRefusedError(f"{kind} is a double, without a change signal")
        from .redis_watch import RedisWatch

        return RedisWatch(self._redis, self._key(""))

    def _read(self, feature_name: str) -> tuple[bytes, Any] | None:
        try:
            found = self._redis.get(self._key(feature_name))
        except UnicodeDecodeError as error:  # by a client that decodes
            raise InvalidFlagDataError.of(error, feature_name=feature_name) from error
        if not found:
            return None
        found = self._encoded(found)
        return found, found

    def _replace(self, feature_name: str, document: bytes, expected: Any) -> bool:
        key = self._key(feature_name)
        if expected is ANY:
            self._redis.set(key, document)
            return True
        if not self.atomic:
            return self._compare_and_put(self._redis, feature_name, document, expected)
        from redis import exceptions

        try:
            with _lent_by(self._client_of(key).connection_pool) as connection:
                if (_watched(connection, key) or ABSENT) != expected:
                    _asked(connection, ("UNWATCH",))
                    return False
                try:
                    return _written(connection, key, document)
                except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
                    connection.disconnect()
                    lost = error
        except exceptions.AskError:
            # The key is moving between the nodes of a cluster: reading it again waits,
            # or asks the other node.
            return False
        # The write may have taken effect. Beginning again would apply the change twice.
        now_stored = self._read(feature_name)
        if now_stored is None or now_stored[0] != document:
            raise lost
        return True

    def _remove(self, feature_name: str) -> None:
        # What Redis answers does not tell: a client that repeats a command whose reply
        # was lost is told that there is no flag, though it has removed it.
        self._redis.delete(self._key(feature_name))

    def _documents(self, offset: int, limit: int | None) -> Iterator[tuple[str, bytes]]:
        keys = islice(self._keys(), offset, None if limit is None else offset + limit)
        for batch in batchify(keys, self.list_method_batch_size):
            documents = self._values([key for key, _ in batch])
            if documents is None or len(documents) != len(batch):
                raise StoreUnavailableError(
                    f"Redis was asked for {len(batch)} flags, and its reply has not so "
                    f"many; is there a proxy in between?"
                )
            for (_, feature_name), document in zip(batch, documents, strict=True):
                # A proxy before several servers tells so which of them is away.
                if isinstance(document, Exception):
                    raise document
                if document:
                    yield feature_name, document

    def _now(self) -> int:
        return now()

    def _key(self, feature_name: str) -> str:
        return self.base_key + "/" + feature_name

    def _encoded(self, found: Any) -> Any:
        """Return what was read as bytes."""
        if not isinstance(found, str):
            return found
        return (
            self._redis.get_encoder().encode(found) if self.atomic else found.encode()
        )

    def _keys(self) -> Iterator[tuple[Any, str]]:
        """Give the keys under the base key, each once, with the names in them."""
        prefix = self._key("")
        pattern = prefix.translate(_LITERALLY) + "*"
        encodings = ["utf-8"]
        if self.atomic:
            # The driver's C extension writes keys in UTF-8, even for a client that has
            # another encoding.
            encodings.append(self._redis.get_encoder().encoding)
            count = max(self.list_method_batch_size, _SCANNED_AT_ONCE)
            keys = self._redis.scan_iter(match=pattern, count=count, **_IN_BYTES)
        elif hasattr(self._redis, "scan_iter"):
            keys = self._redis.scan_iter(match=pattern)
        else:
            keys = self._redis.keys(pattern)
        seen = set()
        for key in keys:
            if key in seen:
                continue
            seen.add(key)
            text = key if isinstance(key, str) else _decoded(key, encodings)
            if text is not None and text.startswith(prefix):
                yield key if self.atomic else text, text[len(prefix) :]

    def _values(self, keys: Sequence[Any]) -> Sequence[bytes | None]:
        """Read strings in one round trip; what is no string is `None`."""
        if not self.atomic:
            return [self._encoded(found) for found in _values_of(self._redis, keys)]
        if not _is_cluster(self._redis):
            return self._redis.execute_command(  # type: ignore[no-any-return]
                "MGET", *keys, keys=keys, **_IN_BYTES
            )
        # One MGET cannot go to several nodes, nor to several slots of one.
        pipe = self._redis.pipeline()
        for key in keys:
            pipe.execute_command("MGET", key, **_IN_BYTES)
        return [value for (value,) in pipe.execute()]

    def _client_of(self, key: str) -> Any:
        """Return a client that can watch this key: in a cluster, one of its node."""
        if not _is_cluster(self._redis):
            return self._redis
        return self._redis.get_redis_connection(self._redis.get_node_from_key(key))


# Asked of classes, since a test double seems to have any attribute.


def _is_cluster(client: Any) -> bool:
    return hasattr(type(client), "get_node_from_key")


def _can_swap(client: Any) -> bool:
    """Tell whether a client lends connections, by which writes are atomic."""
    pool = getattr(client, "connection_pool", None)
    return _is_cluster(client) or hasattr(type(pool), "get_connection")


def _values_of(double: Any, keys: Sequence[str]) -> Sequence[Any]:
    """Read strings by a double of a client, at once if it can."""
    if hasattr(double, "mget"):
        try:
            found = list(double.mget(keys))
        except TypeError:  # it takes keys one by one
            found = []
        if len(found) == len(keys):
            return found
    return [double.get(key) for key in keys]


# Not by a pipeline of redis-py: it takes a round trip for WATCH and one for GET, twice
# the time for the same bytes, and tells a lost connection by the error of a lost race.


@contextmanager
def _lent_by(pool: Any) -> Iterator[Any]:
    """Lend a connection of a client's pool."""
    try:
        connection = pool.get_connection()
    except TypeError:  # redis-py before 5.3 wants to know what for
        connection = pool.get_connection("WATCH")
    try:
        yield connection
    except BaseException:
        # The next to use it must get none of our replies, nor fail by what we watch.
        connection.disconnect()
        raise
    finally:
        pool.release(connection)


def _watched(connection: Any, key: str) -> bytes | None:
    """Read a key that is watched from before, as often as the client's owner allows."""
    replies = connection.retry.call_with_retry(
        lambda: _asked(connection, ("WATCH", key), ("GET", key)),
        lambda _: connection.disconnect(),
    )
    found: bytes | None = replies[1]
    return found


def _written(connection: Any, key: str, document: bytes) -> bool:
    """Write a key, unless somebody has since it is watched; tell whether it was."""
    # Race: a check of the connection's health could make a new one, which watches not.
    transaction = ("MULTI",), ("SET", key, document), ("EXEC",)
    outcome = _asked(connection, *transaction, check_health=False)[2]
    if outcome is None:
        return False
    for reply in outcome:
        if isinstance(reply, Exception):
            raise reply
    return True


def _asked(
    connection: Any, *commands: tuple[Any, ...], check_health: bool = True
) -> list[Any]:
    """Send commands at once and read their replies, in bytes."""
    packed = connection.pack_commands(commands)
    connection.send_packed_command(packed, check_health=check_health)
    return [connection.read_response(disable_decoding=True) for _ in commands]


def _decoded(key: bytes, encodings: Sequence[str]) -> str | None:
    for encoding in encodings:
        try:
            return key.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None
