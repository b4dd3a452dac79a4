# SPDX-License-Identifier: Apache-2.0
"""Redis by clients that are written by hand, as test suites of applications have them.

None of them has connections to lend, on which a key could be watched.
"""

from __future__ import annotations

import fnmatch
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock, Mock

import fakeredis
import pytest

from flipper import Condition, FeatureFlagClient, RedisFeatureFlagStore
from flipper.bucketing import PercentageBucketer
from flipper.contracts.watch import WatchRefusedError
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.contrib.synced import SyncedFeatureFlagStore
from flipper.exceptions import InvalidFlagDataError

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 30  # seconds


class DoubleOfTexts:
    """A dict with the four methods that the store of flipper-client needed."""

    def __init__(self) -> None:
        self.rows: dict[str, Any] = {}

    def set(self, key: str, value: bytes | str) -> None:
        """Write a value as text."""
        self.rows[key] = value.decode() if isinstance(value, bytes) else value

    def get(self, key: str) -> Any:
        """Return a value."""
        return self.rows.get(key)

    def delete(self, key: str) -> None:
        """Delete a value."""
        self.rows.pop(key, None)

    def scan_iter(self, match: str) -> Iterator[Any]:
        """Return the keys as text."""
        return (key for key in list(self.rows) if fnmatch.fnmatchcase(key, match))


class DoubleOfBytes(DoubleOfTexts):
    """Gives bytes, and has `mget`, as flipper-client called it."""

    def set(self, key: str, value: bytes | str) -> None:
        """Write a value as bytes."""
        self.rows[key] = value.encode() if isinstance(value, str) else value

    def mget(self, keys: list[str]) -> list[Any]:
        """Return several values."""
        return [self.rows.get(key) for key in keys]

    def scan_iter(self, match: str) -> Iterator[Any]:
        """Return the keys as bytes."""
        return (key.encode() for key in super().scan_iter(match))


class MockRedis(DoubleOfBytes):
    """Like the class of that name: arguments of redis-py, and other pipelines."""

    def mget(self, *keys: str) -> list[Any]:  # type: ignore[override]
        """Return several values, whose keys are separate arguments."""
        return [self.rows.get(key) for key in keys]

    def scan_iter(self, match: str | None = None, count: int = 10) -> Iterator[Any]:
        """Return the keys as bytes."""
        return super().scan_iter(match or "*")

    def pipeline(self) -> Any:
        """Raise, as a client without pipelines does."""
        raise NotImplementedError


class DoubleWithoutScan(DoubleOfTexts):
    """Has `keys` and no `scan_iter`."""

    scan_iter = None  # type: ignore[assignment]

    def __getattribute__(self, name: str) -> Any:
        if name == "scan_iter":
            raise AttributeError(name)
        return super().__getattribute__(name)

    def keys(self, pattern: str) -> list[str]:
        """Return the keys."""
        return fnmatch.filter(self.rows, pattern)


class DoubleWithEmptyPool(DoubleOfBytes):
    """Has an attribute called a pool, which has no connections."""

    connection_pool = None


def mock_client(kind: Any) -> Any:
    """Return a mock whose methods are those of a dict."""
    rows = DoubleOfBytes()
    double = kind()
    for name in ("get", "set", "delete", "mget", "scan_iter"):
        getattr(double, name).side_effect = getattr(rows, name)
    return double


DOUBLES = {
    "texts": DoubleOfTexts,
    "bytes": DoubleOfBytes,
    "mockredis": MockRedis,
    "keys": DoubleWithoutScan,
    "pooled": DoubleWithEmptyPool,
    "Mock": lambda: mock_client(Mock),
    "MagicMock": lambda: mock_client(MagicMock),
}


@pytest.fixture(params=DOUBLES)
def double(request: pytest.FixtureRequest) -> Any:
    """Give a client that is not redis-py's."""
    return DOUBLES[request.param]()


def test_a_double_can_do_all_that_a_client_calls(double: Any) -> None:
    """Suites that worked with flipper-client still work, without a server."""
    store = RedisFeatureFlagStore(double)
    client = FeatureFlagClient(store)
    assert not store.atomic
    flag = client.create("x", client_data={"ä": "ö"})
    assert not flag.is_enabled()
    flag.enable()
    assert flag.is_enabled()
    flag.add_condition(Condition(a=1))
    flag.set_client_data({"b": 2})
    flag.set_bucketer(PercentageBucketer(1))
    assert flag.is_enabled(a=1)
    assert not flag.is_enabled(a=2)
    assert flag.get_client_data() == {"ä": "ö", "b": 2}
    client.create("other", is_enabled=True)
    assert sorted(each.name for each in client.list()) == ["other", "x"]
    assert len([*client.list(limit=1, offset=1)]) == 1
    flag.disable()
    assert not FeatureFlagClient(RedisFeatureFlagStore(double)).is_enabled("x", a=1)
    store.set("new", True)
    assert client.is_enabled("new")
    flag.destroy()
    assert not flag.exists()
    assert client.is_enabled("x", default=None) is None


def test_a_double_holds_the_keys_and_bytes_of_redis(double: Any) -> None:
    """The keys and values in a double are those that Redis would hold."""
    FeatureFlagClient(RedisFeatureFlagStore(double)).create("x", is_enabled=True)
    found = double.get("features/x")
    document = found.encode() if isinstance(found, str) else found
    assert FeatureFlagStoreItem.deserialize(document).raw_is_enabled is True
    double.set("features/y", document.replace(b'"x"', b'"y"'))
    double.set("elsewhere/z", document)
    names = [item.feature_name for item in RedisFeatureFlagStore(double).list()]
    assert sorted(names) == ["x", "y"]


def test_concurrent_writes_to_a_double_are_all_kept(double: Any) -> None:
    """Threads with stores of their own around one double lose no write."""
    FeatureFlagClient(RedisFeatureFlagStore(double)).create("x")
    clients = [FeatureFlagClient(RedisFeatureFlagStore(double)) for _ in range(4)]
    begin = threading.Barrier(4)

    def write(number: int) -> None:
        begin.wait(PATIENCE)
        for step in range(25):
            clients[number].set_client_data("x", {f"{number}-{step}": 1})

    with ThreadPoolExecutor(4) as pool:
        [*pool.map(write, range(4))]
    assert len(clients[0].get_client_data("x")) == 100


def test_a_write_to_a_double_is_repeated_after_a_rivals_write() -> None:
    """A write is repeated if another store has written since it has read."""
    double = DoubleOfTexts()
    store, other = RedisFeatureFlagStore(double), RedisFeatureFlagStore(double)
    store.create("x")

    def change(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        if not other.get("x").raw_is_enabled:  # type: ignore[union-attr]
            other.set("x", True)
        meta = item.raw_meta
        meta.update(client_data={"a": 1})
        return item.replace(meta=meta)

    assert store.update("x", change).raw_is_enabled is True
    assert store.get("x").meta["client_data"] == {"a": 1}  # type: ignore[union-attr]


def test_broken_text_in_a_double_is_an_error(double: Any) -> None:
    """A broken document raises in `get`, and is left out of a list."""
    store = RedisFeatureFlagStore(double)
    double.set("features/x", b"broken")
    with pytest.raises(InvalidFlagDataError):
        store.get("x")
    assert FeatureFlagClient(store).is_enabled("x") is False
    assert [*store.list()] == []
    store.create("x")
    store.set_meta("x", FeatureFlagStoreMeta(1))


def test_a_mock_without_configuration_has_no_flags() -> None:
    """A mock answers every call with another mock, which is no flag."""
    client = FeatureFlagClient(RedisFeatureFlagStore(MagicMock()))
    assert client.is_enabled("x") is False
    assert [*client.list()] == []
    client.create("x")


def test_a_double_has_no_change_signal() -> None:
    """A double cannot be watched; a synced store polls it."""
    inner = RedisFeatureFlagStore(DoubleOfTexts())
    with pytest.raises(WatchRefusedError, match="DoubleOfTexts is a double"):
        inner.watch()
    inner.create("x", is_enabled=True)
    with SyncedFeatureFlagStore(inner, poll_interval=0.05) as store:
        assert FeatureFlagClient(store).is_enabled("x") is True


def test_no_driver_is_needed_for_a_double(monkeypatch: pytest.MonkeyPatch) -> None:
    """A double works where redis-py is not installed."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "redis"]:
        monkeypatch.setitem(sys.modules, name, None)

    class FailingDouble(DoubleOfTexts):
        def get(self, key: str) -> Any:
            raise ConnectionError(key)

    double = DoubleOfTexts()
    client = FeatureFlagClient(RedisFeatureFlagStore(double))
    client.create("x")
    client.enable("x")
    assert client.is_enabled("x") is True
    failing = FeatureFlagClient(RedisFeatureFlagStore(FailingDouble()))
    assert failing.is_enabled("x") is False


@pytest.mark.parametrize("decode_responses", [True, False])
def test_fakeredis_is_treated_as_a_client(decode_responses: bool) -> None:
    """Writes to fakeredis are atomic, since its connections are like redis-py's."""
    redis = fakeredis.FakeRedis(decode_responses=decode_responses)
    store = RedisFeatureFlagStore(redis)
    assert store.atomic
    client = FeatureFlagClient(store)
    client.create("x")
    client.enable("x")
    assert client.is_enabled("x") is True
