# SPDX-License-Identifier: Apache-2.0
"""Rules about the change signal of a store, see `flipper.contracts.watch`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from ...conditions import Condition
from ...contracts.update import update
from ...contracts.watch import Watch, WatchRefusedError, watch
from ...contrib.storage import FeatureFlagStoreMeta
from ..items import adding
from ..samples import for_each
from ..waiting import WRITERS, at_once, eventually
from .base import ContractBase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class ChangeSignalRules(ContractBase):
    """Every change is reported to whoever watches the store."""

    @pytest.fixture
    def watching(self, store: Any) -> Iterator[Watch]:
        """Listen to the store, and stop afterwards."""
        try:
            watching = watch(store)
        except WatchRefusedError as refusal:
            pytest.skip(f"no change signal: {refusal}")
        yield watching
        watching.close()
        watching.close()

    def test_every_write_is_reported(self, store: Any, watching: Watch) -> None:
        """Every method that writes a flag reports that flag."""

        def report(_: str, write: Callable[[], object]) -> None:
            write()
            wait_for_report(watching, "f")

        meta = FeatureFlagStoreMeta(7)
        writes: dict[str, Callable[[], object]] = {
            "create": lambda: store.create("f"),
            "set": lambda: store.set("f", True),
            "set_meta": lambda: store.set_meta("f", meta),
            "update": lambda: update(store, "f", adding(condition=Condition(a=1))),
            "create again": lambda: store.create("f", is_enabled=True),
            "delete": lambda: store.delete("f"),
            "set of none": lambda: store.set("f", True),
        }
        for_each(writes, report)

    def test_what_another_process_writes_is_reported(
        self, store: Any, watching: Watch
    ) -> None:
        """Writes of other processes are reported, with the exact name of the flag."""
        other = self.open_again(store)
        try:
            for name in self._possible_names().values():
                other.create(name, is_enabled=True)
                wait_for_report(watching, name)
                other.delete(name)
                wait_for_report(watching, name)
        finally:
            self.close_store(other)

    def test_changes_at_once_are_all_reported(
        self, store: Any, watching: Watch
    ) -> None:
        """Changes that are made while others are being reported are reported too."""

        def write(writer: int) -> None:
            for number in range(self.repetitions):
                store.create(f"{writer}-{number}")

        at_once(*(partial(write, writer) for writer in range(WRITERS)))
        wait_for_report(
            watching,
            *(f"{w}-{n}" for w in range(WRITERS) for n in range(self.repetitions)),
        )


def wait_for_report(watching: Watch, *feature_names: str) -> None:
    """Wait until a watch has reported these flags, `TIMEOUT` seconds at most."""
    missing = set(feature_names)

    def all_reported() -> bool:
        changed = watching.wait(0.1)
        missing.difference_update(missing if changed is None else changed)
        return not missing

    eventually(all_reported)
