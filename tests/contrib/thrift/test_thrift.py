# SPDX-License-Identifier: Apache-2.0
"""The Thrift store: what it sends, what it reads, and how it keeps its connection."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from thrift.protocol.TBinaryProtocol import (
    TBinaryProtocol,
    TBinaryProtocolAccelerated,
)
from thrift.protocol.TCompactProtocol import TCompactProtocol, TCompactProtocolFactory
from thrift.Thrift import TApplicationException
from thrift.transport.TTransport import (
    TBufferedTransport,
    TFramedTransport,
    TFramedTransportFactory,
    TTransportException,
)

from flipper import (
    Condition,
    FeatureFlagClient,
    FlagDoesNotExistError,
    MemoryFeatureFlagStore,
    ThriftRPCFeatureFlagStore,
)
from flipper.bucketing import (
    ConsistentHashPercentageBucketer,
    LinearRampPercentage,
    NoOpBucketer,
    Percentage,
    PercentageBucketer,
)
from flipper.bucketing.base import AbstractBucketer
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.contrib.thrift import NO_LIMIT
from flipper.contrib.thrift.server import FeatureFlagStoreHandler
from flipper.contrib.thrift.structs import item_to_struct
from flipper.exceptions import (
    InvalidArgumentError,
    InvalidFlagDataError,
    StoreUnavailableError,
)
from flipper_thrift.python.feature_flag_store import FeatureFlagStore, ttypes
from servers import Proxy
from support.thrift_service import Service, connected

if TYPE_CHECKING:
    from collections.abc import Iterator


pytestmark = pytest.mark.thrift

ROOT = Path(__file__).parents[3]
NOT_FOUND = ttypes.FlipperException(ttypes.ErrorCode.NOT_FOUND, "gone")
OTHER = ttypes.FlipperException(7, "no entry")


@pytest.fixture
def memory() -> MemoryFeatureFlagStore:
    """Give the store behind the service."""
    return MemoryFeatureFlagStore()


@pytest.fixture
def service(memory: MemoryFeatureFlagStore) -> Iterator[Service]:
    """Give a service for the memory store."""
    with Service(FeatureFlagStoreHandler(memory)) as running:
        yield running


@pytest.fixture
def store(service: Service) -> Iterator[ThriftRPCFeatureFlagStore]:
    """Give a store over a real socket."""
    with connected(service.port) as over_socket:
        yield over_socket


def struct(name: str | None = "f", **fields: Any) -> Any:
    """Make a struct of a flag that is on, with this metadata."""
    meta = ttypes.FeatureFlagStoreMeta(**{"created_date": 5, **fields})
    return ttypes.FeatureFlagStoreItem(name, True, meta)


def check(variable: str | None, value: str | None, symbol: str | None = None) -> Any:
    """Make the struct of a check."""
    return ttypes.ConditionCheck(variable, value, ttypes.ConditionOperator(symbol))


# -- what is needed for it -------------------------------------------------------------


def test_the_signature_is_the_published_one() -> None:
    """Callers pass the client by position, and other generated types by keyword."""
    parameters = inspect.signature(ThriftRPCFeatureFlagStore).parameters
    assert list(parameters) == ["client", "ttypes"]
    assert parameters["ttypes"].default is ttypes


def test_without_apache_thrift_only_making_a_store_fails() -> None:
    """The checkout has a folder named thrift, which is not the package."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import thrift\n"  # the folder: this is the trap
        "from flipper import ThriftRPCFeatureFlagStore\n"
        "from flipper.contrib import thrift as module\n"
        "from flipper.exceptions import MissingDependencyError\n"
        "import inspect\n"
        "assert list(inspect.signature(ThriftRPCFeatureFlagStore).parameters)"
        " == ['client', 'ttypes']\n"
        "for use in (lambda: ThriftRPCFeatureFlagStore(object()),\n"
        "            lambda: module.ttypes,\n"
        "            lambda: __import__('flipper.contrib.thrift.server')):\n"
        "    try: use()\n"
        "    except MissingDependencyError as error: print(error)\n"
        "    else: sys.exit('no error')\n"
        "assert not hasattr(module, 'novelty')\n"
    )
    command = [sys.executable, "-I", "-S", "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("flipper-client[thrift]") == 3


# -- what it sends ---------------------------------------------------------------------


def test_each_method_is_one_call_of_the_client_by_position() -> None:
    """Existing suites give a client of mocks, and assert on its calls."""
    client = Mock(**{"Create.return_value": struct(), "Get.return_value": struct()})
    client.List.return_value = [struct()]
    store = ThriftRPCFeatureFlagStore(client)
    store.create("f")
    client.Create.assert_called_once_with("f", False, "{}")
    store.create("f", is_enabled=True, client_data={"ä": 1})
    client.Create.assert_called_with("f", True, json.dumps({"ä": 1}))
    assert store.get("f").feature_name == "f"  # type: ignore[union-attr]
    client.Get.assert_called_once_with("f")
    assert store.set("f", True) is client.Set.return_value  # type: ignore[func-returns-value]
    client.Set.assert_called_once_with("f", True)
    assert store.delete("f") is client.Delete.return_value  # type: ignore[func-returns-value]
    client.Delete.assert_called_once_with("f")
    meta = FeatureFlagStoreMeta(5, conditions=[Condition(a=1, b__gt=2)])
    assert store.set_meta("f", meta) is None  # type: ignore[func-returns-value]
    conditions = [{"a": [check("a", "1")], "b": [check("b", "2", "gt")]}]
    sent = ttypes.FeatureFlagStoreMeta(5, "{}", conditions, '{"type": "NoOpBucketer"}')
    client.SetMeta.assert_called_once_with("f", sent)
    store.list(limit=10, offset=25)
    client.List.assert_called_once_with(10, 25)


def test_a_state_that_is_neither_on_nor_off_is_not_sent() -> None:
    """Thrift would send the text "false" as true."""
    client = Mock()
    store = ThriftRPCFeatureFlagStore(client)
    with pytest.raises(InvalidArgumentError, match="'off' of feature 'f'"):
        store.create("f", is_enabled="off")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="'off' of feature 'f'"):
        store.set("f", "off")  # type: ignore[arg-type]
    item = FeatureFlagStoreItem("f", "off", FeatureFlagStoreMeta(1))
    with pytest.raises(InvalidArgumentError, match="'off' of feature 'f'"):
        item_to_struct(item, ttypes)
    assert not client.mock_calls


@pytest.mark.parametrize("state", ["false", "no", 2, [False], float("nan")])
def test_an_answer_that_is_neither_on_nor_off_is_no_flag(state: Any) -> None:
    """A client of one's own, without Thrift's encoding, may give anything."""
    answer = struct()
    answer.is_enabled = state
    store = ThriftRPCFeatureFlagStore(Mock(**{"Get.return_value": answer}))
    with pytest.raises(InvalidFlagDataError, match="its state is"):
        store.get("f")
    assert FeatureFlagClient(store).is_enabled("f") is False


@pytest.mark.parametrize(
    "answer",
    [
        SimpleNamespace(feature_name="f", is_enabled=True),
        SimpleNamespace(is_enabled=True, meta=SimpleNamespace()),
        SimpleNamespace(is_enabled=True, meta=SimpleNamespace(created_date=5)),
    ],
)
def test_a_double_may_leave_out_what_is_absent(answer: Any) -> None:
    """A client of one's own gives objects of its own, with what a test needs."""
    store = ThriftRPCFeatureFlagStore(Mock(**{"Get.return_value": answer}))
    assert FeatureFlagClient(store).is_enabled("f") is True
    assert FeatureFlagClient(store).get_client_data("f") == {}


def test_list_asks_when_it_is_called() -> None:
    """What is listed is what was there at that moment."""
    client = Mock(**{"List.return_value": [struct("a"), struct("b")]})
    flags = ThriftRPCFeatureFlagStore(client).list()
    client.List.assert_called_once_with(None, 0)
    assert [item.feature_name for item in flags] == ["a", "b"]


def test_the_types_given_are_the_types_used() -> None:
    """Who generates the service anew has classes, and an error code, of their own."""

    class OwnError(Exception):
        code = 404

    own = SimpleNamespace(
        FlipperException=OwnError,
        ErrorCode=SimpleNamespace(NOT_FOUND=404),
        FeatureFlagStoreMeta=lambda **fields: fields,
        ConditionCheck=lambda **fields: fields,
        ConditionOperator=lambda **fields: fields,
    )
    client = Mock(**{"Get.side_effect": OwnError, "SetMeta.side_effect": OwnError})
    store = ThriftRPCFeatureFlagStore(client, ttypes=own)
    assert store.get("f") is None
    meta = FeatureFlagStoreMeta(5, conditions=[Condition(a__in=[1])])
    with pytest.raises(FlagDoesNotExistError):
        store.set_meta("f", meta)
    assert client.SetMeta.call_args.args[1]["conditions"] == [
        {"a": [{"variable": "a", "value": "[1]", "operator": {"symbol": "in"}}]}
    ]


class UnknownBucketer(AbstractBucketer):
    """A bucketer that nobody has registered."""

    def check(self, **_: Any) -> bool:
        """Say yes."""
        return True

    @classmethod
    def get_type(cls) -> str:
        """Give the name."""
        return super().get_type()

    def to_dict(self) -> dict[str, Any]:
        """Give the type."""
        return super().to_dict()

    @classmethod
    def from_dict(cls, fields: Any) -> UnknownBucketer:
        """Make one."""
        return cls(**fields)


@pytest.mark.parametrize(
    "meta",
    [
        FeatureFlagStoreMeta("today"),
        FeatureFlagStoreMeta(1.5),
        FeatureFlagStoreMeta(2**63),
        FeatureFlagStoreMeta(5, client_data={"a": {1, 2}}),
        FeatureFlagStoreMeta(5, conditions=[Condition(a=object())]),
        FeatureFlagStoreMeta(5, conditions=[Condition(**{"\ud800": 1})]),
        FeatureFlagStoreMeta(5, bucketer=UnknownBucketer()),
    ],
)
def test_metadata_that_cannot_be_sent_sends_nothing(
    store: ThriftRPCFeatureFlagStore, service: Service, meta: FeatureFlagStoreMeta
) -> None:
    """Half a message would be read together with the next one."""
    store.create("f", is_enabled=True)
    with pytest.raises(InvalidArgumentError) as raised:
        store.set_meta("f", meta)
    assert raised.value.feature_name == "f"
    assert store.get("f").raw_is_enabled is True  # type: ignore[union-attr]
    assert service.connections == 1


@pytest.mark.parametrize("name", [None, 5, b"f", "\ud800"])
def test_a_name_that_cannot_be_sent_sends_nothing(
    store: ThriftRPCFeatureFlagStore, service: Service, name: Any
) -> None:
    """As for metadata."""
    store.create("f")
    meta = FeatureFlagStoreMeta(5)
    for call in (
        lambda: store.create(name),
        lambda: store.get(name),
        lambda: store.set(name, True),
        lambda: store.delete(name),
        lambda: store.set_meta(name, meta),
    ):
        with pytest.raises(InvalidArgumentError):
            call()
    assert store.get("f") is not None
    assert service.connections == 1


def test_client_data_that_cannot_be_sent_sends_nothing(
    store: ThriftRPCFeatureFlagStore, memory: MemoryFeatureFlagStore
) -> None:
    """The error is that of all stores that keep documents."""
    with pytest.raises(InvalidArgumentError, match="JSON can express"):
        store.create("f", client_data={"a": object()})
    assert memory.get("f") is None


@pytest.mark.parametrize(("limit", "offset"), [(-1, 0), (None, -1), ("1", 0), (1, 0.5)])
def test_a_page_that_counts_nothing_is_refused(
    store: ThriftRPCFeatureFlagStore, limit: Any, offset: Any
) -> None:
    """What a server makes of a negative number is anybody's guess."""
    with pytest.raises(InvalidArgumentError):
        store.list(limit, offset)


def test_pages_larger_than_the_service_can_count_are_sent(
    store: ThriftRPCFeatureFlagStore,
) -> None:
    """A number that means all is as large as the caller likes."""
    store.create("f")
    assert len(list(store.list(limit=2**70))) == 1
    assert not list(store.list(limit=2**63 - 1, offset=1))
    assert not list(store.list(offset=2**70))


def test_a_missing_flag_is_the_first_thing_wrong_with_set_meta(
    store: ThriftRPCFeatureFlagStore,
) -> None:
    """Existing tests pass a dict there, and expect the flag's absence to be told."""
    with pytest.raises(FlagDoesNotExistError, match="Feature f does not exist"):
        store.set_meta("f", {"created_date": 5})  # type: ignore[arg-type]
    with pytest.raises(FlagDoesNotExistError, match="Feature f does not exist"):
        store.set_meta("f", FeatureFlagStoreMeta(5))
    store.create("f")
    with pytest.raises(AttributeError):
        store.set_meta("f", {"created_date": 5})  # type: ignore[arg-type]


# -- what it reads ---------------------------------------------------------------------


def answered(answer: Any) -> ThriftRPCFeatureFlagStore:
    """Make a store whose client gives this, or raises it, whatever it is asked."""
    given = {"side_effect": answer} if isinstance(answer, Exception) else {}
    methods = ("Create", "Get", "Set", "Delete", "List", "SetMeta")
    client = Mock(**{name: Mock(return_value=answer, **given) for name in methods})
    return ThriftRPCFeatureFlagStore(client)


def test_every_check_becomes_a_condition_of_its_own() -> None:
    """That is how the original reads them, and it means the same."""
    conditions = [
        {"a": [check("a", "1"), check("a", "2", "ne")], "b": [check("b", "[3]", "in")]},
        {"c": [check("c", '"x"', None)]},
        {"d": []},
    ]
    item = answered(struct(conditions=conditions)).get("f")
    assert item is not None
    assert item.meta["conditions"] == [
        {"a": [{"variable": "a", "value": 1, "operator": None}]},
        {"a": [{"variable": "a", "value": 2, "operator": "ne"}]},
        {"b": [{"variable": "b", "value": [3], "operator": "in"}]},
        {"c": [{"variable": "c", "value": "x", "operator": None}]},
    ]


@pytest.mark.parametrize(
    "absent",
    [
        struct(created_date=None),
        struct(client_data=""),
        struct(client_data="null", conditions=[], bucketer="null"),
        struct(bucketer=""),
        ttypes.FeatureFlagStoreItem("f", True),
        ttypes.FeatureFlagStoreItem(None, True, ttypes.FeatureFlagStoreMeta()),
    ],
)
def test_an_absent_field_is_a_default(absent: Any) -> None:
    """Servers of other languages leave out, or send empty, what they do not have."""
    item = answered(absent).get("f")
    assert item is not None
    assert item.feature_name == "f"
    assert item.is_enabled() is True
    assert item.meta["client_data"] == {}
    assert item.meta["conditions"] == []
    assert item.meta["bucketer"] == {"type": "NoOpBucketer"}


def test_a_check_without_operator_or_variable_is_equality() -> None:
    """The variable stands beside the check too."""
    bare = ttypes.ConditionCheck(None, "1", None)
    item = answered(struct(conditions=[{"a": [bare]}])).get("f")
    assert item is not None
    assert (item.is_enabled(a=1), item.is_enabled(a=2)) == (True, False)


def test_a_flag_that_does_not_say_so_is_not_on() -> None:
    """Nobody has switched it on."""
    item = answered(ttypes.FeatureFlagStoreItem("f")).get("f")
    assert item is not None
    assert item.raw_is_enabled is False
    assert item.is_enabled() is False


BROKEN = [
    None,
    struct(client_data="{"),
    struct(client_data="5"),
    struct(client_data="[" * 100_000),
    struct(bucketer="x"),
    struct(bucketer="[1]"),
    struct(bucketer='{"type": "Unheard"}'),
    struct(bucketer='{"type": "PercentageBucketer", "percentage": 5}'),
    struct(conditions=[{"a": [check("a", "1", "like")]}]),
    struct(conditions=[{"a": [check("a", "1", "")]}]),
    struct(conditions=[{"a": [check("a", "")]}]),
    struct(conditions=[{"a": [None]}]),
    struct(conditions=[None]),
    struct(conditions=5),
]


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_no_flag_is_never_on(broken: Any) -> None:
    """A server may send anything; the caller's default counts then."""
    store = answered(broken)
    client = FeatureFlagClient(store)
    assert client.is_enabled("f") is False
    assert client.is_enabled("f", default="mine") == "mine"
    with pytest.raises(InvalidFlagDataError) as raised:
        client.get_meta("f")
    assert raised.value.feature_name == "f"


def test_what_is_no_flag_is_left_out_of_the_list(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One broken document must not hide all other flags."""
    nameless = struct(None)
    store = answered([struct("a"), *BROKEN, nameless, struct("b")])
    assert [item.feature_name for item in store.list()] == ["a", "b"]
    assert len([*store.list()]) == 2
    left_out = sorted(str(record.feature_name) for record in caplog.records)
    assert left_out == ["None", "f"]  # once a minute for each name


def test_an_answer_without_a_list_is_not_an_empty_one() -> None:
    """A server that fails in the middle may send such."""
    store = answered(None)
    with pytest.raises(StoreUnavailableError, match="without a list"):
        store.list()
    assert issubclass(StoreUnavailableError, store.outage_errors)


def test_errors_of_the_server_come_out() -> None:
    """Only NOT_FOUND means that there is no such flag, and only where one is read."""
    meta = FeatureFlagStoreMeta(5)
    assert answered(NOT_FOUND).get("f") is None
    with pytest.raises(FlagDoesNotExistError, match="Feature f does not exist"):
        answered(NOT_FOUND).set_meta("f", meta)
    for error in (NOT_FOUND, OTHER):
        store = answered(error)
        for call in (
            lambda s: s.create("f"),
            lambda s: s.set("f", True),
            lambda s: s.delete("f"),
            lambda s: s.list(),
        ):
            with pytest.raises(ttypes.FlipperException) as raised:
                call(store)
            assert raised.value is error
    for call in (lambda s: s.get("f"), lambda s: s.set_meta("f", meta)):
        with pytest.raises(ttypes.FlipperException, match="no entry"):
            call(answered(OTHER))


METAS = [
    FeatureFlagStoreMeta(0),
    FeatureFlagStoreMeta(2**40, client_data={"ключ": ["\ud800", None, 1.5, {"": {}}]}),
    *(
        FeatureFlagStoreMeta(1, conditions=[Condition(**{f"größe{suffix}": value})])
        for suffix, value in {
            "": "🐎",
            "__ne": None,
            "__gt": 9000,
            "__gte": 1.5,
            "__lt": -1,
            "__lte": True,
            "__in": ["a", "ß"],
            "__not_in": [],
            "__x__in": {"k": 1},
        }.items()
    ),
    *(
        FeatureFlagStoreMeta(1, bucketer=bucketer)
        for bucketer in (
            NoOpBucketer(),
            PercentageBucketer(Percentage(0.25)),
            PercentageBucketer(LinearRampPercentage(0.1, 0.9, 60, 1500000000)),
            ConsistentHashPercentageBucketer(
                key_whitelist=["b", "a"], percentage=Percentage(0.5)
            ),
            ConsistentHashPercentageBucketer(
                percentage=LinearRampPercentage(1, 0, 5, 1500000000)
            ),
        )
    ),
]


@pytest.mark.parametrize("name", ["f", "Größe/🐎 %s\n", "n" * 1000])
def test_everything_comes_back_as_it_was_sent(
    store: ThriftRPCFeatureFlagStore, memory: MemoryFeatureFlagStore, name: str
) -> None:
    """Through the store, the wire, the handler and back."""
    store.create(name, is_enabled=True, client_data={"ä": [1]})
    for meta in METAS:
        store.set_meta(name, meta)
        for reader in (store, memory):
            item = reader.get(name)
            assert item is not None
            assert item.feature_name == name
            assert item.raw_is_enabled is True
            assert item.meta == meta.to_dict()
    assert [item.feature_name for item in store.list()] == [name]


@pytest.mark.parametrize(
    ("transport", "protocol", "transports", "protocols"),
    [
        (TBufferedTransport, TBinaryProtocolAccelerated, None, None),
        (TFramedTransport, TBinaryProtocol, TFramedTransportFactory(), None),
        (TBufferedTransport, TCompactProtocol, None, TCompactProtocolFactory()),
    ],
    ids=["accelerated", "framed", "compact"],
)
def test_the_transport_and_the_protocol_are_the_users_choice(
    memory: MemoryFeatureFlagStore,
    transport: Any,
    protocol: Any,
    transports: Any,
    protocols: Any,
) -> None:
    """Only the client given knows them."""
    with (
        Service(FeatureFlagStoreHandler(memory), transports, protocols) as service,
        connected(service.port, transport, protocol) as store,
    ):
        store.create("f", is_enabled=True)
        for meta in METAS:
            store.set_meta("f", meta)
            item = store.get("f")
            assert item is not None
            assert item.meta == meta.to_dict()
        assert store.get("g") is None
        store.delete("f")
        assert not list(store.list())


# -- a limit that is not there ---------------------------------------------------------


class ZeroForAbsent(FeatureFlagStoreHandler):
    """A server in a language where an absent number reads as 0."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self.limits: list[int | None] = []

    def List(self, limit: int | None, offset: int | None) -> list[Any]:  # noqa: N802
        """Give at most `limit` flags, none if it is absent."""
        self.limits.append(limit)
        return super().List(limit or 0, offset)


def test_an_answer_that_cannot_be_all_is_asked_for_again_with_a_limit(
    memory: MemoryFeatureFlagStore,
) -> None:
    """In some languages a server cannot tell an absent limit from 0."""
    handler = ZeroForAbsent(memory)
    with Service(handler) as service, connected(service.port) as store:
        for name in "abc":
            store.create(name)
        assert [item.feature_name for item in store.list()] == ["a", "b", "c"]
        assert handler.limits == [None, NO_LIMIT]
        assert [item.feature_name for item in store.list(offset=1)] == ["b", "c"]
        assert list(store.list(limit=0)) == []
        assert handler.limits == [None, NO_LIMIT, NO_LIMIT, 0]
    with Service(handler) as service, connected(service.port) as store:
        store.absent_limit = NO_LIMIT
        assert len(list(store.list())) == 3


def test_an_empty_answer_is_believed_by_who_has_seen_no_flag(
    memory: MemoryFeatureFlagStore,
) -> None:
    """An absent limit means no limit to every server that can tell."""
    handler = ZeroForAbsent(memory)
    with Service(handler) as service, connected(service.port) as store:
        assert not list(store.list())
        store.create("a")
        assert not list(store.list(offset=1))
        store.delete("a")
        assert not list(store.list())
    assert handler.limits == [None, None, None]


# -- threads ---------------------------------------------------------------------------


def test_threads_that_share_a_client_get_their_own_answers(
    service: Service, store: ThriftRPCFeatureFlagStore
) -> None:
    """Requests of two threads on one connection would be read as one."""
    second = ThriftRPCFeatureFlagStore(store._client)
    names = [f"flag-{number}" for number in range(8)]
    for name in names:
        store.create(name, client_data={"mine": name})

    def ask(number: int) -> None:
        name, mine = names[number], (store, second)[number % 2]
        for _ in range(100):
            item = mine.get(name)
            assert item is not None
            assert item.feature_name == name
            assert item.meta["client_data"] == {"mine": name}
            mine.set(name, True)
            assert [item.feature_name for item in mine.list(1, number)] == [name]

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(8)))
    assert service.connections == 1


def test_threads_lose_no_conditions(
    store: ThriftRPCFeatureFlagStore, memory: MemoryFeatureFlagStore
) -> None:
    """Writes of one process do not undo each other; the service cannot compare."""
    client = FeatureFlagClient(store)
    client.create("f")

    def add(thread: int) -> None:
        for number in range(10):
            client.add_condition("f", Condition(a=[thread, number]))
            if not number % 5:
                client.set_client_data("f", {f"{thread}-{number}": 1})
                client.enable("f")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(8)))
    item = memory.get("f")
    assert item is not None
    assert len(item.meta["conditions"]) == 80
    assert len(item.meta["client_data"]) == 16
    assert item.raw_is_enabled is True


# -- the connection --------------------------------------------------------------------


class Interrupted:
    """Makes a transport in which an interruption comes at the k-th step."""

    steps = 0
    at = 0

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self.at:
            raise KeyboardInterrupt

    def write(self, buf: bytes) -> None:
        """Write, or be interrupted before."""
        self._step()
        super().write(buf)  # type: ignore[misc]

    def flush(self) -> None:
        """Send, or be interrupted before."""
        self._step()
        super().flush()  # type: ignore[misc]

    def read(self, sz: int) -> bytes:
        """Read, or be interrupted before."""
        self._step()
        data: bytes = super().read(sz)  # type: ignore[misc]
        return data


class InterruptedBuffer(Interrupted, TBufferedTransport):
    """As the user's transport."""


class InterruptedFrames(Interrupted, TFramedTransport):
    """As a transport within the user's."""


@pytest.mark.parametrize(
    ("protocol", "protocols", "transports"),
    [
        (TBinaryProtocol, None, None),
        (TCompactProtocol, TCompactProtocolFactory(), None),
        (TBinaryProtocol, None, TFramedTransportFactory()),
    ],
    ids=["binary", "compact", "frames"],
)
def test_an_interruption_leaves_no_half_message_behind(
    memory: MemoryFeatureFlagStore, protocol: Any, protocols: Any, transports: Any
) -> None:
    """Timeouts of web servers raise wherever a thread happens to be."""
    made: list[Any] = []

    def interrupted(tsocket: Any) -> Any:
        kind = InterruptedFrames if transports else InterruptedBuffer
        made.append(kind(tsocket))
        return TBufferedTransport(made[0]) if transports else made[0]

    with (
        Service(FeatureFlagStoreHandler(memory), transports, protocols) as service,
        connected(service.port, interrupted, protocol) as store,
    ):
        transport = made[0]
        store.create("f", client_data={"mine": "f"})
        store.create("other", client_data={"mine": "other"})
        for step in range(1, 1000):
            transport.steps, transport.at = 0, step
            try:
                store.get("other")
            except KeyboardInterrupt:
                transport.at = 0
            else:
                break
            item = store.get("f")
            assert item is not None
            assert item.meta["client_data"] == {"mine": "f"}
        assert 3 < step < 999


def test_a_transport_that_is_not_open_is_opened(service: Service) -> None:
    """Nobody has to know when the first flag is asked for."""
    with connected(service.port) as store:
        assert store.get("f") is None
        store.transport.close()  # type: ignore[attr-defined]
        assert store.get("f") is None
    assert service.connections == 2


def test_an_answer_in_words_keeps_the_connection(service: Service) -> None:
    """A refusal, and an internal error of the server, come as whole messages."""
    with connected(service.port) as store:
        with pytest.raises(ttypes.FlipperException):
            store.create("")
        with pytest.raises(TApplicationException):
            FeatureFlagStore.Client(Misnamed(store.transport)).Get("f")  # type: ignore[attr-defined]
        assert store.get("f") is None
    assert service.connections == 1


class Misnamed(TBinaryProtocol):
    """A protocol that calls a method which no server has."""

    def writeMessageBegin(self, _: str, kind: int, number: int) -> None:  # noqa: N802
        """Begin the wrong message."""
        super().writeMessageBegin("Forget", kind, number)


def test_a_late_answer_is_not_taken_for_the_next_one(service: Service) -> None:
    """After a timeout, the reply may still come: on a connection given up by then."""
    with (
        Proxy("127.0.0.1", service.port) as proxy,
        connected(proxy.port, timeout=0.1) as store,
    ):
        store.create("f", client_data={"mine": "f"})
        store.create("slow", client_data={"mine": "slow"})
        proxy.delay(0.3)
        with pytest.raises(TTransportException):
            store.get("slow")
        proxy.delay(0)
        time.sleep(0.4)
        item = store.get("f")
        assert item is not None
        assert item.meta["client_data"] == {"mine": "f"}


def test_what_is_known_last_is_what_was_read_or_written_last(service: Service) -> None:
    """Also by who has only written since."""
    with (
        Proxy("127.0.0.1", service.port) as proxy,
        connected(proxy.port) as store,
    ):
        client = FeatureFlagClient(store)
        meta = FeatureFlagStoreMeta(5, conditions=[Condition(a=1)])
        store.create("created", is_enabled=True)
        store.create("changed")
        store.set("changed", True)
        store.set_meta("changed", meta)
        store.create("deleted", is_enabled=True)
        store.delete("deleted")
        proxy.cut()
        assert client.is_enabled("created") is True
        assert client.is_enabled("changed", a=1) is True
        assert client.is_enabled("changed", a=2) is False
        assert client.is_enabled("deleted", default=None) is None
        assert client.is_enabled("unheard", default=None) is None
        with pytest.raises(TTransportException):
            client.exists("created")


def test_what_the_server_takes_back_is_not_known_any_more() -> None:
    """A flag that became unreadable, or went, must not stay on."""
    client = Mock(**{"Get.return_value": struct()})
    store = ThriftRPCFeatureFlagStore(client)
    asked = FeatureFlagClient(store)
    for answer in (NOT_FOUND, OTHER, struct(bucketer="x")):
        client.Get.side_effect = None
        assert asked.is_enabled("f") is True
        client.Get.side_effect = [answer]
        assert asked.is_enabled("f") is False
        assert store.last_known("f") is None
    for answer in (TApplicationException(), TTransportException()):
        client.Get.side_effect = None
        assert asked.is_enabled("f") is True
        client.Get.side_effect = answer
        assert asked.is_enabled("f") is True


FORK = """
import os, sys, threading, time
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport
from flipper import ThriftRPCFeatureFlagStore
from flipper_thrift.python.feature_flag_store.FeatureFlagStore import Client

transport = TBufferedTransport(TSocket("127.0.0.1", int(sys.argv[1])))
store = ThriftRPCFeatureFlagStore(Client(TBinaryProtocol(transport)))

def ask(name):
    for _ in range(100):
        assert store.get(name).feature_name == name

ask("parent")
slow = threading.Thread(target=store.get, args=["slow"])
slow.start()
while store._connection.lock.acquire(blocking=False):  # until the call is under way
    store._connection.lock.release()
child = os.fork()
if not child:
    try:
        ask("child")
    except BaseException:
        os._exit(1)
    os._exit(0)
slow.join()
ask("parent")
sys.exit(os.waitpid(child, 0)[1])
"""


class Slow(FeatureFlagStoreHandler):
    """A server that thinks about some flags."""

    def Get(self, feature_name: str) -> Any:  # noqa: N802
        """Give the flag, after a while if it is slow."""
        if feature_name == "slow":
            time.sleep(0.5)
        return super().Get(feature_name)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")
def test_a_forked_process_has_a_connection_of_its_own(
    memory: MemoryFeatureFlagStore,
) -> None:
    """Even if the fork comes while a thread waits for an answer."""
    for name in ("parent", "child", "slow"):
        memory.create(name)
    with Service(Slow(memory)) as service:
        command = [sys.executable, "-W", "ignore", "-c", FORK, str(service.port)]
        run = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
        )
        assert run.returncode == 0, run.stderr
    assert service.connections == 2


def test_a_client_without_transport_is_merely_called() -> None:
    """Test doubles are whatever their author thought of."""

    class Double:
        __slots__ = ()

        def Get(self, feature_name: str) -> Any:  # noqa: N802
            return struct(feature_name)

    item = ThriftRPCFeatureFlagStore(Double()).get("f")
    assert isinstance(item, FeatureFlagStoreItem)
