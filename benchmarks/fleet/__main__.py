# SPDX-License-Identifier: Apache-2.0
"""Measures a server that many processes follow: `python -m benchmarks.fleet`.

For Redis and PostgreSQL it starts a real server, and 100 synchronised stores with
connections of their own, spread over a few processes. It measures what they ask of the
server while nothing changes, how long a change takes to reach all of them, and what the
server sees when it comes back after a restart. A table extrapolates this to larger
fleets. The followers share the processors of one machine, so that the times are longer
than those of as many machines.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
from statistics import median
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final

from ..environments import ROOT
from ..report import print_section
from ..sections import print_progress
from .servers import serve

if TYPE_CHECKING:
    from typing_extensions import Self

    from .servers import Requests

STORES: Final = ("redis", "postgresql")
PROCESSES: Final = 4
CHANGES: Final = 200
PAUSE: Final = 0.2  # seconds between two changes
RESTART_WITHIN: Final = 60.0  # seconds
# PostgreSQL counts the rows that a session has written some seconds later, and then all
# flags are read again, which is not to be measured.
REPORTED_WITHIN: Final = 12.0


def main() -> None:
    """Measure the stores that the command line selects, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet")
    parser.add_argument("--store", action="append", choices=STORES)
    parser.add_argument("--followers", type=int, default=100)
    parser.add_argument("--flags", type=int, default=1000)
    parser.add_argument("--idle", type=float, default=60.0, help="seconds")
    parser.add_argument("--json", action="store_true", help="print no tables")
    arguments = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    from servers.process import ServerMissingError

    figures: dict[str, Any] = {}
    for name in arguments.store or STORES:
        print_progress(f"fleet: {name}, {arguments.followers} followers")
        try:
            with serve(name, arguments.flags) as server:
                sleep(REPORTED_WITHIN)
                found = measure(server, arguments.followers, arguments.idle)
        except ServerMissingError as error:
            figures[name] = {"absent": str(error)}
            continue
        size = {"followers": arguments.followers, "flags": arguments.flags}
        figures[name] = {**size, **found}
    print_section("fleet", figures, as_json=arguments.json)


def measure(server: Any, followers: int, idle: float) -> dict[str, Any]:
    """Return the figures of one fleet."""
    figures: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        with server.requests() as requests:
            fleet = stack.enter_context(Fleet(server.url, followers))
            figures["start"] = requests.since()._asdict()
            figures["bytes at start"] = sum(fleet.ask("bytes"))
            figures["idle"] = _idle(fleet, requests, idle)
        # To count requests costs processor time that the followers need now.
        figures["propagation"] = _propagation(fleet, server)
    figures["restart"] = _restart(server, followers)
    return figures


class Fleet:
    """Processes with some followers each. For one thread.

    Args:
        url: the URL of the store.
        followers: how many there are in all.
    """

    def __init__(self, url: str, followers: int) -> None:
        self.followers = followers
        shares = [followers // PROCESSES] * PROCESSES
        shares[0] += followers % PROCESSES
        command = [sys.executable, "-m", "benchmarks.fleet.follower", url]
        self._processes = [
            subprocess.Popen(  # noqa: S603  (its own)
                [*command, str(share)], cwd=ROOT, stdin=-1, stdout=-1, text=True
            )
            for share in shares
        ]
        for process in self._processes:
            _read(process)

    def __enter__(self) -> Self:
        """Return the fleet, which has read all flags."""
        return self

    def __exit__(self, *_: object) -> None:
        """End all processes."""
        for process in self._processes:
            process.communicate()

    def ask(self, question: str) -> list[Any]:
        """Return what all followers answer to a question of `follower`."""
        for process in self._processes:
            print(question, file=process.stdin, flush=True)
        return [one for process in self._processes for one in _read(process)]


def _read(process: subprocess.Popen[str]) -> list[Any]:
    assert process.stdout is not None  # noqa: S101  (for the type checker)
    return json.loads(process.stdout.readline())  # type: ignore[no-any-return]


def _idle(fleet: Fleet, requests: Requests, seconds: float) -> dict[str, float]:
    """Return what one follower costs the server while nothing changes."""
    sleep(1)
    sent, cpu = sum(fleet.ask("bytes")), sum(fleet.ask("cpu"))
    requests.since()
    sleep(seconds)
    found = requests.since()
    each = seconds * fleet.followers
    return {
        "requests per second": round(found.count / each, 3),
        "bytes per second": round((sum(fleet.ask("bytes")) - sent) / each),
        "% of a core": round((sum(fleet.ask("cpu")) - cpu) / each * 100, 4),
    }


def _propagation(fleet: Fleet, server: Any) -> dict[str, float]:
    """Return how many milliseconds a change takes to reach followers, and the last."""
    fleet.ask("seen")
    changed_at = {}
    for number in range(CHANGES):
        sleep(PAUSE)
        changed_at[server.change(number)] = monotonic()
    sleep(2)
    took: dict[str, list[float]] = {name: [] for name in changed_at}
    for name, at in (pair for seen in fleet.ask("seen") for pair in seen):
        took[name].append(1000 * (at - changed_at[name]))
    if any(len(times) != fleet.followers for times in took.values()):
        raise RuntimeError("a change has not reached all followers")
    each = sorted(one for times in took.values() for one in times)
    last = sorted(max(times) for times in took.values())
    return {
        "median": round(median(each), 1),
        "p99": round(each[len(each) * 99 // 100], 1),
        "median of the last": round(median(last), 1),
        "p99 of the last": round(last[len(last) * 99 // 100], 1),
    }


def _restart(server: Any, followers: int) -> dict[str, float]:
    """Return what the server sees after a restart, and when all followers are right."""
    with Fleet(server.url, followers) as fleet:
        server.stop()
        sleep(10)  # so that all know that it is away, and wait for their longest pause
        fleet.ask("seen")
        server.start()
        began = monotonic()
        with server.requests() as requests:
            name = server.change(CHANGES)
            while not all(fleet.ask(f"has {name}")) or set(fleet.ask("state")) != {
                "live"
            }:
                if monotonic() > began + RESTART_WITHIN:
                    raise RuntimeError("not all followers are right again")
                sleep(0.05)
            right = monotonic() - began
            sleep(2)
            found = requests.since()
    return {
        "seconds until all are right": round(right, 2),
        "most requests in a second": found.most_in_a_second,
        "most connections": found.connections,
    }


if __name__ == "__main__":
    main()
