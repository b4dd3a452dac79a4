# SPDX-License-Identifier: Apache-2.0
"""Renews locks, threads and connections in a forked child process.

Python runs its fork hooks when a program calls `os.fork`. A server that forks in C, as
uWSGI does, may run no hooks. Therefore code calls `detect_fork` before it uses a
connection, a lock or a thread. It compares the process id, which costs little compared
with these.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from time import sleep
from typing import TYPE_CHECKING, Any, Final, Protocol

from .weak_objects import WeakObjects

if TYPE_CHECKING:
    from collections.abc import Callable


class AfterFork(Protocol):
    """An object that holds something which a child process cannot use after a fork."""

    def after_fork(self) -> None:
        """Renew what the child cannot use, without I/O and without inherited locks."""


_hooks: list[Callable[[], object]] = []
_objects: WeakObjects[AfterFork] = WeakObjects()
_first_process = os.getpid()  # which imported this module
# The process that the present locks, threads and connections belong to.
_process = _first_process
# By process id: a lock of its own for each process, which no thread of a parent holds.
# It is reentrant, because a signal handler may ask for a flag during a renewal.
_renewal_locks: dict[int, Any] = {}


def renew_after_fork(renewed: AfterFork) -> None:
    """Call `renewed.after_fork()` in every child process while the object exists."""
    _objects.add(renewed)
    _chain_uwsgi_hook()


def at_fork(*, after_in_child: Callable[[], object]) -> None:
    """Call a function in every child process that is forked from now on."""
    _hooks.append(after_in_child)


def detect_fork() -> None:
    """Renew everything if this process was forked and no hook has run.

    Safe for threads: all of them wait until everything is renewed.
    """
    if os.getpid() != _process:
        with _renewal_locks.setdefault(os.getpid(), threading.RLock()):
            # Race: another thread of this process may have renewed it meanwhile.
            if os.getpid() != _process:
                _renew()


def _renew() -> None:
    global _process  # noqa: PLW0603  (one state for the whole process)
    for hook in _hooks:
        hook()
    for renewed in list(_objects):
        renewed.after_fork()
    # Race: this comes last, so that other threads wait until everything is renewed.
    _process = os.getpid()


_NEW_LOCKS: Final[dict[type, Callable[[], Any]]] = {
    type(threading.Lock()): threading.Lock,
    type(threading.RLock()): threading.RLock,
}


def renew_locks(client: Any, package: str) -> None:
    """Replace the locks of a driver's client in a child, and of the objects in it.

    A background thread of the parent may have held one of them during the fork: no
    thread of the child would ever release it.

    Args:
        client: the client.
        package: the driver; objects of other packages are not looked into.
    """
    left, seen = [client], set()
    while left:
        owner = left.pop()
        if id(owner) in seen or not _is_of(package, owner):
            continue
        seen.add(id(owner))
        for name, value in list(getattr(owner, "__dict__", {}).items()):
            if type(value) in _NEW_LOCKS:
                setattr(owner, name, _NEW_LOCKS[type(value)]())
            elif isinstance(value, dict):
                left += value.values()
            elif isinstance(value, (list, tuple)):
                left += value
            else:
                left.append(value)


def _is_of(package: str, value: object) -> bool:
    kinds = type(value).__mro__
    return any(kind.__module__.partition(".")[0] == package for kind in kinds)


# -- imports under way -----------------------------------------------------------------

_LONGEST_IMPORT: Final = 1000  # milliseconds for which a fork waits


def _wait_for_imports() -> None:
    """Wait until no other thread imports a module.

    Drivers import modules when they connect for the first time, in a thread. Otherwise
    the child would inherit a half-imported module, whose lock is never released.
    """
    # The import lock is not held until the fork: Python calls the hooks of other
    # modules, such as `logging`, after this one. Such a hook may wait for a thread that
    # imports something, and then both would wait for ever.
    for _ in range(_LONGEST_IMPORT):
        if not _is_importing():
            return
        sleep(0.001)


def _is_importing() -> bool:
    """Return whether another thread holds the import lock of a module.

    This does not use `sys._current_frames`, which sometimes crashes Python 3.11.
    """
    own = threading.get_ident()
    locks: Any = getattr(importlib._bootstrap, "_module_locks", {})  # noqa: SLF001  (no public name)
    held = (getattr(reference(), "owner", None) for reference in list(locks.values()))
    return any(owner is not None and owner != own for owner in held)


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(before=_wait_for_imports, after_in_child=_renew)


# -- uWSGI -----------------------------------------------------------------------------


def background_threads_run() -> bool:
    """Return whether a thread that is started now keeps running in the background.

    False under uWSGI without threads, where threads stop between requests. Also false
    in a uWSGI process that has not forked its workers yet: they do not inherit threads.
    """
    return uwsgi_enables_threads() and not uwsgi_is_to_fork()


def uwsgi_enables_threads() -> bool:
    """Return whether threads run: by default, they do not under uWSGI up to 2.0.23."""
    return bool(getattr(sys.modules.get("uwsgi"), "has_threads", True))


def uwsgi_is_to_fork() -> bool:
    """Return whether this is a uWSGI process that will fork workers later."""
    uwsgi: Any = sys.modules.get("uwsgi")
    # A mule or a spooler is not a worker, but it has been forked as well.
    return (
        uwsgi is not None and uwsgi.worker_id() == 0 and os.getpid() == _first_process
    )


def _chain_uwsgi_hook() -> None:
    """Let uWSGI call `detect_fork` in its workers, and then its earlier hook."""
    uwsgi: Any = sys.modules.get("uwsgi")
    earlier = getattr(uwsgi, "post_fork_hook", None)
    if uwsgi is None or getattr(earlier, "detects_fork", False):
        return

    def post_fork_hook() -> None:
        detect_fork()
        if earlier is not None:
            earlier()

    post_fork_hook.detects_fork = True  # type: ignore[attr-defined]
    uwsgi.post_fork_hook = post_fork_hook
