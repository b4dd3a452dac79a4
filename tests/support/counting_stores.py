# SPDX-License-Identifier: Apache-2.0
"""A store that counts its reads and can make them wait, with flags for integrations."""

from __future__ import annotations

import threading
from typing import Any

from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore


class CountingStore(MemoryFeatureFlagStore):
    """Counts its reads, which do I/O as far as a client can see.

    Attributes:
        reads: what was read: a name, or a list of names.
        threads: in which threads.
        gate: no read returns before it is set.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[Any] = []
        self.threads: set[int] = set()
        self._has_begun = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def get(self, feature_name: str) -> Any:
        """Read a flag."""
        self._note(feature_name)
        return super().get(feature_name)

    def get_many(self, feature_names: Any) -> Any:
        """Read several flags."""
        self._note([*feature_names])
        return {name: super(CountingStore, self).get(name) for name in feature_names}

    def wait_for_read(self) -> None:
        """Wait until a read has begun."""
        assert self._has_begun.wait(10)

    def _note(self, read: Any) -> None:
        self.reads.append(read)
        self.threads.add(threading.get_ident())
        self._has_begun.set()
        assert self.gate.wait(10), "the event loop is blocked by this read"


def store_with_flags() -> CountingStore:
    """Return a store with flags that are off, on, and on for one plan."""
    store = CountingStore()
    admin = FeatureFlagClient(store)
    admin.create("OFF")
    admin.create("ON", is_enabled=True)
    admin.create("PRO", is_enabled=True)
    admin.add_condition("PRO", Condition(plan="pro"))
    store.reads.clear()
    store.threads.clear()
    store._has_begun.clear()
    return store
