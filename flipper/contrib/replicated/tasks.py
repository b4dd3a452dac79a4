# SPDX-License-Identifier: Apache-2.0
"""What a replica has to do, and how its callers learn that it is done."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from ...runtime.clock import monotonic

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[[], object]


class ReplicaStatus(NamedTuple):
    """How far a replica is.

    Attributes:
        replica: the store.
        pending: the number of flags that differ from the primary, or may differ.
        behind: seconds since the oldest of them was written, 0 if there is none.
        failures: the number of tries that have failed so far.
        last_error: why the last try failed; `None` once one has succeeded.
    """

    replica: Any
    pending: int
    behind: float
    failures: int
    last_error: BaseException | None


class Completion(threading.Event):
    """Is set once a replica has a write, or has failed to take it."""

    error: BaseException | None = None
    """Why the replica does not have the write. It tries the write again anyway."""


class Task:
    """One thing that a replica has to do. Its replica protects it with a lock.

    Args:
        feature_name: the flag; `None` to find out which flags the replica has.
        call: repeats a write; `None` to copy the flag from the primary.
    """

    def __init__(self, feature_name: str | None, call: Call | None) -> None:
        self.feature_name = feature_name
        self.call = call
        self.has_begun = False  # stays true when it is tried again
        self.has_failed = False
        self.since = monotonic()
        self.completions: list[Completion] = []

    def complete(self, error: BaseException | None = None) -> None:
        """Wake all threads that wait for the task, with the error if it has failed."""
        for completion in self.completions:
            completion.error = error
            completion.set()
        self.completions = []
