# SPDX-License-Identifier: Apache-2.0
"""What the fast paths cost, in calls and in bytes: no clock is asked.

Most of the time of an evaluation goes into calls, of Python functions and of those
written in C, and into memory for what they pass on. A call or an object more on a fast
path fails here, on any machine, however busy.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import subprocess
import sys
import threading
import tracemalloc
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from flipper import (
    CachedFeatureFlagStore,
    Condition,
    FeatureFlagClient,
    MemoryFeatureFlagStore,
)
from flipper.bucketing import ConsistentHashPercentageBucketer
from flipper.contrib.cached import lru
from flipper.contrib.cached.lru import PlainLRU

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Cost(NamedTuple):
    """What a workload may take: what it takes today, on the Python that takes most."""

    calls: int
    bytes_at_once: int


# Lower a number when you have made it lower; let none rise without need. This prints
# the table, with what is highest of all Pythons that are named, else for its own:
#     python tests/test_speed_guard.py [.venv-3.10/bin/python ...]
COSTS = {
    "on/off": Cost(2, 0),
    "on/off, cached store": Cost(2, 0),
    "on/off, cached store without lru-dict": Cost(5, 144),
    "one == and one > check": Cost(3, 0),
    "in a list of 20": Cost(3, 0),
    "sticky rollout, a new user": Cost(10, 315),
    "sticky rollout, a user seen before": Cost(3, 0),
    "rule": Cost(3, 0),
    "rule, else rollout": Cost(3, 0),
    "missing flag": Cost(2, 0),
    "list ten flags": Cost(50, 2104),
    "enable": Cost(10, 80),
    "add a condition to ten": Cost(12, 472),
}
BYTES_OF_A_FLAG = 564
MODULES_IMPORTED = 101

FLAGS = 10
REPEATED = 5
NEWER_PYEE = 12


def nothing() -> None:
    """Prepare nothing."""


class Workload(NamedTuple):
    """What is counted: one run, after `prepare`, once both were done a few times."""

    run: Callable[[], Any]
    prepare: Callable[[], Any] = nothing


class Sample:
    """A client with a flag for each workload, and others beside them."""

    # Of all samples: what was found out about a user is remembered by the process.
    _users = itertools.count()

    def __init__(self, flags: int = FLAGS) -> None:
        self.features = FeatureFlagClient(MemoryFeatureFlagStore())
        self.cached = FeatureFlagClient(CachedFeatureFlagStore(self.features._store))
        plain = CachedFeatureFlagStore(self.features._store)
        plain._cache = PlainLRU(FLAGS)
        self.plain = FeatureFlagClient(plain)
        self.user = ""
        self._ten = [Condition(plan="pro") for _ in range(10)]
        self._other = Condition(seats__gt=10)
        sticky = ConsistentHashPercentageBucketer(
            key_whitelist=["user_id"], percentage=0.5
        )
        members = [f"region-{i}" for i in range(20)]
        on = [self.features.create(name, is_enabled=True) for name in "ABCDEF"]
        _, checked, listed, rolled_out, ruled, self._full = on
        checked.add_condition(Condition(plan="pro", seats__gt=10))
        listed.add_condition(Condition(region__in=members))
        rolled_out.set_bucketer(sticky)
        ruled.set_bucketer(sticky)
        ruled.add_condition(Condition(staff=True))
        for number in range(flags - len(on)):
            self.features.create(f"G{number}")

    def come_new(self) -> None:
        """Have a user nobody has seen."""
        self.user = f"user-{next(self._users):06}"

    def keep_ten(self) -> None:
        """Have a flag with ten conditions."""
        self._full.set_conditions(self._ten)

    def workloads(self) -> dict[str, Workload]:
        """Return what is counted, by its key in the table."""
        features = self.features
        ask, cached = features.is_enabled, self.cached.is_enabled
        plain = self.plain.is_enabled
        full = self._full.name
        return {
            "on/off": Workload(lambda: ask("A")),
            "on/off, cached store": Workload(lambda: cached("A")),
            "on/off, cached store without lru-dict": Workload(lambda: plain("A")),
            "one == and one > check": Workload(lambda: ask("B", plan="pro", seats=11)),
            "in a list of 20": Workload(lambda: ask("C", region="region-19")),
            "sticky rollout, a new user": Workload(
                lambda: ask("D", user_id=self.user), self.come_new
            ),
            "sticky rollout, a user seen before": Workload(
                lambda: ask("D", user_id="user")
            ),
            "rule": Workload(lambda: ask("E", user_id="user", staff=True)),
            "rule, else rollout": Workload(lambda: ask("E", user_id="user")),
            "missing flag": Workload(lambda: ask("MISSING")),
            "list ten flags": Workload(lambda: list(features.list(limit=10))),
            "enable": Workload(lambda: features.enable("A")),
            "add a condition to ten": Workload(
                lambda: features.add_condition(full, self._other), self.keep_ten
            ),
        }


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep out the garbage collector, whose callbacks count, and other observers."""
    traced, profiled = sys.gettrace(), sys.getprofile()
    gc.collect()
    gc.disable()
    sys.settrace(None)  # a coverage tool has objects made for every frame
    try:
        yield
    finally:
        sys.setprofile(profiled)
        sys.settrace(traced)
        gc.enable()


def calls_of(workload: Workload) -> list[str]:
    """Name the functions that one run calls."""
    called: list[str] = []

    def observe(frame: Any, event: str, function: Any) -> None:
        if event == "call":
            called.append(frame.f_code.co_name)
        # Before 3.14, Python does not report that a `with` block calls an `__enter__`
        # written in C, only that it calls its `__exit__`. A lock costs one call on all.
        elif event == "c_call" and function.__name__ != "__enter__":
            called.append(function.__qualname__)

    with undisturbed():
        for _ in range(REPEATED):
            called.clear()
            workload.prepare()
            sys.setprofile(observe)
            workload.run()
            sys.setprofile(None)
    return called[1:-1]  # without the lambda and `setprofile`


def bytes_of(workload: Workload) -> int:
    """Return how much memory a run has taken at once beyond what is left of it."""
    found = []
    with undisturbed():
        tracemalloc.start()
        for _ in range(REPEATED):
            workload.prepare()
            tracemalloc.reset_peak()
            workload.run()
            left, peak = tracemalloc.get_traced_memory()
            found.append(peak - left)
        tracemalloc.stop()
    return min(found)  # other threads may have taken some, too


def bytes_of_a_flag() -> int:
    """Return what a flag takes that has one condition with two checks."""
    count = 1000
    features = FeatureFlagClient(MemoryFeatureFlagStore())
    with undisturbed():
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for number in range(count):
            flag = features.create(f"CHECKOUT_{number:06}", is_enabled=True)
            flag.add_condition(Condition(plan="pro", seats__gt=10))
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    return round((after - before) / count)


def modules_imported() -> list[str]:
    """Name what is loaded for a program that asks about a flag in memory."""
    program = """
import sys
before = set(sys.modules)
from flipper import FeatureFlagClient, MemoryFeatureFlagStore
FeatureFlagClient(MemoryFeatureFlagStore()).is_enabled("A")
print(*sorted(set(sys.modules) - before))
"""
    # Not with what a coverage tool loads into it.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    command = [sys.executable, "-c", program]
    return subprocess.check_output(command, env=environment, text=True).split()


@pytest.mark.parametrize("name", COSTS)
def test_workload_costs_no_more_calls(name: str) -> None:
    """Calls are what the time of an evaluation goes into."""
    if name == "on/off, cached store" and lru.LRU is None:
        pytest.skip("there is no lru-dict here; what is there instead has its own row")
    called = calls_of(Sample().workloads()[name])
    assert len(called) <= COSTS[name].calls, f"{name} calls {', '.join(called)}"


@pytest.fixture(scope="module")
def apart() -> dict[str, Any]:
    """Measure in a process of its own, whose memory no other test has touched."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    command = [sys.executable, __file__, "--raw"]
    found: dict[str, Any] = json.loads(
        subprocess.check_output(command, env=environment)
    )
    return found


@pytest.mark.parametrize("name", COSTS)
def test_workload_costs_no_more_memory(name: str, apart: dict[str, Any]) -> None:
    """What is made for an evaluation takes time to make, and to throw away."""
    if name == "on/off, cached store" and lru.LRU is None:
        pytest.skip("there is no lru-dict here; what is there instead has its own row")
    _, bytes_at_once = apart["costs"][name]
    assert bytes_at_once <= COSTS[name].bytes_at_once


@pytest.mark.parametrize("name", COSTS)
def test_cost_does_not_grow_with_the_number_of_flags(name: str) -> None:
    """A store of a thousand flags answers and writes as fast as one of ten."""
    few, many = Sample(FLAGS).workloads(), Sample(100 * FLAGS).workloads()
    assert calls_of(many[name]) == calls_of(few[name])


def test_flag_takes_no_more_memory(apart: dict[str, Any]) -> None:
    """Programs keep all their flags in memory."""
    assert apart["flag"] <= BYTES_OF_A_FLAG


def test_import_loads_no_more_modules() -> None:
    """Every process that asks about a flag waits for the import first."""
    if int(version("pyee").split(".")[0]) < NEWER_PYEE:
        pytest.skip("this pyee loads modules of its own that newer ones do not")
    loaded = modules_imported()
    assert len(loaded) <= MODULES_IMPORTED, f"loaded: {', '.join(loaded)}"


def test_lock_costs_one_call_on_every_python() -> None:
    """A `with` block of a lock counts once, whichever of its calls Python tells of."""
    lock = threading.Lock()

    def hold() -> None:
        with lock:
            pass

    assert calls_of(Workload(hold)) == ["lock.__exit__"]


def test_one_call_more_is_noticed() -> None:
    """The guard itself can fail: a wrapper of `get` costs two calls more.

    Itself, and the `get` that a client does without as long as nothing replaces it.
    """
    sample = Sample()
    workload = sample.workloads()["on/off"]
    before = calls_of(workload)
    store = sample.features._store
    get = store.get
    store.get = lambda name: get(name)  # noqa: PLW0108  (a call more)
    assert len(calls_of(workload)) == len(before) + 2


def measured() -> dict[str, Any]:
    """Return what there is to know, for this Python."""
    costs = {}
    for name in Sample().workloads():
        calls = calls_of(Sample().workloads()[name])
        costs[name] = len(calls), bytes_of(Sample().workloads()[name])
    return {
        "costs": costs,
        "flag": bytes_of_a_flag(),
        "modules": len(modules_imported()),
    }


def table(found: list[dict[str, Any]]) -> str:
    """Return the table with what is highest of all that was found."""
    costs = []
    for name in found[0]["costs"]:
        calls = max(each["costs"][name][0] for each in found)
        size = max(each["costs"][name][1] for each in found)
        costs.append(f'    "{name}": Cost({calls}, {size}),\n')
    return (
        f"COSTS = {{\n{''.join(costs)}}}\n"
        f"BYTES_OF_A_FLAG = {max(each['flag'] for each in found)}\n"
        f"MODULES_IMPORTED = {max(each['modules'] for each in found)}\n"
    )


def main() -> None:
    """Print the table, or with `--raw` what it is made of."""
    pythons = sys.argv[1:]
    if pythons == ["--raw"]:
        sys.stdout.write(json.dumps(measured()))
        return
    commands = [[python, __file__, "--raw"] for python in pythons]
    raw = [subprocess.check_output(command) for command in commands]
    sys.stdout.write(table([json.loads(each) for each in raw] or [measured()]))


if __name__ == "__main__":
    main()
