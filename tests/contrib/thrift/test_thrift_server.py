# SPDX-License-Identifier: Apache-2.0
"""The handler of the Thrift server, in front of any store."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TApplicationException
from thrift.transport.TTransport import (
    TMemoryBuffer,
)

from flipper import (
    CachedFeatureFlagStore,
    Condition,
    FeatureFlagClient,
    FlagDoesNotExistError,
    MemoryFeatureFlagStore,
    RedisFeatureFlagStore,
    ReplicatedFeatureFlagStore,
    ThriftRPCFeatureFlagStore,
)
from flipper.bucketing import Percentage, PercentageBucketer
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.contrib.thrift.server import FeatureFlagStoreHandler
from flipper_thrift.python.feature_flag_store import FeatureFlagStore, ttypes
from support.broken_documents import check_hostile_documents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.thrift


MODULE = "flipper.contrib.thrift.server"


class LoopTransport:
    """A transport whose other end is a processor, without a network between."""

    def __init__(self, handler: Any) -> None:
        self._processor = FeatureFlagStore.Processor(handler)
        self._request, self._reply = b"", TMemoryBuffer(b"")

    def write(self, data: bytes) -> None:
        """Add to the request."""
        self._request += data

    def flush(self) -> None:
        """Process the request."""
        request, reply = TMemoryBuffer(self._request), TMemoryBuffer()
        self._request = b""
        self._processor.process(TBinaryProtocol(request), TBinaryProtocol(reply))
        self._reply = TMemoryBuffer(reply.getvalue())

    def readAll(self, size: int) -> bytes:  # noqa: N802  (Thrift's own name)
        """Read from the reply."""
        data: bytes = self._reply.readAll(size)
        return data


def client_of(store: Any) -> Any:
    """Return a Thrift client of a store behind the handler."""
    loop = LoopTransport(FeatureFlagStoreHandler(store))
    return FeatureFlagStore.Client(TBinaryProtocol(loop))


class SixMethodStore:
    """A store of a user's own: six methods, documents in a dict, nothing derived."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}

    def create(
        self, feature_name: str, is_enabled: bool = False, client_data: Any = None
    ) -> FeatureFlagStoreItem:
        """Write a new flag."""
        meta = FeatureFlagStoreMeta(1500000000, client_data)
        item = FeatureFlagStoreItem(feature_name, is_enabled, meta)
        self.rows[feature_name] = item.serialize()
        return item

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag."""
        row = self.rows.get(feature_name)
        return None if row is None else FeatureFlagStoreItem.deserialize(row)

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state."""
        item = self.get(feature_name) or self.create(feature_name)
        self.rows[feature_name] = item.replace(is_enabled=is_enabled).serialize()

    def delete(self, feature_name: str) -> None:
        """Remove a flag."""
        self.rows.pop(feature_name, None)

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem | None]:
        """List the flags, and one that is gone by now."""
        end = None if limit is None else offset + limit
        yield from [*map(self.get, sorted(self.rows)), None][offset:end]

    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Write the metadata."""
        item = self.get(feature_name)
        assert item is not None
        self.rows[feature_name] = item.replace(meta=meta).serialize()


def fake_redis() -> RedisFeatureFlagStore:
    """Make a Redis store without a server."""
    return RedisFeatureFlagStore(pytest.importorskip("fakeredis").FakeRedis())


STORES: dict[str, Callable[[], Any]] = {
    "memory": MemoryFeatureFlagStore,
    "old-style": SixMethodStore,
    "redis": fake_redis,
    "cached": lambda: CachedFeatureFlagStore(SixMethodStore()),  # type: ignore[arg-type]
    "replicated": lambda: ReplicatedFeatureFlagStore(
        MemoryFeatureFlagStore(), MemoryFeatureFlagStore()
    ),
    "thrift": lambda: ThriftRPCFeatureFlagStore(client_of(MemoryFeatureFlagStore())),
}


@pytest.mark.parametrize("kind", STORES)
def test_any_store_can_be_served(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """A store behind the service keeps its promises."""
    inner = STORES[kind]()
    store = ThriftRPCFeatureFlagStore(client_of(inner))
    created = store.create("a", is_enabled=True, client_data={"k": "ß"})
    assert created.meta["client_data"] == {"k": "ß"}
    assert store.create("b").raw_is_enabled is False
    store.set("c", True)
    meta = FeatureFlagStoreMeta(
        1234,
        client_data={"k": [None]},
        conditions=[Condition(a=1), Condition(b__in=["x"])],
        bucketer=PercentageBucketer(Percentage(0.5)),
    )
    store.set_meta("a", meta)
    for reader in (store, inner):
        item = reader.get("a")
        assert item.raw_is_enabled is True
        assert item.meta == meta.to_dict()
    assert sorted(item.feature_name for item in store.list()) == ["a", "b", "c"]
    assert len(list(store.list(limit=1))) == 1
    assert len(list(store.list(limit=2, offset=1))) == 2
    assert not list(store.list(limit=0))
    assert not list(store.list(limit=2**63 - 1, offset=3))
    store.delete("a")
    store.delete("a")
    assert store.get("a") is None
    with pytest.raises(FlagDoesNotExistError):
        store.set_meta("a", meta)
    assert inner.get("a") is None
    assert not [record for record in caplog.records if record.name == MODULE]


class SlowStore(SixMethodStore):
    """A store whose reads give others the time to write."""

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag, and give others the time."""
        item = super().get(feature_name)
        time.sleep(0.002)
        return item


def test_concurrent_callers_lose_no_write() -> None:
    """The handler serialises writes for stores that cannot compare."""
    handler = FeatureFlagStoreHandler(SlowStore())  # type: ignore[arg-type]
    meta = ttypes.FeatureFlagStoreMeta(client_data='{"k": 1}')
    writes: list[Any] = [(handler.Set, "f", True), (handler.SetMeta, "f", meta)]
    with ThreadPoolExecutor(2) as threads:
        for number in range(20):
            handler.Create("f", False, None)
            first = threads.submit(*writes[number % 2])
            time.sleep(
                number * 0.0003
            )  # so that the other write comes at every moment of it
            threads.submit(*writes[1 - number % 2]).result()
            first.result()
            item = handler.Get("f")
            assert (item.is_enabled, item.meta.client_data) == (True, '{"k": 1}')


def test_metadata_without_a_date_keeps_the_date() -> None:
    """`SetMeta` without a creation date keeps that of the flag."""
    store = MemoryFeatureFlagStore()
    client = client_of(store)
    client.Create("f", True, "")
    client.SetMeta("f", ttypes.FeatureFlagStoreMeta(created_date=77))
    client.SetMeta("f", ttypes.FeatureFlagStoreMeta(client_data='{"a": 1}'))
    item = store.get("f")
    assert item is not None
    assert item.meta["created_date"] == 77
    assert item.meta["client_data"] == {"a": 1}


def test_an_absent_limit_or_offset_is_none() -> None:
    """`List` without limit and offset returns all flags; negative ones are refused."""
    client = client_of(MemoryFeatureFlagStore())
    for name in "abc":
        client.Create(name, False, None)
    names = [item.feature_name for item in client.List(None, None)]
    assert names == ["a", "b", "c"]
    assert [item.feature_name for item in client.List(1, 1)] == ["b"]
    with pytest.raises(ttypes.FlipperException, match="-1"):
        client.List(-1, 0)
    with pytest.raises(ttypes.FlipperException, match="-1"):
        client.List(None, -1)


def checked(variable: Any, value: Any, symbol: Any = None) -> Any:
    """Make metadata with a check."""
    operator = ttypes.ConditionOperator(symbol)
    check = ttypes.ConditionCheck(variable, value, operator)
    return ttypes.FeatureFlagStoreMeta(5, conditions=[{"a": [check]}])


@pytest.mark.parametrize(
    ("method", "arguments", "said"),
    [
        ("Create", ("", True, "{}"), "is empty"),
        ("Create", (None, True, "{}"), "is not text"),
        ("Create", ("n" * 1001, True, "{}"), "1001 bytes"),
        ("Create", ("f", True, "{"), "JSONDecodeError"),
        ("Create", ("f", True, "[1]"), "not a dict"),
        ("Create", ("f", True, "[" * 100_000), "RecursionError"),
        ("SetMeta", ("f", None), "absent"),
        ("SetMeta", ("f", ttypes.FeatureFlagStoreMeta(5, "{")), "JSONDecodeError"),
        ("SetMeta", ("f", ttypes.FeatureFlagStoreMeta(5, "5")), "not an object"),
        (
            "SetMeta",
            ("f", ttypes.FeatureFlagStoreMeta(5, bucketer='{"type": "X"}')),
            "Bucketer type not supported: X",
        ),
        ("SetMeta", ("f", checked("a", "1", "like")), "Operator not supported: like"),
        ("SetMeta", ("f", checked("a", "one")), "JSONDecodeError"),
    ],
)
def test_invalid_arguments_are_answered_with_the_reason(
    method: str, arguments: Any, said: str
) -> None:
    """Invalid arguments cause an error that says why, and change nothing."""
    store = MemoryFeatureFlagStore()
    client = client_of(store)
    client.Create("f", True, '{"a": 1}')
    before = store.get("f")
    with pytest.raises(ttypes.FlipperException, match=said) as raised:
        getattr(client, method)(*arguments)
    assert raised.value.code is None
    assert store.get("f") is before
    assert [item.feature_name for item in client.List(None, 0)] == ["f"]


@pytest.mark.parametrize(
    ("method", "more"),
    [("Get", ()), ("Set", (True,)), ("Delete", ()), ("SetMeta", (checked("a", "1"),))],
)
def test_an_absent_or_empty_name_is_not_found(method: str, more: Any) -> None:
    """An absent or empty name is the name of no flag."""
    store = MemoryFeatureFlagStore()
    store.create("None", is_enabled=True)
    for name in (None, ""):
        with pytest.raises(ttypes.FlipperException) as raised:
            getattr(client_of(store), method)(name, *more)
        assert raised.value.code == ttypes.ErrorCode.NOT_FOUND
    assert len(list(store.list())) == 1


def test_a_flag_that_cannot_be_sent_is_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """`Get` of a flag that Thrift cannot express is an error; `List` leaves it out."""
    store = MemoryFeatureFlagStore()
    store.create("object", client_data={"a": object()})
    store.create("good")
    store.create("undated")
    store.set_meta("undated", FeatureFlagStoreMeta("today"))
    store.create("unnameable")
    unnameable = FeatureFlagStoreMeta(5, conditions=[Condition(**{"\udc00": 1})])
    store.set_meta("unnameable", unnameable)
    client = client_of(store)
    for name in ("object", "undated", "unnameable"):
        with pytest.raises(ttypes.FlipperException, match=name):
            client.Get(name)
    assert [item.feature_name for item in client.List(None, 0)] == ["good"]
    assert len([r for r in caplog.records if r.name == MODULE]) == 3


def test_errors_of_a_driver_are_not_sent_to_the_caller(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The error of a driver is logged, and the caller gets an internal error."""

    class Failing(MemoryFeatureFlagStore):
        def get(self, _: str) -> Any:
            raise RuntimeError("password wrong")

    client = client_of(Failing())
    with pytest.raises(TApplicationException, match="Internal error"):
        client.Get("f")
    assert "password wrong" in caplog.text
    assert client.Create("g", True, None).feature_name == "g"


def test_hostile_documents_behind_the_server_are_never_on() -> None:
    """A broken document is never on, hides no other flag, and ends no connection."""
    fakeredis = pytest.importorskip("fakeredis")
    redis = fakeredis.FakeRedis()
    store = ThriftRPCFeatureFlagStore(client_of(RedisFeatureFlagStore(redis)))
    client = FeatureFlagClient(store)

    def write(documents: dict[str, bytes]) -> None:
        for name, document in documents.items():
            redis.set(f"features/{name}", document)

    check_hostile_documents(store, write)
    redis.set("features/cut", b'{"feature_name": "cut"')
    with pytest.raises(ttypes.FlipperException, match="cut"):
        client.get_meta("cut")
