# SPDX-License-Identifier: Apache-2.0
"""What has to begin anew in a child process: locks, threads, connections."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable, MutableSet


class AfterFork(Protocol):
    """Has something that a fork leaves unusable in the child."""

    def after_fork(self) -> None:
        """Begin anew; called in the child, before any other code of it."""


_watched: MutableSet[AfterFork] = WeakSet()


def renew_after_fork(watched: AfterFork) -> None:
    """Call `watched.after_fork()` in every child process, as long as it is in use."""
    _watched.add(watched)


def _renew() -> None:
    for watched in list(_watched):
        watched.after_fork()


def at_fork(**hooks: Callable[[], object]) -> None:
    """Call what is given as `before`, `after_in_parent` and `after_in_child`."""
    if hasattr(os, "register_at_fork"):  # not where processes do not fork
        os.register_at_fork(**hooks)


at_fork(after_in_child=_renew)


def background_threads_run() -> bool:
    """Tell whether a background thread that is started now would run."""
    return True
