# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: S101  (these are tests)
"""Rules about several processes that use one database."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from ...bucketing import NoOpBucketer
from ...client import FeatureFlagClient
from ...conditions import Condition
from ...contracts.update import update, updates_atomically
from ...events import EventType
from ...exceptions import FlagDoesNotExistError
from ..items import innermost, names, plain
from ..samples import for_each
from ..waiting import at_once, eventually
from .base import ContractBase

if TYPE_CHECKING:
    from collections.abc import Callable


CHANGES: dict[str, Callable[[FeatureFlagClient, str], object]] = {
    "enable": lambda client, name: client.enable(name),
    "disable": lambda client, name: client.disable(name),
    "destroy": lambda client, name: client.destroy(name),
    "set_client_data": lambda client, name: client.set_client_data(name, {"ours": 2}),
    "add_condition": lambda client, name: client.add_condition(name, Condition(a=1)),
    "set_conditions": lambda client, name: client.set_conditions(
        name, [Condition(a=1)]
    ),
    "set_bucketer": lambda client, name: client.set_bucketer(name, NoOpBucketer()),
}
"""A write by each method of a client that needs the flag, by the method's name."""


class ProcessRules(ContractBase):
    """Two processes see each other's writes and lose none."""

    def test_a_write_is_seen_by_a_store_opened_again(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """What one process writes, other processes read."""
        client.create("f", client_data={"a": 1})
        client.enable("f")
        client.create("gone")
        client.destroy("gone")
        other = self.open_again(store)
        try:
            eventually(lambda: plain(other.get("f")) == plain(store.get("f")))
            assert other.get("gone") is None
            assert names(other.list()) == ["f"]
        finally:
            self.close_store(other)

    @pytest.fixture(params=[False, True], ids=["no-listener", "listener"])
    def announced(
        self, client: FeatureFlagClient, request: pytest.FixtureRequest
    ) -> list[tuple[Any, ...]] | None:
        """Return the list of events that the client emits, `None` without a listener.

        A client without listeners may write in another way.
        """
        if not request.param:
            return None
        events: list[tuple[Any, ...]] = []
        for event in EventType:
            client.events.on(event, _appending(events, event))
        return events

    def test_what_another_process_has_just_created_can_be_written(
        self,
        store: Any,
        client: FeatureFlagClient,
        announced: list[tuple[Any, ...]] | None,
    ) -> None:
        """Whether a flag exists is decided by the database, not by a cache."""
        other = self.open_again(store)

        def write_at_once(method: str, change: Callable[..., object]) -> None:
            assert store.get(method) is None
            other.create(method, client_data={"theirs": 1})
            change(client, method)
            if announced is not None:
                assert [event.value for event, *_ in announced] == [
                    f"pre_{method}",
                    f"post_{method}",
                ]
                if method == "set_client_data":
                    merged = {"theirs": 1, "ours": 2}
                    assert [event[2] for event in announced] == [merged, merged]
                announced.clear()
            if method == "destroy":
                eventually(lambda: other.get(method) is None)
            else:
                eventually(lambda: plain(other.get(method)) == plain(store.get(method)))
                assert store.get(method).meta["client_data"]["theirs"] == 1

        try:
            for_each(CHANGES, write_at_once)
        finally:
            self.close_store(other)

    def test_what_another_process_has_just_destroyed_is_missing(
        self,
        store: Any,
        client: FeatureFlagClient,
        announced: list[tuple[Any, ...]] | None,
    ) -> None:
        """A write to a destroyed flag raises, emits no event and creates no flag."""
        other = self.open_again(store)

        def write_in_vain(method: str, change: Callable[..., object]) -> None:
            store.create(method, is_enabled=True)
            assert store.get(method) is not None
            other.delete(method)
            with pytest.raises(FlagDoesNotExistError):
                change(client, method)
            assert not announced
            assert store.get(method) is None
            assert other.get(method) is None

        try:
            for_each(CHANGES, write_in_vain)
        finally:
            self.close_store(other)

    def test_what_another_process_destroys_during_a_write_stays_destroyed(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """A flag that is destroyed between the event and the write stays destroyed."""
        if not updates_atomically(innermost(store)):
            pytest.skip("not atomic: whether the flag exists is asked beforehand")
        other = self.open_again(store)
        done: list[tuple[Any, ...]] = []

        def write_too_late(method: str, change: Callable[..., object]) -> None:
            def destroy(*_: object) -> None:
                other.delete(method)

            store.create(method)
            client.events.on(EventType(f"pre_{method}"), destroy)
            after = EventType(f"post_{method}")
            client.events.on(after, _appending(done, after))
            with pytest.raises(FlagDoesNotExistError):
                change(client, method)
            assert not done
            assert store.get(method) is None
            assert other.get(method) is None

        # Not every backend reports whether there was a flag to delete.
        changes = {name: CHANGES[name] for name in CHANGES if name != "destroy"}
        try:
            for_each(changes, write_too_late)
        finally:
            self.close_store(other)

    def test_two_processes_lose_nothing(self, store: Any) -> None:
        """Processes that write to one flag of an atomic store lose no write."""
        if not updates_atomically(innermost(store)):
            pytest.skip("not atomic: of two processes the last writer wins")
        store.create("f")
        every = [store, *(self.open_again(store) for _ in range(3))]

        def write(writer: int, client: FeatureFlagClient) -> None:
            eventually(lambda: client.exists("f"))
            for number in range(self.repetitions):
                client.set_client_data("f", {f"{writer}-{number}": number})

        try:
            jobs = enumerate(FeatureFlagClient(each) for each in every)
            at_once(*(partial(write, *job) for job in jobs))
            last = update(store, "f", lambda item: item)
        finally:
            for other in every[1:]:
                self.close_store(other)
        assert len(last.meta["client_data"]) == 4 * self.repetitions


def _appending(
    events: list[tuple[Any, ...]], event: EventType
) -> Callable[..., object]:
    return lambda *told: events.append((event, *told))
