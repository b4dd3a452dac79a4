# SPDX-License-Identifier: Apache-2.0
"""The tables of the sections on many flags and many processes."""

from __future__ import annotations

from typing import Any

from benchmarks import report

PAUSES = {
    "questions": 5_000_000,
    "longest ms": 9.37,
    "over 5 ms": 3,
    "own": 1,
    "machine's": 2,
    "own, collecting garbage": 1,
}
SCALE = {
    "postgresql": {
        "1000": {
            "start": {"multiple of reading": 1.25, "bytes per flag": 429},
            "idle": {
                "% of a core": 0.0123,
                "seconds": 60.0,
                "reading again, ms": 2.5,
            },
            "traffic": {"requests": 1.0, "bytes": 316.4},
        },
        "100000": {
            "start": {"multiple of reading": 2.5, "bytes per flag": 441},
            "idle": {
                "% of a core": 0.0456,
                "seconds": 300.0,
                "reading again, ms": 190.04,
            },
            "traffic": {"requests": 1.0, "bytes": 316.4},
            "propagation": {"median ms": 1.8, "p99 ms": 4.6, "longest ms": 12.34},
            "pauses": {"with changes": PAUSES},
        },
    },
    "redis": {"absent": "redis-server is not installed"},
}
FLEET = {
    "redis": {
        "followers": 100,
        "flags": 1000,
        "start": {"count": 600, "most_in_a_second": 300, "connections": 200},
        "bytes at start": 30_000_000,
        "idle": {
            "requests per second": 0.5,
            "bytes per second": 20,
            "% of a core": 0.06,
        },
        "propagation": {
            "median": 20.0,
            "p99": 40.0,
            "median of the last": 30.0,
            "p99 of the last": 50.0,
        },
        "restart": {
            "seconds until all are right": 4.6,
            "most requests in a second": 190,
            "most connections": 201,
        },
    }
}


def rows(**sections: Any) -> dict[str, list[str]]:
    """Return the cells of each row of all tables, by the first cell."""
    results = {"machine": "a machine", "titles": {}, "absent": {}, **sections}
    lines = report.tables(results).splitlines()
    cells = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in lines
        if line.startswith("|")
    ]
    return {first: others for first, *others in cells}


def test_figures_of_many_flags_are_shown_by_number() -> None:
    """Each figure has a row for each store, with a goal and a cell for each number."""
    found = rows(scale=SCALE)
    title = "start, multiples of the bare bulk read: PostgreSQL"
    assert found[title] == ["3", "1.25", "2.50"]
    assert found["bytes per flag: PostgreSQL"] == ["-", "429", "441"]
    assert found["idle, % of a core: PostgreSQL"] == ["0.1", "0.012", "0.046"]
    title = "reading all flags again, ms of CPU time: PostgreSQL"
    assert found[title] == ["-", "2.50", "190"]
    assert found["idle, bytes per interval: PostgreSQL"] == ["-", "316", "316"]


def test_figures_with_the_most_flags_are_shown_by_store() -> None:
    """Changes and long questions have tables of their own."""
    found = rows(scale=SCALE)
    assert found["median"] == ["20", "1.80"]
    assert found["longest"] == ["-", "12.3"]
    assert found["PostgreSQL: with changes"] == ["9.37", "3", "1", "1", "2"]
    assert "Long questions of 5,000,000, 100,000 flags" in report.tables(
        {"machine": "", "titles": {}, "absent": {}, "scale": SCALE}
    )


def test_a_server_that_is_not_installed_is_named_below_the_tables() -> None:
    """The other stores are shown, and a line says why one is not."""
    results = {"machine": "", "titles": {}, "absent": {}, "scale": SCALE}
    assert report.tables(results).endswith("* Redis: redis-server is not installed\n")
    results["scale"] = {"redis": SCALE["redis"]}
    results["fleet"] = {"redis": SCALE["redis"]}
    assert "###" not in report.tables(results)


def test_a_fleet_is_extrapolated_to_larger_ones() -> None:
    """A process costs what it costs idle, and a start every ten minutes."""
    found = rows(fleet=FLEET)
    assert found["start, requests per process"] == ["-", "6.00"]
    assert found["change, p99 of the last process, ms"] == ["250", "50.0"]
    assert found["restart, most requests in a second"] == ["200", "190"]
    assert found["100"] == ["51.0", "0.05", "200"]
    assert found["10,000"] == ["5100", "5.20", "20000"]
