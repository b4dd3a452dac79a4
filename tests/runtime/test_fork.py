# SPDX-License-Identifier: Apache-2.0
"""What the library does while a process forks.

That stores go on in the child is in `tests/processes`.
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
    """Run Python code in a process of its own, which has to end well and soon."""
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
def test_a_fork_waits_for_no_thread_that_waits_for_it(hook_comes_first: bool) -> None:
    """Others hold a lock while a process forks, and import something under it.

    As `logging` does, whose `dictConfig` imports the handlers.
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


def test_a_module_that_is_imported_meanwhile_is_whole_in_the_child(
    tmp_path: object,
) -> None:
    """The thread that imports it is not there, and would never come to the end."""
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
def test_a_signal_handler_may_ask_while_a_fork_is_noticed() -> None:
    """A handler runs in the middle of what the same thread does, locks and all."""
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
        fork._process = -1  # of a parent that has told nobody
        fork.detect_fork()
        assert asked == [False] and fork._process == os.getpid()
        """
    )


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is on Linux")
def test_a_child_resolves_names_though_a_thread_of_the_parent_did() -> None:
    """The C library holds a lock while it resolves the first name of a process."""
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
        for number in range(30):
            parent = os.fork()
            if not parent:
                start_thread("connects", socket.getaddrinfo, "localhost", 1)
                time.sleep(number % 15 * 2e-5)
                child = os.fork()
                if not child:
                    socket.getaddrinfo("localhost", 1)
                    os._exit(0)
                os._exit(not ends(child))
            assert os.waitpid(parent, 0)[1] == 0, number
        """
    )


def locks_of(*owners: Any) -> Iterator[Any]:
    """Give every lock that these objects have themselves."""
    for owner in owners:
        for value in vars(owner).values():
            if hasattr(value, "acquire"):
                yield value


def test_no_lock_of_the_parent_stays_in_a_driver() -> None:
    """Neither in the client, nor in what it is made of."""
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
    # They are asked by another thread, since this one may take its reentrant ones.
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
def test_doubles_are_left_as_they_are(client: Any) -> None:
    """They need not be made as a driver is."""
    renew_locks(client, "redis")
