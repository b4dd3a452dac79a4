# SPDX-License-Identifier: Apache-2.0
"""A program that forks while its stores are in use, and prints what went wrong.

    python forking.py sharing HOW NAME...  children and parent use each store at once
    python forking.py moments NAME         forks spread over the life of a store

It prints nothing if all is well. HOW is `os.fork`, or `fork` for the function of the C
library, of which Python knows nothing.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

from flags import FLAGS, Places

from flipper import FeatureFlagClient, ReplicatedFeatureFlagStore
from flipper import SyncedFeatureFlagStore as Synced
from flipper.contrib.consul import follower
from flipper.contrib.synced import read_through, reading

if TYPE_CHECKING:
    from collections.abc import Callable

# A machine that is overloaded may take longer for an answer than children wait.
LIMIT = 20.0  # seconds
read_through._READ_TIMEOUT_IN_CHILD = follower._FIRST_ANSWER_TIMEOUT_IN_CHILD = LIMIT
reading._ANSWER_TIMEOUT = LIMIT
places = Places.of_environment()


def fork(how: str = "os.fork") -> int:
    """Fork by the function of Python or by that of the C library."""
    if how == "os.fork":
        return os.fork()
    return int(ctypes.PyDLL(None).fork())


def in_child(work: Callable[[], object], how: str = "os.fork") -> int:
    """Call a function in a child process, and return the number of the process."""
    child = fork(how)
    if child:
        return child
    faulthandler.dump_traceback_later(LIMIT + 5, exit=True, file=sys.__stdout__)
    code = 1
    try:
        work()
        code = 0
    except BaseException:  # noqa: BLE001  (printed)
        print(traceback.format_exc(), flush=True)
    finally:
        os._exit(code)


def wait_for(children: list[int]) -> None:
    """Wait for child processes, and report those that did not end well."""
    for child in children:
        _, status = os.waitpid(child, 0)
        if status:
            print(f"a child ended with {status}", flush=True)


def sharing(how: str, *names: str) -> None:
    """Check that no process gets the answers of another, for one store at a time."""
    for name in names:
        store = places.store(name)
        share(store, name, how)
        getattr(store, "close", str)()


def share(store: Any, name: str, how: str) -> None:
    """Use a store in children and their parent at once."""
    client = FeatureFlagClient(store)

    def ask() -> None:
        for _ in range(10):
            for flag in FLAGS:
                data = client.get_client_data(flag)
                assert data == {"of": flag}, (name, flag, data)

    ask()
    children = [in_child(ask, how) for _ in range(4)]
    ask()
    wait_for(children)
    ask()


def follows(store: Any, client: FeatureFlagClient) -> None:
    """Check that the store's first answer is true, and that it follows the server."""
    began = time.monotonic()
    assert client.is_enabled("on") is True, "the first answer is not true"
    assert client.is_enabled("off") is False
    if isinstance(store, Synced):
        while store.status().state not in {"live", "polling"}:
            assert time.monotonic() < began + LIMIT, store.status()
            time.sleep(0.005)
    client.set_client_data("on", {"child": True})
    assert client.get_client_data("on")["child"] is True


def moments(name: str) -> None:
    """Fork at 25 moments of the life of a store."""
    children = []
    for number in range(0, 10, 2):
        if name == "replicated":
            store = ReplicatedFeatureFlagStore(
                places.store("redis"), places.store("s3")
            )
        elif name.startswith("synced-"):
            inner = places.store(name.removeprefix("synced-"))
            options = {"start_timeout": 0, "write_timeout": LIMIT}
            store = Synced(inner, on_start_failure="empty", **options)
        else:
            store = places.store(name)
        client = FeatureFlagClient(store)

        def child(store: Any = store, client: Any = client) -> None:
            follows(store, client)

        time.sleep(number * 0.0007)
        children.append(in_child(child))  # at the start
        time.sleep(number * 0.0007)
        children.append(in_child(child))  # at the first reading
        over = threading.Event()
        writer = threading.Thread(target=write, args=(client, over))
        writer.start()
        time.sleep(number * 0.001)
        children.append(in_child(child))  # while it writes
        over.set()
        writer.join()
        children.append(in_child(child))  # while it waits
        closer = threading.Thread(target=getattr(store, "close", print), args=())
        closer.start()
        time.sleep(number * 0.0002)
        # A closed store does not follow, but it answers.
        children.append(in_child(lambda: client.is_enabled("on")))  # noqa: B023
        closer.join()
        wait_for(children)
        children.clear()


def write(client: FeatureFlagClient, over: threading.Event) -> None:
    """Write again and again."""
    while not over.is_set():
        client.set_client_data("off", {"at": time.monotonic()})


if __name__ == "__main__":
    {"sharing": sharing, "moments": moments}[sys.argv[1]](*sys.argv[2:])
