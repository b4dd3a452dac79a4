# SPDX-License-Identifier: Apache-2.0
"""Asking never raises, a failing store answers as last known, and writes lose nothing.

What the client does on a good day is in `tests/compat`.
"""

from __future__ import annotations

import inspect
import logging
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from unittest import mock
from unittest.mock import MagicMock

import pytest

import flipper.client
import flipper.contracts.last_known
from flipper import (
    CachedFeatureFlagStore,
    Condition,
    FeatureFlagClient,
    FlagDoesNotExistError,
    MemoryFeatureFlagStore,
    ReplicatedFeatureFlagStore,
)
from flipper.bucketing import ConsistentHashPercentageBucketer, PercentageBucketer
from flipper.client import flag_must_exist
from flipper.contracts import circuit_breaker
from flipper.contracts.atomic import AtomicFeatureFlagStore
from flipper.contracts.last_known import SupportsLastKnown
from flipper.contracts.wrapper import FeatureFlagStoreWrapper
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.evaluation import Reason
from flipper.events import EventType, FlipperEventEmitter
from flipper.exceptions import InvalidArgumentError, InvalidFlagDataError
from flipper.flag import FeatureFlag
from flipper.runtime import log_throttle
from flipper.testing.contract import CHANGES, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OTHER = object()


class OwnStore:
    """A store of one's own: six methods, documents in a dict.

    Attributes:
        documents: what it keeps, by name.
        failure: raised by `get`, if there is one.
        reads: how often `get` was called.
    """

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.failure: BaseException | None = None
        self.reads = 0

    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlagStoreItem:
        """Write a new flag."""
        meta = FeatureFlagStoreMeta(1_500_000_000, client_data=client_data)
        return self._put(FeatureFlagStoreItem(feature_name, is_enabled, meta))

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag."""
        self.reads += 1
        if self.failure is not None:
            raise self.failure
        document = self.documents.get(feature_name)
        return None if document is None else FeatureFlagStoreItem.deserialize(document)

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state."""
        item = self.get(feature_name)
        if item is None:
            self.create(feature_name, is_enabled)
        else:
            self._put(item.replace(is_enabled=is_enabled))

    def delete(self, feature_name: str) -> None:
        """Remove a flag."""
        self.documents.pop(feature_name, None)

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem]:
        """List the flags."""
        stop = None if limit is None else offset + limit
        for name in [*self.documents][offset:stop]:
            yield FeatureFlagStoreItem.deserialize(self.documents[name])

    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Write the metadata."""
        item = self.get(feature_name)
        if item is None:
            raise FlagDoesNotExistError(f"Feature {feature_name} does not exist")
        self._put(item.replace(meta=meta))

    def _put(self, item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        self.documents[item.feature_name] = item.serialize()
        return item


class FailingMemoryStore(MemoryFeatureFlagStore):
    """A store in memory whose `get` fails on request."""

    failure: BaseException | None = None

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag."""
        if self.failure is not None:
            raise self.failure
        return super().get(feature_name)


class DistantStore(MemoryFeatureFlagStore):
    """A store that says which errors mean that its server is away.

    Attributes:
        failure: raised by `get`, if there is one.
        reads: how often `get` was called.
    """

    failure: BaseException | None = None
    reads = 0

    @property
    def outage_errors(self) -> tuple[type[Exception], ...]:
        """A lost connection."""
        return (ConnectionError,)

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag."""
        self.reads += 1
        if self.failure is not None:
            raise self.failure
        return super().get(feature_name)


class Hostile:
    """Cannot be compared, by an error of its own."""

    def __gt__(self, other: object) -> bool:
        raise ZeroDivisionError


class Clock:
    """Stands in for `monotonic`; somebody has to put it forward."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stop the clock of warnings."""
    clock = Clock()
    monkeypatch.setattr(log_throttle, "monotonic", clock)
    return clock


@pytest.fixture
def store() -> MemoryFeatureFlagStore:
    """Give an empty store."""
    return MemoryFeatureFlagStore()


@pytest.fixture
def client(store: MemoryFeatureFlagStore) -> FeatureFlagClient:
    """Give a client of that store."""
    return FeatureFlagClient(store)


def answers(client: FeatureFlagClient, feature_name: Any, /, **context: Any) -> Any:
    """Ask a flag in every way there is, and give the answer, which has to be one."""
    flag = client.get(feature_name)
    given = [
        client.is_enabled(feature_name, OTHER, **context),
        flag.is_enabled(OTHER, **context),
        client.explain(feature_name, OTHER, **context).enabled,
        flag.explain(OTHER, **context).enabled,
    ]
    assert all(answer is given[0] for answer in given)
    without_default = client.is_enabled(feature_name, **context)
    assert without_default is (False if given[0] is OTHER else given[0])
    return given[0]


# What cannot be evaluated


def test_values_that_cannot_be_compared_answer_the_default(
    client: FeatureFlagClient,
) -> None:
    """A page view must not fail over a value that is missing for once."""
    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(age__gt=17))
    assert answers(client, "x", age=18) is True
    assert answers(client, "x", age=None) is OTHER
    assert answers(client, "x", age="18") is OTHER


def test_arguments_without_a_bucket_answer_the_default(
    client: FeatureFlagClient,
) -> None:
    """What JSON cannot express has no bucket."""
    client.create("x", is_enabled=True)
    client.set_bucketer("x", ConsistentHashPercentageBucketer(percentage=0.5))
    assert answers(client, "x", user=object()) is OTHER


def test_a_value_whose_truth_is_unknown_answers_the_default(
    client: FeatureFlagClient,
) -> None:
    """Comparing may work, and deciding upon the result may not: arrays are so."""

    class Array:
        def __gt__(self, other: object) -> Array:
            return self

        def __bool__(self) -> bool:
            raise ValueError("ambiguous")

    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(n__gt=1))
    assert answers(client, "x", n=Array()) is OTHER


@pytest.mark.parametrize(
    ("text", "replacement"),
    [
        (b"NoOpBucketer", b"NoSuchBucketer"),
        (b"Percentage", b"Share"),
        (b'"gt"', b'"greater"'),
        (b'"meta"', b'"metadata"'),
        (b'{"feature_name"', b'"feature_name"'),
        (b'"x"', b'"\xff"'),
    ],
    ids=["bucketer", "percentage", "operator", "field", "json", "utf-8"],
)
def test_a_broken_document_answers_the_default(text: bytes, replacement: bytes) -> None:
    """Its state cannot be trusted, whatever is wrong with it."""
    store = OwnStore()
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(a__gt=1))
    if text == b"Percentage":
        client.set_bucketer("x", PercentageBucketer(0.5))
    assert answers(client, "x", a=2) is True
    good = store.documents["x"]
    store.documents["x"] = good.replace(text, replacement, 1)
    assert store.documents["x"] != good
    assert answers(client, "x", a=2) is OTHER
    assert client.explain("x").reason is Reason.ERROR


@pytest.mark.parametrize("name", [["x"], {"x": 1}, set(), None, 5, b"x", "\ud800", ""])
def test_what_is_no_name_answers_the_default(
    client: FeatureFlagClient, name: Any
) -> None:
    """Not even hashable: the question is an odd one, the answer is the default."""
    assert answers(client, name) is OTHER
    assert client.explain(name, True).feature_name is name


@pytest.mark.parametrize("item", ["on", True, {"is_enabled": True}, object()])
def test_a_store_that_gives_no_item_answers_the_default(item: Any) -> None:
    """A store of one's own may have a bug; the page is shown all the same."""
    store = MagicMock()
    store.get.return_value = item
    assert answers(FeatureFlagClient(store), "x") is OTHER


def test_only_errors_are_caught() -> None:
    """Who interrupts a program does not ask about a flag."""
    store = OwnStore()
    store.failure = KeyboardInterrupt()
    client = FeatureFlagClient(store)
    with pytest.raises(KeyboardInterrupt):
        client.is_enabled("x")
    with pytest.raises(KeyboardInterrupt):
        client.explain("x")


# What cannot be read


@pytest.mark.parametrize("kind", [OwnStore, FailingMemoryStore, DistantStore])
def test_a_failing_store_answers_as_last_known(kind: Any) -> None:
    """The state, with its conditions: they are evaluated for each call."""
    store = kind()
    client = FeatureFlagClient(store)
    client.create("on", is_enabled=True)
    client.create("off")
    client.create("for-admins", is_enabled=True)
    client.add_condition("for-admins", Condition(is_admin=True))
    for flag in client.list():
        flag.is_enabled()
    store.failure = ConnectionError("away")
    assert answers(client, "on") is True
    assert answers(client, "off") is False
    assert answers(client, "for-admins", is_admin=True) is True
    assert answers(client, "for-admins", is_admin=False) is False
    assert answers(client, "never-seen") is OTHER
    told = client.explain("on")
    assert told.reason is Reason.ON
    for error in (told.error, client.explain("never-seen").error):
        assert type(error) is ConnectionError
        assert str(error) == "away"


@pytest.mark.parametrize("kind", [OwnStore, FailingMemoryStore])
def test_a_store_that_is_back_is_believed_at_once(kind: Any) -> None:
    """Nothing of the outage is left, not even what was known before it."""
    store = kind()
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    client.create("gone", is_enabled=True)
    assert answers(client, "x") is True
    assert answers(client, "gone") is True
    store.failure = ConnectionError("away")
    assert answers(client, "x") is True
    store.failure = None
    store.set("x", False)
    store.delete("gone")
    assert answers(client, "x") is False
    assert answers(client, "gone") is OTHER
    store.failure = ConnectionError("away")
    assert answers(client, "x") is False
    assert answers(client, "gone") is OTHER


@pytest.mark.parametrize("kind", [OwnStore, FailingMemoryStore, DistantStore])
@pytest.mark.parametrize(
    "write",
    [
        lambda flag: flag.disable(),
        lambda flag: flag.destroy(),
        lambda flag: flag.add_condition(Condition(a=1)),
        lambda flag: flag.set_conditions([Condition(a=1)]),
        lambda flag: flag.set_bucketer(PercentageBucketer(0)),
        lambda flag: flag._client.create(flag.name),
    ],
    ids=lambda write: write.__code__.co_names[-1],
)
def test_what_was_written_is_never_undone_by_an_outage(
    kind: Any, write: Callable[[Any], None]
) -> None:
    """Who switched a flag off does not find it on because the store went away."""
    store = kind()
    flag = FeatureFlagClient(store).create("x", is_enabled=True)
    assert flag.is_enabled(a=2) is True
    write(flag)
    store.failure = ConnectionError("away")
    assert flag.is_enabled(a=2) is False


@pytest.mark.parametrize("kind", [OwnStore, FailingMemoryStore])
def test_what_was_written_is_known_before_it_is_read(kind: Any) -> None:
    """A flag made or changed a moment ago answers as it was written."""
    store = kind()
    client = FeatureFlagClient(store)
    made = client.create("made", is_enabled=True)
    limited = client.create("limited", is_enabled=True)
    limited.add_condition(Condition(a=1))
    switched = client.create("switched")
    switched.enable()
    store.failure = ConnectionError("away")
    assert made.is_enabled() is True
    assert limited.is_enabled(a=1) is True
    assert limited.is_enabled(a=2) is False
    assert switched.is_enabled() is True


def test_what_cannot_be_known_of_a_write_is_not_made_up() -> None:
    """A state alone is no flag: conditions that nobody has read may limit it."""
    store = OwnStore()
    store.create("x")
    store.set_meta("x", FeatureFlagStoreMeta(0, conditions=[Condition(a=1)]))
    flag = FeatureFlagClient(store).get("x")
    flag.enable()
    store.failure = ConnectionError("away")
    assert flag.is_enabled(OTHER, a=2) is OTHER


def test_an_item_of_ones_own_is_not_known_after_a_write() -> None:
    """What its class makes of a state is its own affair: better no answer than that."""

    class OwnItem(FeatureFlagStoreItem):
        """Says on, whatever it is given."""

        def is_enabled(self, /, **kwargs: Any) -> bool:
            return True

    store = MagicMock()
    store.get.return_value = OwnItem("x", True, FeatureFlagStoreMeta(0))
    client = FeatureFlagClient(store)
    assert answers(client, "x") is True
    client.disable("x")
    store.get.side_effect = ConnectionError("away")
    assert answers(client, "x") is OTHER


def test_what_is_broken_is_not_away() -> None:
    """A document that was read and is no flag has replaced the one known before."""
    store = OwnStore()
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    assert answers(client, "x") is True
    store.documents["x"] = b"{"
    assert answers(client, "x") is OTHER


def test_a_last_known_state_that_cannot_be_told_is_none() -> None:
    """A store that promises to remember, and cannot, is asked for nothing more."""

    class Forgetful(FailingMemoryStore):
        last_known = SupportsLastKnown.last_known

    store = Forgetful()
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    store.failure = ConnectionError("away")
    assert answers(client, "x") is OTHER


def test_last_known_states_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that asks about ever new names does not grow for ever."""
    monkeypatch.setattr(flipper.contracts.last_known, "REMEMBERED", 10)
    store = OwnStore()
    client = FeatureFlagClient(store)
    for number in range(15):
        client.create(f"x{number}", is_enabled=True)
        client.is_enabled(f"x{number}")
    store.failure = ConnectionError("away")
    known = [number for number in range(15) if client.is_enabled(f"x{number}")]
    assert known == [*range(5, 15)]


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.exists("x"),
        lambda client: client.get_meta("x"),
        lambda client: client.get_client_data("x"),
        lambda client: client.enable("x"),
        lambda client: client.disable("x"),
        lambda client: client.destroy("x"),
        lambda client: client.set_client_data("x", {}),
        lambda client: client.add_condition("x", Condition()),
        lambda client: client.set_conditions("x", []),
        lambda client: client.set_bucketer("x", None),
    ],
    ids=lambda call: call.__code__.co_names[0],
)
def test_all_else_raises_what_the_store_raises(
    call: Callable[[FeatureFlagClient], object],
) -> None:
    """Who administers flags has to know that it did not work, and why."""
    store = DistantStore()
    client = FeatureFlagClient(store)
    client.create("x")
    client.is_enabled("x")
    store.failure = ConnectionError("away")
    client.is_enabled("x")
    with pytest.raises(ConnectionError, match="away") as error:
        call(client)
    assert error.value is store.failure


@pytest.mark.parametrize("method", ["exists", "get_meta", "get_client_data", "enable"])
def test_an_error_of_a_broken_document_names_the_flag(method: str) -> None:
    """The document itself cannot be trusted to know its name."""
    store = OwnStore()
    store.documents["x"] = b'{"feature_name": "y"}'
    with pytest.raises(InvalidFlagDataError, match="Feature 'x' cannot be read") as e:
        getattr(FeatureFlagClient(store), method)("x")
    assert e.value.feature_name == "x"


# A store that is away


def test_a_write_is_told_to_a_store_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever remembers must not come back with what was before the write."""

    class Recording(DistantStore):
        record_write = MagicMock()
        record_state = MagicMock()

    monkeypatch.setattr(circuit_breaker, "_FIRST_PAUSE", 5.0)  # it is not tried
    store = Recording()
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    assert client.is_enabled("x") is True
    store.failure = ConnectionError("away")
    assert client.is_enabled("x") is True
    store.failure = None
    client.disable("x")
    store.record_state.assert_called_once_with("x", False)
    client.set_client_data("x", {"a": 1})
    ((name, item), _) = store.record_write.call_args
    assert (name, item.meta["client_data"]) == ("x", {"a": 1})
    reads = store.reads
    assert client.is_enabled("x") is False  # from what the store knows
    assert store.reads == reads


def test_threads_meet_a_store_that_comes_and_goes() -> None:
    """Whatever the moment, the flag is on and nothing raises."""
    store = DistantStore()
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    client.is_enabled("x")
    ended = threading.Event()

    def ask() -> set[Any]:
        given = set()
        while not ended.is_set():
            given.add(client.is_enabled("x", OTHER))
        return given

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask) for _ in range(4)]
        for count in range(200):
            store.failure = ConnectionError("away") if count % 2 else None
        ended.set()
        assert {answer for each in asked for answer in each.result()} <= {True}


# Warnings


@pytest.fixture
def warned(
    caplog: pytest.LogCaptureFixture, clock: Clock
) -> Callable[[], list[logging.LogRecord]]:
    """Give what has been warned of since the last look."""
    caplog.set_level(logging.DEBUG, "flipper")

    def warned() -> list[logging.LogRecord]:
        # Not what background threads of stores of other tests log.
        records = [each for each in caplog.records if each.name == "flipper.client"]
        caplog.clear()
        return records

    return warned


def test_one_warning_per_flag_and_kind_of_error_in_a_minute(
    client: FeatureFlagClient,
    clock: Clock,
    warned: Callable[[], list[logging.LogRecord]],
) -> None:
    """Asked a thousand times a second, one is a warning and the others are noise."""
    for name in ("x", "y"):
        client.create(name, is_enabled=True)
        client.add_condition(name, Condition(n__gt=1))
    for _ in range(50):
        client.is_enabled("x", n=None)
        client.explain("x", n=None)
    assert len(warned()) == 1
    client.is_enabled("y", n=None)
    assert len(warned()) == 1
    client.is_enabled("x", n=Hostile())
    assert len(warned()) == 1
    clock.seconds += 59.9
    client.is_enabled("x", n=Hostile())
    assert not warned()
    clock.seconds += 0.2
    client.is_enabled("x", n=Hostile())
    client.is_enabled("x", n=Hostile())
    (record,) = warned()
    assert record.getMessage().endswith("(1 more times since the last warning)")


def test_a_warning_says_which_flag_and_what_happened(
    client: FeatureFlagClient, warned: Callable[[], list[logging.LogRecord]]
) -> None:
    """The text is constant, so that logs can be grouped; the facts are attributes."""
    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(email__gt=1))
    client.is_enabled("x", email="ann@example.org")
    (record,) = warned()
    assert record.name == "flipper.client"
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "Feature 'x' could not be read or evaluated (TypeError); the last known "
        "state or the default answers"
    )
    assert record.feature_name == "x"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], TypeError)


@pytest.mark.parametrize("kind", [OwnStore, FailingMemoryStore, DistantStore])
def test_an_outage_is_told_at_its_begin_its_end_and_once_a_minute(
    kind: Any, clock: Clock, warned: Callable[[], list[logging.LogRecord]]
) -> None:
    """Whatever the number of flags and of threads: 1,500 flags are asked four times."""
    store = kind()
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    store.failure = ConnectionError("away")

    def ask() -> None:
        for number in range(1500):
            assert client.is_enabled(f"x{number}", OTHER) is OTHER

    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(ask) for _ in range(4)]:
            each.result()
    (begin,) = warned()
    name = kind.__name__
    assert begin.getMessage() == (
        f"{name} fails (ConnectionError: away); flags are answered by their last known "
        f"state, else by the default"
    )
    assert begin.exc_info is not None
    assert begin.feature_name.startswith("x")
    clock.seconds += 61
    client.is_enabled("x")
    client.is_enabled("x")
    (again,) = warned()
    assert again.levelno == logging.WARNING
    assert again.getMessage() == (
        f"{begin.getMessage()} (5999 more questions failed since the last warning)"
    )
    assert again.exc_info is None
    store.failure = None
    eventually(lambda: client.explain("x").error is None)
    eventually(lambda: client._reader is client._source.fast_path())
    client.is_enabled("x")
    (end,) = warned()
    assert end.levelno == logging.INFO
    assert end.getMessage().startswith(f"{name} answers again (")


def test_a_store_that_comes_and_goes_is_told_of_once_a_minute(
    clock: Clock, warned: Callable[[], list[logging.LogRecord]]
) -> None:
    """Hundreds of short outages would fill the log as well as one long one."""
    store = OwnStore()
    client = FeatureFlagClient(store)
    for _ in range(100):
        store.failure = ConnectionError("away")
        client.is_enabled("x")
        store.failure = None
        client.is_enabled("x")
    assert [record.levelname for record in warned()] == ["WARNING", "INFO"]
    clock.seconds += 61
    store.failure = ConnectionError("away")
    client.is_enabled("x")
    (record,) = warned()
    assert "99 more questions" in record.getMessage()


def test_who_wants_errors_gets_no_log(
    warned: Callable[[], list[logging.LogRecord]],
) -> None:
    """They are the caller's to log."""
    store = DistantStore()
    client = FeatureFlagClient(store, on_error="raise")
    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(n__gt=1))
    with pytest.raises(TypeError):
        client.is_enabled("x", n=None)
    store.failure = ConnectionError("away")
    with pytest.raises(ConnectionError):
        client.is_enabled("x")
    assert not warned()


def test_a_good_answer_warns_of_nothing(
    client: FeatureFlagClient, warned: Callable[[], list[logging.LogRecord]]
) -> None:
    """Neither does a missing flag: code is often there before its flag."""
    client.create("x", is_enabled=True)
    assert answers(client, "x") is True
    assert answers(client, "missing") is OTHER
    assert not warned()


def test_what_was_warned_of_is_bounded(
    client: FeatureFlagClient,
    warned: Callable[[], list[logging.LogRecord]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Names that come from outside must not fill the memory."""
    monkeypatch.setattr(log_throttle, "MAX_KINDS", 10)
    for number in range(25):
        client.is_enabled([number])  # type: ignore[arg-type]
    assert len(warned()) == 25
    assert len(client._log._kinds) == 10
    for number in range(15, 25):  # only the oldest are forgotten
        client.is_enabled([number])  # type: ignore[arg-type]
    assert not warned()


# on_error


def test_on_request_errors_come_out() -> None:
    """The behaviour of flipper-client, for those who built on it."""
    store = OwnStore()
    client = FeatureFlagClient(store, on_error="raise")
    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(n__gt=1))
    assert answers(client, "x", n=2) is True
    for ask in (client.is_enabled, client.explain):
        with pytest.raises(TypeError, match="not supported between"):
            ask("x", n=None)
        store.documents["broken"] = b"{"
        with pytest.raises(ValueError, match="JSONDecodeError"):
            ask("broken")
        store.failure = ConnectionError("away")
        with pytest.raises(ConnectionError) as error:
            ask("x", n=2)
        assert error.value is store.failure
        store.failure = None


def test_who_wants_errors_gets_each() -> None:
    """Each call asks, and each call tells, though the server is away."""
    store = DistantStore()
    client = FeatureFlagClient(store, on_error="raise")
    store.failure = ConnectionError("away")
    for _ in range(5):
        with pytest.raises(ConnectionError):
            client.is_enabled("x")
    assert store.reads == 5


@pytest.mark.parametrize("choice", ["rise", "", None, True, "Raise"])
def test_a_choice_that_is_none_is_refused(
    store: MemoryFeatureFlagStore, choice: Any
) -> None:
    """A misspelt choice must not be taken for the other one."""
    with pytest.raises(InvalidArgumentError) as error:
        FeatureFlagClient(store, on_error=choice)
    assert str(error.value) == (
        f"on_error={choice!r} is unknown; use 'default' or 'raise'"
    )
    assert error.value.value is choice


# strict


def test_an_unknown_flag_is_nothing_special_as_a_rule(
    client: FeatureFlagClient, warned: Callable[[], list[logging.LogRecord]]
) -> None:
    """Flags are asked for before they are created, and after they are gone."""
    assert client.is_enabled("missing") is False
    assert client.is_enabled("missing", default="default") == "default"
    assert not warned()


def test_on_request_an_unknown_flag_is_warned_of(
    store: MemoryFeatureFlagStore,
    warned: Callable[[], list[logging.LogRecord]],
    clock: Clock,
) -> None:
    """Once per flag in a minute; the default answers as ever."""
    client = FeatureFlagClient(store, strict="warn")
    client.create("x")
    for _ in range(5):
        assert client.is_enabled("missing", default=True) is True
        assert client.is_enabled("other") is False
        assert client.is_enabled("x") is False
    assert [record.getMessage() for record in warned()] == [
        "Feature missing does not exist; the default answers",
        "Feature other does not exist; the default answers",
    ]
    clock.seconds += 61
    client.is_enabled("missing")
    assert len(warned()) == 1


def test_on_request_an_unknown_flag_is_an_error(store: MemoryFeatureFlagStore) -> None:
    """For tests, where a misspelt name is a mistake; `explain` goes on telling."""
    client = FeatureFlagClient(store, strict="raise")
    with pytest.raises(FlagDoesNotExistError) as error:
        client.is_enabled("missing", default=True)
    assert error.value.feature_name == "missing"
    assert client.explain("missing").reason is Reason.MISSING
    client.create("missing")
    assert client.is_enabled("missing") is False


@pytest.mark.parametrize("choice", ["rise", "", None, True])
def test_a_strictness_that_is_none_is_refused(
    store: MemoryFeatureFlagStore, choice: Any
) -> None:
    """It names those there are."""
    with pytest.raises(InvalidArgumentError, match="'silent' or 'warn' or 'raise'"):
        FeatureFlagClient(store, strict=choice)


# Writes that nobody listens to


SHORT_WRITES: dict[str, Callable[[FeatureFlagClient, str], object]] = {
    "enable": lambda client, name: client.enable(name),
    "disable": lambda client, name: client.disable(name),
    "add_condition": lambda client, name: client.add_condition(name, Condition(a=1)),
}


class HookedStore(AtomicFeatureFlagStore):
    """A store of hooks that lists what it is asked to load."""

    def __init__(self) -> None:
        self.items: dict[str, Any] = {}
        self.loaded: list[str] = []

    def _load(self, feature_name: str) -> Any:
        self.loaded.append(feature_name)
        item = self.items.get(feature_name)
        return None if item is None else (item, item)

    def _swap(self, item: Any, expected: object) -> bool:
        self.items[item.feature_name] = item
        return True

    def _remove(self, feature_name: str) -> None:
        del self.items[feature_name]

    def _scan(self) -> Iterator[Any]:
        yield from self.items.values()

    def _now(self) -> int:
        return 0


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("wrap", [lambda inner: inner, FeatureFlagStoreWrapper])
def test_an_unheard_write_asks_once(wrap: Any, name: str) -> None:
    """Whether the flag exists is found out by the write itself."""
    inner = HookedStore()
    client = FeatureFlagClient(wrap(inner))
    client.create("x")
    CHANGES[name](client, "x")
    with pytest.raises(FlagDoesNotExistError):
        CHANGES[name](client, "missing")
    assert inner.loaded == ["x", "missing"]


@pytest.mark.parametrize("kind", [OwnStore, MemoryFeatureFlagStore])
@pytest.mark.parametrize("name", ["set_client_data", "set_conditions", "set_bucketer"])
@pytest.mark.parametrize("is_heard", [False, True])
def test_a_missing_flag_is_said_before_a_bad_value(
    kind: Any, name: str, is_heard: bool
) -> None:
    """The same mistake is told in the same words, whoever listens."""
    client = FeatureFlagClient(kind())
    if is_heard:
        client.events.on(EventType.PRE_ENABLE, lambda *_: None)
    write = getattr(client, name)
    with pytest.raises(FlagDoesNotExistError):
        write("x", 1)
    client.create("x")
    with pytest.raises(InvalidArgumentError):
        write("x", 1)


def test_what_another_has_destroyed_is_not_known_any_more() -> None:
    """A write that found the flag missing counts more than an earlier question."""
    store = OwnStore()
    for change in CHANGES.values():
        client = FeatureFlagClient(store)
        client.create("x", is_enabled=True)
        assert client.is_enabled("x") is True
        store.delete("x")
        with pytest.raises(FlagDoesNotExistError):
            change(client, "x")
        store.failure = ConnectionError("away")
        assert answers(client, "x") is OTHER
        store.failure = None


def test_of_two_who_destroy_a_flag_at_once_one_is_told() -> None:
    """Both have seen it, but only one of them has removed it."""
    store = MemoryFeatureFlagStore()
    for wrap in (
        lambda inner: inner,
        CachedFeatureFlagStore,
        lambda inner: ReplicatedFeatureFlagStore(inner, MemoryFeatureFlagStore()),
    ):
        client = FeatureFlagClient(wrap(store))
        client.create("x")
        done: list[str] = []
        client.events.on(EventType.PRE_DESTROY, store.delete)
        client.events.on(EventType.POST_DESTROY, done.append)
        with pytest.raises(FlagDoesNotExistError):
            client.destroy("x")
        assert not done


def test_an_overridden_delete_is_called_to_destroy() -> None:
    """A store that audits what is removed sees it."""
    deleted: list[str] = []

    class Audited(MemoryFeatureFlagStore):
        def delete(self, feature_name: str) -> None:
            deleted.append(feature_name)
            super().delete(feature_name)

    for store in (Audited(), CachedFeatureFlagStore(Audited())):
        client = FeatureFlagClient(store)
        client.create("x").destroy()
        assert not client.exists("x")
    patched = MemoryFeatureFlagStore()
    FeatureFlagClient(patched).create("x")
    with mock.patch.object(patched, "delete", deleted.append):
        FeatureFlagClient(patched).destroy("x")
    assert deleted == ["x", "x", "x"]


@pytest.mark.parametrize("write", SHORT_WRITES.values(), ids=SHORT_WRITES)
def test_an_unheard_write_of_a_missing_flag_raises_and_makes_none(
    store: MemoryFeatureFlagStore, write: Callable[[FeatureFlagClient, str], object]
) -> None:
    """The write finds that out itself, without a question before."""
    client = FeatureFlagClient(store)
    with pytest.raises(FlagDoesNotExistError, match="Feature x does not exist"):
        write(client, "x")
    assert store.get("x") is None


@pytest.mark.parametrize("write", SHORT_WRITES.values(), ids=SHORT_WRITES)
@pytest.mark.parametrize("replaced", ["get", "set", "set_meta"])
def test_a_replaced_method_of_the_store_is_called(
    store: MemoryFeatureFlagStore,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[FeatureFlagClient, str], object],
    replaced: str,
) -> None:
    """A spy in a test suite, put there before or after the client was made."""
    client = FeatureFlagClient(store)
    client.create("x")
    calls: list[Any] = []
    original = getattr(store, replaced)

    def spy(*args: Any) -> Any:
        calls.append(args)
        return original(*args)

    monkeypatch.setattr(store, replaced, spy)
    write(client, "x")
    SHORT_WRITES["disable" if write is SHORT_WRITES["enable"] else "enable"](
        client, "x"
    )
    client.add_condition("x", Condition(b=1))
    assert calls
    monkeypatch.undo()
    calls.clear()
    write(client, "x")
    assert calls == []


@pytest.mark.parametrize("write", SHORT_WRITES.values(), ids=SHORT_WRITES)
def test_an_emitter_in_any_disguise_hears_of_it(
    store: MemoryFeatureFlagStore,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[FeatureFlagClient, str], object],
) -> None:
    """A listener, a spy in the object or the class, or an emitter of one's own."""
    client = FeatureFlagClient(store)
    client.create("x")
    heard: list[Any] = []

    def emit(*args: Any, **kwargs: Any) -> bool:
        heard.append(args)
        return True

    with monkeypatch.context() as patched:
        patched.setattr(client.events, "emit", emit)
        write(client, "x")
    assert len(heard) == 2
    with monkeypatch.context() as patched:
        patched.setattr(FlipperEventEmitter, "emit", emit)
        write(client, "x")
    assert len(heard) == 4
    for event in EventType:
        client.events.on(event, emit)
    write(client, "x")
    assert len(heard) == 6


# The names of arguments


@pytest.mark.parametrize(
    "name", ["feature_name", "self", "randomizer", "item", "store"]
)
def test_a_condition_may_look_at_any_name(client: FeatureFlagClient, name: str) -> None:
    """Users' names come first: the library keeps out of their way."""
    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(**{name: "a"}))
    assert answers(client, "x", **{name: "a"}) is True
    assert answers(client, "x", **{name: "b"}) is False


def test_the_flag_may_be_named_by_keyword(client: FeatureFlagClient) -> None:
    """As the README of flipper-client writes it in each signature."""
    client.create("x", is_enabled=True)
    assert client.is_enabled(feature_name="x") is True
    assert client.is_enabled(default=OTHER, feature_name="y") is OTHER
    assert client.explain(feature_name="x").enabled is True
    assert client.explain(feature_name="x", a=1).feature_name == "x"


@pytest.mark.parametrize("method", ["is_enabled", "explain"])
def test_a_question_without_a_flag_is_a_mistake(
    client: FeatureFlagClient, method: str
) -> None:
    """It cannot have a default: the program is wrong, not the world."""
    with pytest.raises(TypeError, match="missing 1 required argument: 'feature_name'"):
        getattr(client, method)()
    with pytest.raises(TypeError, match="missing 1 required argument: 'feature_name'"):
        getattr(client, method)(user_id=1)


def test_default_is_the_default(client: FeatureFlagClient) -> None:
    """Callers have always given it by this name, so no condition ever sees it."""
    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(default="a"))
    assert client.is_enabled("x", default="b") is True
    assert client.is_enabled("missing", default="b") == "b"


def test_a_randomizer_draws_only_if_it_can(client: FeatureFlagClient) -> None:
    """An argument of that name may as well be an argument of the user's."""
    client.create("x", is_enabled=True)
    client.set_bucketer("x", PercentageBucketer(0.5))
    assert answers(client, "x", randomizer=lambda: 0.4) is True
    assert answers(client, "x", randomizer=lambda: 0.6) is False
    assert client.is_enabled("x", randomizer=5) in {True, False}
    client.set_bucketer("x", ConsistentHashPercentageBucketer(percentage=0.5))
    assert answers(client, "x", user_id=1, randomizer=5) is True


# Handles


def test_a_handle_does_what_the_client_does() -> None:
    """Each of its methods is the client's, with the name put in front."""
    client = MagicMock()
    flag = FeatureFlag("x", client)
    condition, bucketer = Condition(), PercentageBucketer(0.5)
    flag.is_enabled(1, a=2)
    flag.explain(1, a=2)
    flag.exists()
    flag.enable()
    flag.disable()
    flag.destroy()
    flag.add_condition(condition)
    flag.set_conditions([condition])
    flag.set_client_data({"a": 1})
    flag.set_bucketer(bucketer)
    assert [tuple(call) for call in client.method_calls] == [
        ("is_enabled", ("x",), {"default": 1, "a": 2}),
        ("explain", ("x",), {"default": 1, "a": 2}),
        ("exists", ("x",), {}),
        ("enable", ("x",), {}),
        ("disable", ("x",), {}),
        ("destroy", ("x",), {}),
        ("add_condition", ("x", condition), {}),
        ("set_conditions", ("x", [condition]), {}),
        ("set_client_data", ("x", {"a": 1}), {}),
        ("set_bucketer", ("x", bucketer), {}),
    ]


def test_a_handle_has_every_method_of_a_client_that_takes_a_name() -> None:
    """Who has a flag needs no client."""
    public = {
        name: inspect.signature(method)
        for name, method in vars(FeatureFlagClient).items()
        if callable(method) and not name.startswith("_")
    }
    named = {name for name, made in public.items() if "feature_name" in made.parameters}
    assert named - {"create", "get"} <= vars(FeatureFlag).keys()


def test_a_handle_shows_its_name(client: FeatureFlagClient) -> None:
    """In a debugger, and in the console."""
    assert repr(client.get("a b")) == "<FeatureFlag 'a b'>"


# What clients of one's own build on


def test_a_client_of_ones_own_guards_its_methods() -> None:
    """`flag_must_exist` is a public name, for methods that take the flag first."""

    class Client(FeatureFlagClient):
        @flag_must_exist
        def rename(self, feature_name: str, new: str, *, really: bool) -> Any:
            """Give a flag another name."""
            return feature_name, new, really

    client = Client(MemoryFeatureFlagStore())
    with pytest.raises(FlagDoesNotExistError, match="Feature x does not exist"):
        client.rename("x", "y", really=True)
    client.create("x")
    assert client.rename("x", "y", really=True) == ("x", "y", True)
    assert client.rename.__name__ == "rename"
    assert client.rename.__doc__ == "Give a flag another name."
    assert [*inspect.signature(client.rename).parameters] == [
        *("feature_name", "new", "really"),
    ]


def test_the_emitter_can_be_replaced(client: FeatureFlagClient) -> None:
    """By the property and by the methods, for handles given out before as well."""
    flag = client.create("x")
    first, second = FlipperEventEmitter(), FlipperEventEmitter()
    for emitter in (first, second):
        emitter.emit = MagicMock(name=repr(emitter))  # type: ignore[method-assign]
    client.events = first
    assert client.events is client.get_events() is first
    flag.enable()
    client.set_events(second)
    assert client.events is client.get_events() is second
    flag.disable()
    assert first.emit.call_count == second.emit.call_count == 2  # type: ignore[attr-defined]


def test_missing_flags_are_left_out_of_lists() -> None:
    """A store of one's own may give `None` for a flag deleted meanwhile."""
    store = MagicMock()
    store.list.return_value = [None, MemoryFeatureFlagStore().create("x"), None]
    (flag,) = FeatureFlagClient(store).list(limit=3, offset=1)
    assert flag.name == "x"
    store.list.assert_called_once_with(limit=3, offset=1)


# Threads

THREADS = 8


@pytest.fixture
def often() -> Iterator[None]:
    """Let Python change threads as often as it can, so that they really meet."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


class Crowd:
    """Eight threads, and the flag that all of them write.

    Args:
        store: where the flag is.
        each: how often each thread writes.
    """

    def __init__(self, store: Any, each: int) -> None:
        self.flag = FeatureFlagClient(store).create("x", is_enabled=True)
        self.each = each

    def writes(self, *writes: Callable[[int, int], object]) -> None:
        """Let each thread make one of the writes again and again, all at once."""
        barrier = threading.Barrier(THREADS)

        def work(thread: int) -> None:
            barrier.wait()
            for count in range(self.each):
                writes[thread % len(writes)](thread, count)

        with ThreadPoolExecutor(THREADS) as pool:
            for done in [pool.submit(work, thread) for thread in range(THREADS)]:
                done.result()


@pytest.fixture(
    params=[
        pytest.param((MemoryFeatureFlagStore, 50), id="swaps"),
        pytest.param((FailingMemoryStore, 50), id="swaps-but-for-get"),
        pytest.param((OwnStore, 12), id="six-methods"),  # each decodes all there is
    ]
)
def crowd(request: pytest.FixtureRequest, often: None) -> Crowd:
    """Give threads that write a flag in a store of each kind."""
    kind, each = request.param
    return Crowd(kind(), each)


def test_no_condition_is_lost(crowd: Crowd) -> None:
    """Two administrators who save at once both get what they saved."""
    flag = crowd.flag
    crowd.writes(lambda thread, n: flag.add_condition(Condition(n__ne=[thread, n])))
    conditions = [str(condition) for condition in flag.get_meta()["conditions"]]
    assert len(conditions) == len({*conditions}) == THREADS * crowd.each


def test_no_client_data_is_lost(crowd: Crowd) -> None:
    """Each name is somebody's."""
    flag = crowd.flag
    crowd.writes(lambda thread, n: flag.set_client_data({f"{thread}.{n}": n}))
    expected = {f"{t}.{n}": n for t in range(THREADS) for n in range(crowd.each)}
    assert flag.get_client_data() == expected


def test_state_and_metadata_do_not_undo_each_other(crowd: Crowd) -> None:
    """Switching and describing a flag are two things, done by two people."""
    flag = crowd.flag
    crowd.writes(
        lambda thread, n: (flag.disable if n % 2 else flag.enable)(),
        lambda thread, n: flag.set_client_data({f"{thread}.{n}": n}),
        lambda thread, n: flag.add_condition(Condition(n__ne=n)),
        lambda thread, n: flag.set_bucketer(PercentageBucketer(0.5)),
    )
    meta = flag.get_meta()
    assert len(meta["client_data"]) == THREADS // 4 * crowd.each
    assert len(meta["conditions"]) == THREADS // 4 * crowd.each
    assert meta["bucketer"]["percentage"]["value"] == 0.5
    assert flag.is_enabled() is False


def test_switching_waits_for_who_describes() -> None:
    """A store's own `set` reads and writes; nobody's write may come in between."""
    read, written = threading.Event(), threading.Event()

    class SlowStore(OwnStore):
        def set(self, feature_name: str, is_enabled: bool) -> None:
            item = self.get(feature_name)
            assert item is not None
            read.set()
            written.wait(0.3)  # in vain, if the other has to wait
            self._put(item.replace(is_enabled=is_enabled))

    flag = FeatureFlagClient(SlowStore()).create("x")

    def describe() -> None:
        assert read.wait(30)
        flag.set_client_data({"a": 1})
        written.set()

    with ThreadPoolExecutor(2) as pool:
        for done in (pool.submit(flag.enable), pool.submit(describe)):
            done.result(30)
    assert flag.is_enabled() is True
    assert flag.get_client_data() == {"a": 1}


def test_a_class_is_no_store() -> None:
    """Without its brackets, every flag would be off for ever."""
    with pytest.raises(InvalidArgumentError, match=r"use MemoryFeatureFlagStore\("):
        FeatureFlagClient(MemoryFeatureFlagStore)  # type: ignore[arg-type]
