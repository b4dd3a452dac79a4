# SPDX-License-Identifier: Apache-2.0
"""What a client answers while its store cannot be read."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest

import flipper.client
import flipper.contracts.last_known
from flipper import Condition, FeatureFlagClient, FlagDoesNotExistError
from flipper.bucketing import PercentageBucketer
from flipper.contracts import circuit_breaker
from flipper.contracts.last_known import SupportsLastKnown
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.exceptions import InvalidFlagDataError
from flipper.explanation import Reason
from flipper.testing.contract import CHANGES

if TYPE_CHECKING:
    from collections.abc import Callable
from support.answers import DEFAULT, answer_of
from support.clock import Clock
from support.custom_stores import CustomStore, FailingMemoryStore, RemoteStore


@pytest.mark.parametrize("kind", [CustomStore, FailingMemoryStore, RemoteStore])
def test_an_unreadable_flag_answers_by_its_last_known_state(kind: Any) -> None:
    """The last known state is evaluated, with its conditions, for each call."""
    store = kind()
    client = FeatureFlagClient(store)
    client.create("on", is_enabled=True)
    client.create("off")
    client.create("for-admins", is_enabled=True)
    client.add_condition("for-admins", Condition(is_admin=True))
    for flag in client.list():
        flag.is_enabled()
    store.failure = ConnectionError("away")
    assert answer_of(client, "on") is True
    assert answer_of(client, "off") is False
    assert answer_of(client, "for-admins", is_admin=True) is True
    assert answer_of(client, "for-admins", is_admin=False) is False
    assert answer_of(client, "never-seen") is DEFAULT
    evaluation = client.explain("on")
    assert evaluation.reason is Reason.ON
    for error in (evaluation.error, client.explain("never-seen").error):
        assert type(error) is ConnectionError
        assert str(error) == "away"


@pytest.mark.parametrize("kind", [CustomStore, FailingMemoryStore])
def test_after_an_outage_the_store_answers_at_once(kind: Any) -> None:
    """The first read after an outage replaces every last known state."""
    store = kind()
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    client.create("gone", is_enabled=True)
    assert answer_of(client, "x") is True
    assert answer_of(client, "gone") is True
    store.failure = ConnectionError("away")
    assert answer_of(client, "x") is True
    store.failure = None
    store.set("x", False)
    store.delete("gone")
    assert answer_of(client, "x") is False
    assert answer_of(client, "gone") is DEFAULT
    store.failure = ConnectionError("away")
    assert answer_of(client, "x") is False
    assert answer_of(client, "gone") is DEFAULT


@pytest.mark.parametrize("kind", [CustomStore, FailingMemoryStore, RemoteStore])
@pytest.mark.parametrize(
    "write",
    [
        lambda client: client.disable("x"),
        lambda client: client.destroy("x"),
        lambda client: client.add_condition("x", Condition(a=1)),
        lambda client: client.set_conditions("x", [Condition(a=1)]),
        lambda client: client.set_bucketer("x", PercentageBucketer(0)),
        lambda client: client.create("x"),
    ],
    ids=lambda write: write.__code__.co_names[0],
)
def test_an_outage_never_undoes_a_write(
    kind: Any, write: Callable[[Any], None]
) -> None:
    """A flag that was switched off stays off when the store fails afterwards."""
    store = kind()
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    assert client.is_enabled("x", a=2) is True
    write(client)
    store.failure = ConnectionError("away")
    assert client.is_enabled("x", a=2) is False


@pytest.mark.parametrize("kind", [CustomStore, FailingMemoryStore])
def test_a_written_flag_is_known_before_it_is_read(kind: Any) -> None:
    """A flag that was just created or changed answers as it was written."""
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


def test_a_state_without_known_conditions_is_not_an_answer() -> None:
    """Conditions that the client has not read may limit the flag."""
    store = CustomStore()
    store.create("x")
    store.set_meta("x", FeatureFlagStoreMeta(0, conditions=[Condition(a=1)]))
    flag = FeatureFlagClient(store).get("x")
    flag.enable()
    store.failure = ConnectionError("away")
    assert flag.is_enabled(DEFAULT, a=2) is DEFAULT


def test_a_custom_item_is_not_remembered_after_a_write() -> None:
    """Only the store knows what a custom class of items does with a new state."""

    class AlwaysOn(FeatureFlagStoreItem):
        """An item that is always on."""

        def is_enabled(self, /, **kwargs: Any) -> bool:
            return True

    store = MagicMock()
    store.get.return_value = AlwaysOn("x", True, FeatureFlagStoreMeta(0))
    client = FeatureFlagClient(store)
    assert answer_of(client, "x") is True
    client.disable("x")
    store.get.side_effect = ConnectionError("away")
    assert answer_of(client, "x") is DEFAULT


def test_a_broken_document_replaces_the_last_known_state() -> None:
    """A document that was read, but is no flag, is newer than the last known state."""
    store = CustomStore()
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    assert answer_of(client, "x") is True
    store.documents["x"] = b"{"
    assert answer_of(client, "x") is DEFAULT


def test_a_store_whose_last_known_raises_answers_the_default() -> None:
    """An error in `last_known` of a store does not reach the caller."""

    class WithoutLastKnown(FailingMemoryStore):
        last_known = SupportsLastKnown.last_known

    store = WithoutLastKnown()
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    store.failure = ConnectionError("away")
    assert answer_of(client, "x") is DEFAULT


def test_last_known_states_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client remembers a limited number of flags, and forgets the oldest."""
    monkeypatch.setattr(flipper.contracts.last_known, "MAX_REMEMBERED", 10)
    store = CustomStore()
    client = FeatureFlagClient(store)
    for number in range(15):
        client.create(f"x{number}", is_enabled=True)
        client.is_enabled(f"x{number}")
    store.failure = ConnectionError("away")
    known = [number for number in range(15) if client.is_enabled(f"x{number}")]
    assert known == [*range(5, 15)]


def test_a_write_that_finds_no_flag_forgets_its_last_known_state() -> None:
    """A write that finds the flag missing is newer than an earlier read."""
    store = CustomStore()
    for change in CHANGES.values():
        client = FeatureFlagClient(store)
        client.create("x", is_enabled=True)
        assert client.is_enabled("x") is True
        store.delete("x")
        with pytest.raises(FlagDoesNotExistError):
            change(client, "x")
        store.failure = ConnectionError("away")
        assert answer_of(client, "x") is DEFAULT
        store.failure = None


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
def test_all_other_methods_raise_what_the_store_raises(
    call: Callable[[FeatureFlagClient], object],
) -> None:
    """Whoever changes or reads flags has to know that it failed, and why."""
    store = RemoteStore()
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
    """The error names the flag that was read, not the name inside the document."""
    store = CustomStore()
    store.documents["x"] = b'{"feature_name": "y"}'
    with pytest.raises(InvalidFlagDataError, match="Feature 'x' cannot be read") as e:
        getattr(FeatureFlagClient(store), method)("x")
    assert e.value.feature_name == "x"


def test_a_write_is_recorded_while_the_circuit_is_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A store that keeps last known states is given each write, and answers by it."""

    class Recording(RemoteStore):
        record_write = MagicMock()
        record_state = MagicMock()

    # Nothing tries whether the store answers again, as long as this clock stands.
    monkeypatch.setattr(circuit_breaker, "start_thread", lambda *_: None)
    monkeypatch.setattr(circuit_breaker, "monotonic", Clock())
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
    assert client.is_enabled("x") is False  # by the recorded write
    assert store.reads == reads


def test_threads_get_the_right_answer_while_the_store_fails_and_recovers() -> None:
    """Every answer is right, and nothing raises, at every moment of an outage."""
    store = RemoteStore()
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    client.is_enabled("x")
    ended = threading.Event()

    def ask() -> set[Any]:
        given = set()
        while not ended.is_set():
            given.add(client.is_enabled("x", DEFAULT))
        return given

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask) for _ in range(4)]
        for count in range(200):
            store.failure = ConnectionError("away") if count % 2 else None
        ended.set()
        assert {answer for each in asked for answer in each.result()} <= {True}
