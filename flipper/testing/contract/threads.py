# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: S101  (these are tests)
"""Rules about several threads that use one store."""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import partial
from time import sleep
from typing import TYPE_CHECKING, Any, TypeVar

from ...conditions import Condition
from ...contrib.storage import FeatureFlagStoreMeta
from ...exceptions import FlagDoesNotExistError
from ..items import innermost, plain
from ..waiting import WRITERS, at_once, wait_for
from .base import ContractBase

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from ...client import FeatureFlagClient

T = TypeVar("T")


class ThreadRules(ContractBase):
    """Threads of one process lose no write and read no half of one."""

    def test_threads_that_add_conditions_lose_none(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """Every condition that any thread adds is stored."""
        client.create("f")

        def add(writer: int) -> None:
            for number in range(self.repetitions):
                client.add_condition("f", Condition(**{f"v{writer}": number}))

        at_once(*(partial(add, writer) for writer in range(WRITERS)))
        found = [(name, value) for name, _, value in plain(store.get("f"))["checks"]]
        assert sorted(found) == [
            (f"v{writer}", number)
            for writer in range(WRITERS)
            for number in range(self.repetitions)
        ]

    def test_threads_that_set_client_data_lose_none(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """The client data that any thread sets is stored."""
        client.create("f")

        def write(writer: int) -> None:
            for number in range(self.repetitions):
                client.set_client_data("f", {f"{writer}-{number}": number})

        at_once(*(partial(write, writer) for writer in range(WRITERS)))
        assert store.get("f").meta["client_data"] == {
            f"{writer}-{number}": number
            for writer in range(WRITERS)
            for number in range(self.repetitions)
        }

    def test_switching_and_describing_at_once_lose_nothing(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """Switching a flag loses no metadata, and setting metadata no state."""
        client.create("f")

        def describe(writer: int) -> None:
            for number in range(self.repetitions):
                client.set_client_data("f", {f"{writer}-{number}": number})

        def switch() -> None:
            for number in range(self.repetitions * 2):
                (client.disable if number % 2 else client.enable)("f")
            client.enable("f")

        at_once(switch, *(partial(describe, writer) for writer in range(3)))
        item = store.get("f")
        assert item.raw_is_enabled is True
        assert len(item.meta["client_data"]) == 3 * self.repetitions

    def test_a_change_does_not_bring_a_deleted_flag_back(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """A change that comes after a deletion raises, and the flag stays deleted."""
        for _ in range(max(self.repetitions // 5, 2)):
            client.create("f")
            changed, destroyed = threading.Event(), threading.Event()

            def change(
                changed: threading.Event = changed,
                destroyed: threading.Event = destroyed,
            ) -> None:
                with suppress(FlagDoesNotExistError):
                    while True:
                        is_last = destroyed.is_set()
                        client.set_client_data("f", {"a": 1})
                        changed.set()
                        assert not is_last, "a change that came after the deletion"

            def destroy(
                changed: threading.Event = changed,
                destroyed: threading.Event = destroyed,
            ) -> None:
                wait_for(changed)
                client.destroy("f")
                destroyed.set()

            at_once(change, destroy)
            assert store.get("f") is None

    def test_readers_see_whole_writes(self, store: Any) -> None:
        """A reader sees one whole write, never parts of two."""
        versions = [
            FeatureFlagStoreMeta(number, {"n": number}, [Condition(n=number)])
            for number in (1, 2)
        ]
        store.create("f")
        store.set_meta("f", versions[0])
        done = threading.Event()

        def write() -> None:
            try:
                for number in range(self.repetitions):
                    store.set_meta("f", versions[number % 2])
            finally:
                done.set()

        def read() -> None:
            while not done.is_set():
                sleep(0)  # lets the writer run
                found = plain(store.get("f"))
                number = found["created_date"]
                assert found["client_data"] == {"n": number}
                assert found["checks"] == [("n", None, number)]

        at_once(write, read, read)

    def test_a_slow_read_does_not_undo_a_write(
        self, store: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A cache must not keep what it read before a write and received after it."""
        inner = innermost(store)
        inner.create("f")
        read, written = threading.Event(), threading.Event()

        def slow(method: Callable[..., T], take: Callable[[T], Any]) -> Any:
            def read_slowly(*args: Any, **kwargs: Any) -> Any:
                result = take(method(*args, **kwargs))
                if not read.is_set():
                    read.set()
                    wait_for(written)
                return result

            return read_slowly

        def write() -> None:
            wait_for(read)
            store.set("f", True)
            written.set()

        monkeypatch.setattr(inner, "get", slow(inner.get, lambda item: item))
        monkeypatch.setattr(inner, "list", slow(inner.list, list))
        at_once(lambda: store.get("f"), write)
        for _ in range(10):
            assert store.get("f").raw_is_enabled is True
            sleep(0.01)
