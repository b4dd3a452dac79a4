# SPDX-License-Identifier: Apache-2.0
"""The calls that the Thrift store makes of its client, and their answers."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
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
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.contrib.thrift import NO_LIMIT
from flipper.contrib.thrift.server import FeatureFlagStoreHandler
from flipper.exceptions import (
    InvalidArgumentError,
    StoreUnavailableError,
)
from flipper_thrift.python.feature_flag_store import ttypes
from servers import Proxy
from support.thrift_service import Service, connected
from support.thrift_structs import (
    BROKEN,
    METAS,
    NOT_FOUND,
    OTHER_ERROR,
    check,
    store_answering,
    struct,
)

pytestmark = pytest.mark.thrift


ROOT = Path(__file__).parents[3]


def test_the_constructor_has_the_published_signature() -> None:
    """The constructor takes `client` and `ttypes`, in this order."""
    parameters = inspect.signature(ThriftRPCFeatureFlagStore).parameters
    assert list(parameters) == ["client", "ttypes"]
    assert parameters["ttypes"].default is ttypes


def test_without_apache_thrift_only_the_constructor_fails() -> None:
    """Without the package the module can be imported, and every use names the extra."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import thrift\n"  # the folder in the checkout
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


# Calls


def test_each_method_is_one_call_of_the_client_by_position() -> None:
    """Each method makes exactly one call of the client, with positional arguments."""
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


def test_list_calls_the_client_at_once() -> None:
    """`list` calls the client when it is called, and not when it is read."""
    client = Mock(**{"List.return_value": [struct("a"), struct("b")]})
    flags = ThriftRPCFeatureFlagStore(client).list()
    client.List.assert_called_once_with(None, 0)
    assert [item.feature_name for item in flags] == ["a", "b"]


def test_other_generated_types_can_be_given() -> None:
    """The store uses the classes and the error code of the types that it is given."""

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


def test_client_data_that_cannot_be_sent_is_refused(
    store: ThriftRPCFeatureFlagStore, memory: MemoryFeatureFlagStore
) -> None:
    """Client data that JSON cannot express raises, and creates no flag."""
    with pytest.raises(InvalidArgumentError, match="JSON can express"):
        store.create("f", client_data={"a": object()})
    assert memory.get("f") is None


@pytest.mark.parametrize(("limit", "offset"), [(-1, 0), (None, -1), ("1", 0), (1, 0.5)])
def test_an_invalid_page_is_refused(
    store: ThriftRPCFeatureFlagStore, limit: Any, offset: Any
) -> None:
    """A limit or an offset that is negative or no whole number raises."""
    with pytest.raises(InvalidArgumentError):
        store.list(limit, offset)


def test_a_huge_limit_or_offset_is_accepted(
    store: ThriftRPCFeatureFlagStore,
) -> None:
    """A limit or an offset beyond 64 bits is accepted."""
    store.create("f")
    assert len(list(store.list(limit=2**70))) == 1
    assert not list(store.list(limit=2**63 - 1, offset=1))
    assert not list(store.list(offset=2**70))


def test_set_meta_reports_a_missing_flag_before_bad_metadata(
    store: ThriftRPCFeatureFlagStore,
) -> None:
    """`set_meta` checks whether the flag exists before it looks at the metadata."""
    with pytest.raises(FlagDoesNotExistError, match="Feature f does not exist"):
        store.set_meta("f", {"created_date": 5})  # type: ignore[arg-type]
    with pytest.raises(FlagDoesNotExistError, match="Feature f does not exist"):
        store.set_meta("f", FeatureFlagStoreMeta(5))
    store.create("f")
    with pytest.raises(AttributeError):
        store.set_meta("f", {"created_date": 5})  # type: ignore[arg-type]


def test_a_client_without_transport_can_be_used() -> None:
    """The store works with a test double that has nothing but the methods."""

    class Double:
        __slots__ = ()

        def Get(self, feature_name: str) -> Any:  # noqa: N802
            return struct(feature_name)

    item = ThriftRPCFeatureFlagStore(Double()).get("f")
    assert isinstance(item, FeatureFlagStoreItem)


@pytest.mark.parametrize(
    ("transport", "protocol", "transports", "protocols"),
    [
        (TBufferedTransport, TBinaryProtocolAccelerated, None, None),
        (TFramedTransport, TBinaryProtocol, TFramedTransportFactory(), None),
        (TBufferedTransport, TCompactProtocol, None, TCompactProtocolFactory()),
    ],
    ids=["accelerated", "framed", "compact"],
)
def test_any_transport_and_protocol_can_be_used(
    memory: MemoryFeatureFlagStore,
    transport: Any,
    protocol: Any,
    transports: Any,
    protocols: Any,
) -> None:
    """The store works with the transports and protocols of its client."""
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


def test_concurrent_writes_of_threads_are_all_kept(
    store: ThriftRPCFeatureFlagStore, memory: MemoryFeatureFlagStore
) -> None:
    """Writes of eight threads with one store do not undo each other."""
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


# Answers


@pytest.mark.parametrize(
    "answer",
    [
        SimpleNamespace(feature_name="f", is_enabled=True),
        SimpleNamespace(is_enabled=True, meta=SimpleNamespace()),
        SimpleNamespace(is_enabled=True, meta=SimpleNamespace(created_date=5)),
    ],
)
def test_an_answer_of_a_double_may_lack_fields(answer: Any) -> None:
    """An answer of a test double may lack the fields that a test does not need."""
    store = ThriftRPCFeatureFlagStore(Mock(**{"Get.return_value": answer}))
    assert FeatureFlagClient(store).is_enabled("f") is True
    assert FeatureFlagClient(store).get_client_data("f") == {}


def test_a_list_leaves_out_broken_flags(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A list leaves out broken structs, and logs each name once a minute."""
    nameless = struct(None)
    store = store_answering([struct("a"), *BROKEN, nameless, struct("b")])
    assert [item.feature_name for item in store.list()] == ["a", "b"]
    assert len([*store.list()]) == 2
    left_out = sorted(str(record.feature_name) for record in caplog.records)
    assert left_out == ["None", "f"]  # once a minute for each name


def test_an_answer_without_a_list_raises() -> None:
    """`list` raises, as during an outage, if the answer has no list."""
    store = store_answering(None)
    with pytest.raises(StoreUnavailableError, match="without a list"):
        store.list()
    assert issubclass(StoreUnavailableError, store.outage_errors)


def test_errors_of_the_server_are_raised() -> None:
    """All errors are raised but NOT_FOUND, and that only where one flag is read."""
    meta = FeatureFlagStoreMeta(5)
    assert store_answering(NOT_FOUND).get("f") is None
    with pytest.raises(FlagDoesNotExistError, match="Feature f does not exist"):
        store_answering(NOT_FOUND).set_meta("f", meta)
    for error in (NOT_FOUND, OTHER_ERROR):
        store = store_answering(error)
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
            call(store_answering(OTHER_ERROR))


def test_the_last_known_flag_is_the_last_read_or_written(service: Service) -> None:
    """During an outage a flag answers as the store has last read or written it."""
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
        assert client.is_enabled("never read", default=None) is None
        with pytest.raises(TTransportException):
            client.exists("created")


def test_a_missing_or_broken_flag_is_not_last_known() -> None:
    """A flag that became missing or unreadable is not answered as last known."""
    client = Mock(**{"Get.return_value": struct()})
    store = ThriftRPCFeatureFlagStore(client)
    asked = FeatureFlagClient(store)
    for answer in (NOT_FOUND, OTHER_ERROR, struct(bucketer="x")):
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


# A limit that is absent


class HandlerWithoutAbsentNumbers(FeatureFlagStoreHandler):
    """A server in a language where an absent number reads as 0."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self.limits: list[int | None] = []

    def List(self, limit: int | None, offset: int | None) -> list[Any]:  # noqa: N802
        """Return at most `limit` flags, none if it is absent."""
        self.limits.append(limit)
        return super().List(limit or 0, offset)


def test_an_empty_list_is_requested_again_with_a_limit(
    memory: MemoryFeatureFlagStore,
) -> None:
    """A store that knows a flag repeats `list` with a limit if the answer is empty."""
    handler = HandlerWithoutAbsentNumbers(memory)
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


def test_an_empty_list_counts_if_no_flag_is_known(
    memory: MemoryFeatureFlagStore,
) -> None:
    """A store that knows no flag accepts an empty list."""
    handler = HandlerWithoutAbsentNumbers(memory)
    with Service(handler) as service, connected(service.port) as store:
        assert not list(store.list())
        store.create("a")
        assert not list(store.list(offset=1))
        store.delete("a")
        assert not list(store.list())
    assert handler.limits == [None, None, None]


def test_a_call_in_an_event_loop_is_noticed(
    store: ThriftRPCFeatureFlagStore, caplog: pytest.LogCaptureFixture
) -> None:
    """In asyncio's debug mode, a client says once that it blocks the event loop."""

    async def ask() -> None:
        for _ in range(2):
            FeatureFlagClient(store).is_enabled("x")

    asyncio.run(ask(), debug=True)
    (found,) = [r for r in caplog.records if "event loop" in r.getMessage()]
    assert found.getMessage().startswith("ThriftRPCFeatureFlagStore is called")
