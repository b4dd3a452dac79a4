# SPDX-License-Identifier: Apache-2.0
"""Makes tables of what many flags and many processes cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .table import NO_FIGURE, STORES, Table, number

if TYPE_CHECKING:
    from collections.abc import Iterator

START_GOAL = 3  # times the bare bulk read
IDLE_GOAL = 0.1  # % of a core
CHANGE_GOAL = 20  # milliseconds, the median
OWN_GOAL = 0  # questions over 5 ms
FLEET_GOALS = {
    "change, p99 of the last process, ms": 250,
    "restart, seconds until all are right": 5,
}
REQUESTS_GOAL = 2  # requests in a second after a restart, per process
LARGER = (100, 1000, 10_000)  # processes
# With the defaults, all flags are read again after 20 intervals of 30 seconds.
SECONDS_BETWEEN_READINGS = 20 * 30


def scale_tables(figures: dict[str, Any]) -> Iterator[Table]:
    """Return the tables of `benchmarks.scale`, of what was measured."""
    sizes = sorted({int(size) for found in figures.values() for size in found})
    if not sizes:
        return
    rows = [*_rows_by_size(figures, sizes)]
    if rows:
        header = ["", "goal", *(f"{size:,}" for size in sizes)]
        yield Table("A synchronised store, by the number of flags", header, rows)
    most = {name: found.get(str(sizes[-1]), {}) for name, found in figures.items()}
    found = {
        name: one["propagation"] for name, one in most.items() if "propagation" in one
    }
    if found:
        title = f"Milliseconds until another process has a change, {sizes[-1]:,} flags"
        header = ["", "goal", *(STORES[name] for name in found)]
        rows = [
            [key, goal, *(number(one[f"{key} ms"]) for one in found.values())]
            for key, goal in (("median", CHANGE_GOAL), ("p99", "-"), ("longest", "-"))
        ]
        yield Table(title, header, rows)
    found = {name: one["pauses"] for name, one in most.items() if "pauses" in one}
    if found:
        yield _pauses(found, sizes[-1])


def _rows_by_size(figures: dict[str, Any], sizes: list[int]) -> Iterator[list[Any]]:
    wanted: list[tuple[str, str, str, Any]] = [
        (
            "start",
            "multiple of reading",
            "start, multiples of the bare bulk read",
            START_GOAL,
        ),
        ("start", "bytes per flag", "bytes per flag", "-"),
        ("idle", "% of a core", "idle, % of a core", IDLE_GOAL),
        ("idle", "reading again, ms", "reading all flags again, ms of CPU time", "-"),
        ("traffic", "requests", "idle, requests per interval", "-"),
        ("traffic", "reads", "idle, reads of the file per interval", "-"),
        ("traffic", "bytes", "idle, bytes per interval", "-"),
    ]
    for kind, key, title, goal in wanted:
        for name, by_size in figures.items():
            found = [
                by_size.get(str(size), {}).get(kind, {}).get(key) for size in sizes
            ]
            if found != [None] * len(sizes):
                cells = [NO_FIGURE if one is None else _short(one) for one in found]
                yield [f"{title}: {STORES[name]}", goal, *cells]


def _short(value: float) -> str:
    """Return a figure with three digits behind the point if it is small."""
    return f"{value:.3f}" if value < 1 else number(value)


def _pauses(found: dict[str, Any], flags: int) -> Table:
    asked = max(one["questions"] for kinds in found.values() for one in kinds.values())
    keys = ("over 5 ms", "own", "own, collecting garbage", "machine's")
    rows = [
        [
            f"{STORES[name]}: {kind}",
            number(one["longest ms"]),
            *(one[key] for key in keys),
        ]
        for name, kinds in found.items()
        for kind, one in kinds.items()
    ]
    header = ["", "longest, ms", *keys[:1], f"own (goal {OWN_GOAL})", *keys[2:]]
    return Table(f"Long questions of {asked:,}, {flags:,} flags", header, rows)


def fleet_tables(figures: dict[str, Any]) -> Iterator[Table]:
    """Return the tables of `benchmarks.fleet`."""
    if not figures:
        return
    size = next(iter(figures.values()))
    followers, flags = size["followers"], size["flags"]
    columns = [_fleet(found) for found in figures.values()]
    goals = {
        **FLEET_GOALS,
        "restart, most requests in a second": REQUESTS_GOAL * followers,
    }
    yield Table(
        f"{followers:,} processes that follow a server, {flags:,} flags",
        ["", "goal", *(STORES[name] for name in figures)],
        [
            [
                title,
                goals.get(title, "-"),
                *(_short(column[title]) for column in columns),
            ]
            for title in columns[0]
        ],
    )
    units = ("requests/s", "MB/s", "connections")
    yield Table(
        "Extrapolated: processes as idle as these, which read all flags every "
        f"{SECONDS_BETWEEN_READINGS} s",
        [
            "processes",
            *(f"{STORES[name]}, {unit}" for name in figures for unit in units),
        ],
        [
            [f"{processes:,}", *_extrapolated(figures, processes)]
            for processes in LARGER
        ],
    )


def _fleet(found: dict[str, Any]) -> dict[str, float]:
    """Return the figures of one server, by the titles of their rows."""
    start, idle = found["start"], found["idle"]
    change, restart = found["propagation"], found["restart"]
    followers = found["followers"]
    return {
        "start, requests per process": start["count"] / followers,
        "start, bytes per process": found["bytes at start"] / followers,
        "connections per process": start["connections"] / followers,
        "idle, requests per second and process": idle["requests per second"],
        "idle, bytes per second and process": idle["bytes per second"],
        "idle, % of a core per process": idle["% of a core"],
        "change, median, ms": change["median"],
        "change, p99, ms": change["p99"],
        "change, median of the last process, ms": change["median of the last"],
        "change, p99 of the last process, ms": change["p99 of the last"],
        "restart, seconds until all are right": restart["seconds until all are right"],
        "restart, most requests in a second": restart["most requests in a second"],
        "restart, most connections": restart["most connections"],
    }


def _extrapolated(figures: dict[str, Any], processes: int) -> Iterator[str]:
    for found in figures.values():
        start, idle, followers = found["start"], found["idle"], found["followers"]
        readings = followers * SECONDS_BETWEEN_READINGS
        requests = idle["requests per second"] + start["count"] / readings
        received = idle["bytes per second"] + found["bytes at start"] / readings
        yield number(processes * requests)
        yield number(processes * received / 1e6)
        yield f"{processes * start['connections'] / followers:.0f}"
