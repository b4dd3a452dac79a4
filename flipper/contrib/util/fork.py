# SPDX-License-Identifier: Apache-2.0
"""What has to begin anew in a child process: locks, threads, connections.

Python calls its hooks when a program forks by `os.fork`. A server that forks by itself,
as uWSGI does, may call nobody. Therefore code calls `detect_fork` before it uses a
connection, a lock or a thread; beside those, comparing the process id costs nothing.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from time import sleep
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable, MutableSet


class AfterFork(Protocol):
    """Has something that a fork leaves unusable in the child."""

    def after_fork(self) -> None:
        """Begin anew in the child. Takes no lock of the parent, and does no I/O."""


_hooks: list[Callable[[], object]] = []
_objects: MutableSet[AfterFork] = WeakSet()
_imported_by = os.getpid()
_process = _imported_by  # to which the present locks, threads and connections belong
# A lock for each process, so that no thread of a parent can hold it. Reentrant, since a
# signal handler may ask for a flag in the middle of a renewal.
_renewal_locks: dict[int, Any] = {}


def renew_after_fork(renewed: AfterFork) -> None:
    """Call `renewed.after_fork()` in every child process, as long as it is in use."""
    _objects.add(renewed)
    _chain_uwsgi_hook()


def at_fork(*, after_in_child: Callable[[], object]) -> None:
    """Call a function in every child process."""
    _hooks.append(after_in_child)


def detect_fork() -> None:
    """Renew everything if this process was forked and nobody has told so."""
    if os.getpid() != _process:
        with _renewal_locks.setdefault(os.getpid(), threading.RLock()):
            # Race: another thread of this process may have renewed it meanwhile.
            if os.getpid() != _process:
                _renew()


def _renew() -> None:
    global _process  # noqa: PLW0603  (one process for all)
    for hook in _hooks:
        hook()
    for renewed in list(_objects):
        renewed.after_fork()
    # Race: last, so that other threads wait until everything is renewed.
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

_LONGEST_IMPORT: Final = 1000  # milliseconds that a fork waits for


def _wait_for_imports() -> None:
    """Wait until no other thread imports a module.

    Drivers import modules when they connect for the first time, in a thread. The child
    would inherit a half-made module, and a lock of it that nobody ever releases.
    """
    # Not with the import lock held until the fork: Python calls the hooks of others
    # after this one, such as that of `logging`, and takes that lock last. A hook may
    # wait for a thread that imports something, and both would wait for ever.
    for _ in range(_LONGEST_IMPORT):
        if not _is_importing():
            return
        sleep(0.001)


def _is_importing() -> bool:
    """Tell whether another thread holds the lock of a module.

    Not by `sys._current_frames`, which crashes Python 3.11 now and then.
    """
    own = threading.get_ident()
    locks: Any = getattr(importlib._bootstrap, "_module_locks", {})  # noqa: SLF001  (Python's)
    held = (getattr(reference(), "owner", None) for reference in list(locks.values()))
    return any(owner is not None and owner != own for owner in held)


if hasattr(os, "register_at_fork"):  # not where processes do not fork
    os.register_at_fork(before=_wait_for_imports, after_in_child=_renew)


# -- uWSGI -----------------------------------------------------------------------------


def background_threads_run() -> bool:
    """Tell whether a thread that is started now goes on running in the background.

    Not under uWSGI without threads: there, they stand still between requests. And not
    in a process of uWSGI that is still to fork: its workers get no threads of it.
    """
    return uwsgi_enables_threads() and not uwsgi_is_to_fork()


def uwsgi_enables_threads() -> bool:
    """Tell whether threads run here: not under uWSGI up to 2.0.23 by default."""
    return bool(getattr(sys.modules.get("uwsgi"), "has_threads", True))


def uwsgi_is_to_fork() -> bool:
    """Tell whether this process of uWSGI loads a program and forks workers then."""
    uwsgi: Any = sys.modules.get("uwsgi")
    # A mule or a spooler is no worker, but has been forked, too.
    return uwsgi is not None and uwsgi.worker_id() == 0 and os.getpid() == _imported_by


def _chain_uwsgi_hook() -> None:
    """Have uWSGI call `detect_fork` in its workers, and then what it called before."""
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
