# SPDX-License-Identifier: Apache-2.0
"""A process of `benchmarks.fleet`: some followers of one server.

    python -m benchmarks.fleet.follower URL NUMBER

It answers each line of the standard input by a line of JSON, a list.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import struct
import sys
from pathlib import Path
from time import monotonic, process_time
from typing import TYPE_CHECKING, Any, Final

from flipper import FeatureFlagClient, SyncedFeatureFlagStore, store_from_url

if TYPE_CHECKING:
    from flipper.contrib.synced import FlagChange

# Where `tcp_info` of Linux has the bytes that were sent and confirmed, and received.
_TCP_INFO_SIZE: Final = 136
_BYTES: Final = struct.Struct("120xQQ")


class Follower:
    """A synchronised store with connections of its own, as a process would have it."""

    def __init__(self, url: str) -> None:
        self.seen: list[tuple[str, float]] = []
        self.store = SyncedFeatureFlagStore(store_from_url(url), start_timeout=60)
        self.client = FeatureFlagClient(self.store)
        self.store.on_change(self._note)

    def _note(self, change: FlagChange) -> None:
        self.seen.append((change.feature_name, monotonic()))


def main() -> None:
    """Follow the server until the standard input ends."""
    logging.disable(logging.WARNING)  # the server is restarted on purpose
    followers = [Follower(sys.argv[1]) for _ in range(int(sys.argv[2]))]
    _answer([])
    for question in sys.stdin:
        _answer(answers(followers, *question.split()))
    os._exit(0)  # without waiting for a second for each thread


def answers(followers: list[Follower], question: str, *names: str) -> list[Any]:
    """Return the answers of all followers, or of the process, to one question."""
    if question == "bytes":
        return [sum(_bytes_of_connections())]
    if question == "cpu":
        return [process_time()]
    if question == "state":
        return [follower.store.status().state for follower in followers]
    if question == "has":
        arguments = {"plan": "pro", "seats": 11}
        return [each.client.is_enabled(*names, **arguments) for each in followers]
    seen = [follower.seen for follower in followers]
    for follower in followers:
        follower.seen = []
    return seen


def _bytes_of_connections() -> list[int]:
    """Return the bytes that each TCP connection has carried, without headers."""
    found = []
    for file in [*Path("/proc/self/fd").iterdir()]:
        with contextlib.suppress(OSError):  # it is no socket, or closed by now
            with socket.socket(fileno=os.dup(int(file.name))) as copy:
                level, option = socket.IPPROTO_TCP, socket.TCP_INFO
                info = copy.getsockopt(level, option, _TCP_INFO_SIZE)
            found.append(sum(_BYTES.unpack(info)))
    return found


def _answer(found: list[Any]) -> None:
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
