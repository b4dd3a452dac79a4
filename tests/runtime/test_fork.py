# SPDX-License-Identifier: Apache-2.0
"""Locks, imports and host names work in a process that was forked.

`tests/processes` tests stores in forked processes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from textwrap import dedent
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import fakeredis
import pytest
import redis

from flipper.runtime.fork import renew_locks

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_MOST = 30  # seconds until a program counts as stuck

pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="processes do not fork on this system"
)


def run(script: str) -> str:
    """Run Python code in a new process, which must end well and soon."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", dedent(script)],
        capture_output=True,
        text=True,
        timeout=AT_MOST,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "hook_comes_first", [True, False], ids=["hook first", "flipper first"]
)
def test_a_fork_does_not_deadlock_with_hooks_of_other_libraries(
    hook_comes_first: bool,
) -> None:
    """Another library may hold a lock during a fork, and import a module under it.

    `logging` does so: its `dictConfig` imports the handlers.
    """
    steps = [
        """
        lock = threading.Lock()
        os.register_at_fork(
            before=lock.acquire,
            after_in_parent=lock.release,
            after_in_child=lock.release,
        )
        """,
        "import flipper.runtime.fork",
    ]
    run(
        "import os, threading, time\n"
        + "\n".join(map(dedent, steps if hook_comes_first else steps[::-1]))
        + dedent(
            """
            holds = threading.Event()
            def configure():
                with lock:
                    holds.set()
                    time.sleep(0.2)
                    import colorsys
            threading.Thread(target=configure, daemon=True).start()
            holds.wait()
            child = os.fork()
            if not child:
                import colorsys
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            """
        )
    )


def test_a_fork_waits_until_a_module_is_imported(
    tmp_path: object,
) -> None:
    """The thread that imports it does not exist in the child, and could not end it."""
    run(
        f"""
        import os, sys, threading
        from pathlib import Path
        import flipper.runtime.fork
        folder = Path({str(tmp_path)!r})
        code = "import time, builtins; builtins.begun.set(); time.sleep(0.3); end = 1"
        (folder / "slowly_imported.py").write_text(code)
        sys.path.insert(0, str(folder))
        import builtins
        builtins.begun = threading.Event()
        importing = threading.Thread(target=__import__, args=("slowly_imported",))
        importing.start()
        builtins.begun.wait()
        child = os.fork()
        if not child:
            import slowly_imported
            os._exit(slowly_imported.end - 1)
        assert os.waitpid(child, 0)[1] == 0
        """
    )


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="there is no such signal")
def test_a_signal_handler_may_ask_a_flag_while_locks_are_renewed() -> None:
    """A handler runs in the middle of other code of its thread, with its locks."""
    run(
        """
        import os, signal
        from flipper import CachedFeatureFlagStore, FeatureFlagClient
        from flipper import MemoryFeatureFlagStore
        from flipper.runtime import fork
        store = CachedFeatureFlagStore(MemoryFeatureFlagStore())
        client = FeatureFlagClient(store)
        asked = []
        def handle(*_):
            asked.append(client.is_enabled("x"))
        signal.signal(signal.SIGUSR1, handle)
        class Renewed:
            is_signalled = False
            def after_fork(self):
                if not self.is_signalled:
                    self.is_signalled = True
                    os.kill(os.getpid(), signal.SIGUSR1)
                    while not asked:
                        pass
        renewed = Renewed()
        fork.renew_after_fork(renewed)
        fork._process = -1  # as after a fork that Python has not noticed
        fork.detect_fork()
        assert asked == [False] and fork._process == os.getpid()
        """
    )


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is on Linux")
def test_a_child_can_resolve_host_names() -> None:
    """The C library holds a lock while a thread of the parent resolves a first name.

    It holds another for some microseconds each time, so that one child may be stuck.
    """
    run(
        """
        import encodings.idna, os, socket, time
        from flipper.runtime.background import start_thread
        def ends(child):
            end = time.monotonic() + 5
            while time.monotonic() < end:
                if os.waitpid(child, os.WNOHANG)[0]:
                    return True
                time.sleep(0.001)
            os.kill(child, 9)
            os.waitpid(child, 0)
            return False
        stuck = 0
        for number in range(40):
            parent = os.fork()
            if not parent:
                start_thread("connects", socket.getaddrinfo, "localhost", 1)
                time.sleep(number % 15 * 2e-5)
                child = os.fork()
                if not child:
                    socket.getaddrinfo("localhost", 1)
                    os._exit(0)
                os._exit(not ends(child))
            stuck += os.waitpid(parent, 0)[1] != 0
        assert stuck <= 1, stuck
        """
    )


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is on Linux")
def test_a_first_host_name_is_resolved_before_any_thread_begins() -> None:
    """No fork can happen meanwhile, as long as the program has no other threads."""
    run(
        """
        import _socket, threading
        from flipper.runtime.background import start_thread
        resolve, order = _socket.getaddrinfo, []
        def record(*arguments):
            order.append(threading.current_thread().name)
            return resolve(*arguments)
        _socket.getaddrinfo = record
        for name in ("one", "two"):
            start_thread(name, order.append, name).join()
        assert order == ["MainThread", "one", "two"], order
        """
    )


def locks_of(*owners: Any) -> Iterator[Any]:
    """Yield every lock that is an attribute of these objects."""
    for owner in owners:
        for value in vars(owner).values():
            if hasattr(value, "acquire"):
                yield value


def test_all_locks_of_a_driver_are_renewed() -> None:
    """The locks of a client, and of its parts, are replaced by free locks."""
    client = redis.Redis()
    parts = [client, client.connection_pool, *vars(client).values()]
    owners = [part for part in parts if type(part).__module__.startswith("redis.")]
    held = list(locks_of(*owners))
    assert len(held) > 1
    for lock in held:
        lock.acquire()
    kinds = [type(lock) for lock in held]
    renew_locks(client, "redis")
    renewed = list(locks_of(*owners))
    assert [type(lock) for lock in renewed] == kinds
    assert not {id(lock) for lock in held} & {id(lock) for lock in renewed}
    # Another thread takes them, since this one could take its own reentrant locks.
    taken: list[bool] = []

    def take() -> None:
        for lock in renewed:
            taken.append(lock.acquire(blocking=False))
            lock.release()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    assert all(taken)


@pytest.mark.parametrize("client", [None, MagicMock(), fakeredis.FakeRedis(), object()])
def test_doubles_are_not_changed(client: Any) -> None:
    """A mock or a fake client does not have the parts of a real driver."""
    renew_locks(client, "redis")
