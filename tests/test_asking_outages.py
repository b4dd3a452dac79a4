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
from flipper import (
    Condition,
    FeatureFlagClient,
    FlagDoesNotExistError,
)
from flipper.bucketing import PercentageBucketer
from flipper.contracts import circuit_breaker
from flipper.contracts.last_known import SupportsLastKnown
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.evaluation import Reason
from flipper.exceptions import InvalidFlagDataError
from flipper.testing.contract import CHANGES

if TYPE_CHECKING:
    from collections.abc import Callable
from support.answers import DEFAULT, answer_of
from support.custom_stores import CustomStore, FailingMemoryStore, RemoteStore


@pytest.mark.parametrize("kind", [CustomStore, FailingMemoryStore, RemoteStore])
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
    assert answer_of(client, "on") is True
    assert answer_of(client, "off") is False
    assert answer_of(client, "for-admins", is_admin=True) is True
    assert answer_of(client, "for-admins", is_admin=False) is False
    assert answer_of(client, "never-seen") is DEFAULT
    told = client.explain("on")
    assert told.reason is Reason.ON
    for error in (told.error, client.explain("never-seen").error):
        assert type(error) is ConnectionError
        assert str(error) == "away"


@pytest.mark.parametrize("kind", [CustomStore, FailingMemoryStore])
def test_a_store_that_is_back_is_believed_at_once(kind: Any) -> None:
    """Nothing of the outage is left, not even what was known before it."""
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


@pytest.mark.parametrize("kind", [CustomStore, FailingMemoryStore])
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
    store = CustomStore()
    store.create("x")
    store.set_meta("x", FeatureFlagStoreMeta(0, conditions=[Condition(a=1)]))
    flag = FeatureFlagClient(store).get("x")
    flag.enable()
    store.failure = ConnectionError("away")
    assert flag.is_enabled(DEFAULT, a=2) is DEFAULT


def test_an_item_of_ones_own_is_not_known_after_a_write() -> None:
    """What its class makes of a state is its own affair: better no answer than that."""

    class OwnItem(FeatureFlagStoreItem):
        """Says on, whatever it is given."""

        def is_enabled(self, /, **kwargs: Any) -> bool:
            return True

    store = MagicMock()
    store.get.return_value = OwnItem("x", True, FeatureFlagStoreMeta(0))
    client = FeatureFlagClient(store)
    assert answer_of(client, "x") is True
    client.disable("x")
    store.get.side_effect = ConnectionError("away")
    assert answer_of(client, "x") is DEFAULT


def test_what_is_broken_is_not_away() -> None:
    """A document that was read and is no flag has replaced the one known before."""
    store = CustomStore()
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    assert answer_of(client, "x") is True
    store.documents["x"] = b"{"
    assert answer_of(client, "x") is DEFAULT


def test_a_last_known_state_that_cannot_be_told_is_none() -> None:
    """A store that promises to remember, and cannot, is asked for nothing more."""

    class Forgetful(FailingMemoryStore):
        last_known = SupportsLastKnown.last_known

    store = Forgetful()
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    store.failure = ConnectionError("away")
    assert answer_of(client, "x") is DEFAULT


def test_last_known_states_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that asks about ever new names does not grow for ever."""
    monkeypatch.setattr(flipper.contracts.last_known, "REMEMBERED", 10)
    store = CustomStore()
    client = FeatureFlagClient(store)
    for number in range(15):
        client.create(f"x{number}", is_enabled=True)
        client.is_enabled(f"x{number}")
    store.failure = ConnectionError("away")
    known = [number for number in range(15) if client.is_enabled(f"x{number}")]
    assert known == [*range(5, 15)]


def test_what_another_has_destroyed_is_not_known_any_more() -> None:
    """A write that found the flag missing counts more than an earlier question."""
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
def test_all_else_raises_what_the_store_raises(
    call: Callable[[FeatureFlagClient], object],
) -> None:
    """Who administers flags has to know that it did not work, and why."""
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
    """The document itself cannot be trusted to know its name."""
    store = CustomStore()
    store.documents["x"] = b'{"feature_name": "y"}'
    with pytest.raises(InvalidFlagDataError, match="Feature 'x' cannot be read") as e:
        getattr(FeatureFlagClient(store), method)("x")
    assert e.value.feature_name == "x"


def test_a_write_is_told_to_a_store_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever remembers must not come back with what was before the write."""

    class Recording(RemoteStore):
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
