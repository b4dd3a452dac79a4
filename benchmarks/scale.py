# SPDX-License-Identifier: Apache-2.0
"""Measures a synchronised store of many flags: `python -m benchmarks.scale`.

For each store and number of flags, a process of its own measures the start as a
multiple of reading the documents alone, in turns; the memory of a flag; the longest
questions while documents are checked, while all flags are read again, and while neither
is done; and the CPU time of a process that does nothing. CPU times hardly depend on
what else the machine does, but the longest questions do: compare them with the quiet
ones.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import subprocess
import sys
import tempfile
import threading
import tracemalloc
from pathlib import Path
from statistics import median
from time import perf_counter, process_time, sleep
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROOT: Final = Path(__file__).resolve().parent.parent
STORES: Final = ("sqlite", "postgresql", "redis")
ROUNDS: Final = 5
ASKED: Final = 1000  # flags
QUESTIONS_FOR: Final = 3.0  # seconds
Documents = list[tuple[str, bytes]]


def main() -> None:
    """Measure all that the command line selects, and print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    parser.add_argument("--store", action="append", choices=STORES)
    parser.add_argument("--flags", action="append", type=int)
    parser.add_argument("--idle", type=float, default=60.0, help="seconds")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    if arguments.child:
        (name,), (flags,) = arguments.store, arguments.flags
        figures = _measure(name, flags, arguments.child, arguments.idle)
        sys.stdout.write(json.dumps(figures))
        return
    for name in arguments.store or STORES:
        for flags in arguments.flags or (1000, 10_000, 100_000):
            with contextlib.ExitStack() as stack:
                figures = _in_child(name, flags, _serve(name, stack), arguments.idle)
            sys.stdout.write(f"{name}, {flags} flags: {figures}\n")
            sys.stdout.flush()


def _serve(name: str, stack: contextlib.ExitStack) -> str:
    """Start a server, and return the address of an empty database."""
    from servers import start_postgres, start_redis

    if name == "sqlite":
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        return f"{folder}/flags.db"
    server = stack.enter_context(
        start_postgres() if name == "postgresql" else start_redis()
    )
    if name == "redis":
        return f"redis://{server.host}:{server.port}"
    return f"postgresql://postgres@{server.host}:{server.port}/postgres"


def _in_child(name: str, flags: int, address: str, idle: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.scale", "--child", address]
    options = ["--store", name, "--flags", str(flags), "--idle", str(idle)]
    found = subprocess.run([*command, *options], check=True, stdout=-1, cwd=ROOT)  # noqa: S603  (its own)
    return json.loads(found.stdout)  # type: ignore[no-any-return]


def _measure(name: str, flags: int, address: str, idle: float) -> dict[str, Any]:
    from flipper import FeatureFlagClient, SyncedFeatureFlagStore, store_from_url

    url = f"sqlite:///{address}" if name == "sqlite" else address
    with store_from_url(url) as inner:
        read = {"sqlite": _sqlite, "postgresql": _postgresql, "redis": _redis}[name](
            address, _documents(flags)
        )

        def start() -> None:
            SyncedFeatureFlagStore(inner, start_timeout=60).close()

        ratios = [_cpu(start) / _cpu(read) for _ in range(ROUNDS)]
        figures: dict[str, Any] = {
            "start": round(median(ratios), 2),
            "bytes per flag": round(_bytes(inner) / flags),
        }
        with SyncedFeatureFlagStore(inner, start_timeout=60) as store:
            client = FeatureFlagClient(store)
            figures["ms while checking"] = _longest(client, flags, lambda: False)
            while store._follower._reader.unchecked:  # noqa: SLF001  (not public)
                sleep(0.1)
            figures["ms while quiet"] = _longest(client, flags, lambda: False)
            read_all = store._follower._reader.read  # noqa: SLF001
            reader = threading.Thread(target=read_all, args=({},))
            reader.start()
            figures["ms while reading"] = _longest(client, flags, reader.is_alive)
            reader.join()
            if idle:
                began = process_time()
                sleep(idle)
                used = (process_time() - began) / idle
                figures["idle % of a core"] = round(used * 100, 3)
    return figures


def _documents(flags: int) -> Documents:
    from flipper import Condition
    from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta

    meta = FeatureFlagStoreMeta(1, conditions=[Condition(plan="pro", seats__gt=10)])
    items = (FeatureFlagStoreItem(_name(i), True, meta) for i in range(flags))
    return [(item.feature_name, item.serialize()) for item in items]


def _name(number: int) -> str:
    return f"feature-{number:06d}"


# Each fills the database, and returns a function that only reads it, by its driver.


def _sqlite(path: str, documents: Documents) -> Callable[[], object]:
    import sqlite3

    with contextlib.closing(sqlite3.connect(path)) as raw:
        raw.executemany("INSERT INTO feature_flags VALUES (?, ?)", documents)
        raw.commit()

    def read() -> None:
        with contextlib.closing(sqlite3.connect(path)) as raw:
            raw.execute("SELECT name, item FROM feature_flags ORDER BY name").fetchall()

    return read


def _postgresql(url: str, documents: Documents) -> Callable[[], object]:
    import psycopg

    with psycopg.connect(url) as raw, raw.cursor() as cursor:
        cursor.executemany("INSERT INTO feature_flags VALUES (%s, %s)", documents)

    def read() -> None:
        with psycopg.connect(url) as raw, raw.cursor(binary=True) as cursor:
            cursor.execute("SELECT name, item FROM feature_flags ORDER BY name")
            cursor.fetchall()

    return read


def _redis(url: str, documents: Documents) -> Callable[[], object]:
    import redis

    raw = redis.Redis.from_url(url)
    pipe = raw.pipeline(transaction=False)
    for name, document in documents:
        pipe.set(f"features/{name}", document)
    pipe.execute()

    def read() -> None:
        keys = [*raw.scan_iter(match="features/*", count=1000)]
        for begin in range(0, len(keys), 100):
            raw.mget(keys[begin : begin + 100])

    return read


def _cpu(task: Callable[[], object]) -> float:
    gc.collect()
    began = process_time()
    task()
    return process_time() - began


def _longest(client: Any, flags: int, is_going_on: Callable[[], bool]) -> list[float]:
    """Ask for some seconds; return the longest, and the 1,000th longest, in ms."""
    names = [_name(i) for i in range(0, flags, max(1, flags // ASKED))]
    took: list[float] = []
    end = perf_counter() + QUESTIONS_FOR
    while perf_counter() < end or is_going_on():
        took = sorted([*took, *_durations(client, names)], reverse=True)[:1000]
    return [round(took[0] * 1000, 3), round(took[-1] * 1000, 3)]


def _durations(client: Any, names: Iterable[str]) -> Iterable[float]:
    for name in names:
        began = perf_counter()
        client.is_enabled(name, plan="pro", seats=11)
        yield perf_counter() - began


def _bytes(inner: Any) -> int:
    from flipper import SyncedFeatureFlagStore

    gc.collect()
    tracemalloc.start()
    with SyncedFeatureFlagStore(inner, start_timeout=60) as store:
        while store._follower._reader.unchecked:  # noqa: SLF001  (not public)
            sleep(0.1)
        gc.collect()
        found = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return found


if __name__ == "__main__":
    main()
