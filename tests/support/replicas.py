# SPDX-License-Identifier: Apache-2.0
"""A replica for tests that can hang and fail, and functions that compare stores."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from flipper import Condition, MemoryFeatureFlagStore
from flipper.contracts.wrapper import FeatureFlagStoreWrapper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flipper import ReplicatedFeatureFlagStore
    from flipper.contrib.storage import FeatureFlagStoreItem

TIMEOUT = 30.0  # seconds after which a test gives up; none takes that long
ADMIN = Condition(is_admin=True)


class Backup(FeatureFlagStoreWrapper):
    """A replica in memory that can be made to hang and to fail.

    Attributes:
        inner: the store in memory, which can be read while this store hangs.
        error: raised by every call.
        answers: every call waits until this is set.
        called: set by every call.
        calls: the methods that were called.
        states: for each write, whether the flag was on and its number of conditions.
    """

    def __init__(self) -> None:
        self.inner = MemoryFeatureFlagStore()
        super().__init__(self.inner)
        self.error: BaseException | None = None
        self.answers = threading.Event()
        self.answers.set()
        self.called = threading.Event()
        self.calls: list[str] = []
        self.states: list[tuple[bool, int]] = []

    def hang(self) -> None:
        """Let every call wait from now on."""
        self.called.clear()
        self.answers.clear()

    def recover(self) -> None:
        """Let every call return from now on, without an error."""
        self.error = None
        self.answers.set()

    def create(self, feature_name: str, *args: Any, **kwargs: Any) -> Any:
        """Write a flag."""
        self._begin("create")
        item = super().create(feature_name, *args, **kwargs)
        self._record_state(feature_name)
        return item

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Write the state."""
        self._begin("set")
        super().set(feature_name, is_enabled)
        self._record_state(feature_name)

    def delete(self, feature_name: str) -> None:
        """Remove a flag."""
        self._begin("delete")
        super().delete(feature_name)

    def set_meta(self, feature_name: str, meta: Any) -> None:
        """Write the metadata."""
        self._begin("set_meta")
        super().set_meta(feature_name, meta)
        self._record_state(feature_name)

    def list(self, *args: Any, **kwargs: Any) -> Iterator[FeatureFlagStoreItem]:
        """List the flags."""
        self._begin("list")
        return super().list(*args, **kwargs)

    def _begin(self, method: str) -> None:
        self.calls.append(method)
        self.called.set()
        assert self.answers.wait(TIMEOUT)
        if self.error is not None:
            raise self.error

    def _record_state(self, feature_name: str) -> None:
        item: Any = self.inner.get(feature_name)
        self.states.append((item.raw_is_enabled, len(item.raw_meta.conditions)))


def items_of(store: Any) -> list[FeatureFlagStoreItem]:
    """Return all flags of a store, also of a replica that hangs."""
    return [*(store.inner if isinstance(store, Backup) else store).list()]


def flags_of(store: Any) -> dict[str, Any]:
    """Return all flags without their dates, which each store sets on `create`."""
    found = {}
    for item in items_of(store):
        fields = item.to_dict()
        del fields["meta"]["created_date"]
        found[item.feature_name] = fields
    return found


def dates_of(store: Any) -> dict[str, Any]:
    """Return the created date of every flag."""
    return {item.feature_name: item.meta["created_date"] for item in items_of(store)}


def nothing_is_pending(store: ReplicatedFeatureFlagStore) -> bool:
    """Return whether all replicas have all writes."""
    return all(status.pending == 0 for status in store.status())


def call_with_timeout(seconds: float, work: Callable[[], Any]) -> Any:
    """Return the result of `work`; fail if it takes longer."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "it hangs"
    return results[0]
