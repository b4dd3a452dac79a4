# SPDX-License-Identifier: Apache-2.0
"""Limits of the cost of the fast paths, in function calls and bytes instead of seconds.

An evaluation spends most of its time in calls, of Python functions and of functions in
C, and on memory for their arguments. An additional call or object on a fast path fails
here on any machine, however busy it is.
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
from unittest import mock

import pytest

from flipper import (
    CachedFeatureFlagStore,
    Condition,
    FeatureFlagClient,
    MemoryFeatureFlagStore,
)
from flipper.bucketing import ConsistentHashPercentageBucketer
from flipper.contrib.cached import lru
from flipper.rules import Rollout, Rule, Split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Cost(NamedTuple):
    """The upper limits of a workload: its cost on the Python where that is highest."""

    calls: int
    bytes_at_once: int


# Lower a number when you have reduced the cost; raise none without need. This command
# prints the table, with the highest costs of the given Pythons, or of its own:
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
    "three rules of two checks": Cost(3, 0),
    "salted rollout, a new user": Cost(9, 227),
    "split, a new user": Cost(12, 297),
    "missing flag": Cost(2, 0),
    "list ten flags": Cost(50, 2104),
    "enable": Cost(11, 80),
    "add a condition to ten": Cost(15, 472),
}
BYTES_OF_A_FLAG = 564
MODULES_IMPORTED = 113

FLAGS = 10
REPEATED = 5
NEWER_PYEE = 12


def prepare_nothing() -> None:
    """Prepare nothing."""


class Workload(NamedTuple):
    """What is counted: one call of `run`, each time after `prepare`."""

    run: Callable[[], Any]
    prepare: Callable[[], Any] = prepare_nothing


class Sample:
    """Clients with a flag for each workload, and with other flags."""

    # Shared by all samples, because the process remembers buckets of users.
    _users = itertools.count()

    def __init__(self, flags: int = FLAGS) -> None:
        self.store = MemoryFeatureFlagStore()
        self.features = FeatureFlagClient(self.store)
        self.cached = FeatureFlagClient(CachedFeatureFlagStore(self.store))
        with mock.patch.object(lru, "LRU", None):  # as if lru-dict were not installed
            plain = CachedFeatureFlagStore(self.store)
        self.plain = FeatureFlagClient(plain)
        self.user = ""
        self._ten = [Condition(plan="pro") for _ in range(10)]
        self._other = Condition(seats__gt=10)
        sticky = ConsistentHashPercentageBucketer(
            key_whitelist=["user_id"], percentage=0.5
        )
        members = [f"region-{i}" for i in range(20)]
        on = [self.features.create(name, is_enabled=True) for name in "ABCDEFRST"]
        _, checked, listed, rolled_out, ruled, self._full, *with_rules = on
        checked.add_condition(Condition(plan="pro", seats__gt=10))
        listed.add_condition(Condition(region__in=members))
        rolled_out.set_bucketer(sticky)
        ruled.set_bucketer(sticky)
        ruled.add_condition(Condition(staff=True))
        self._give_rules(*with_rules)
        for number in range(flags - len(on)):
            self.features.create(f"G{number}")

    def _give_rules(self, three: Any, salted: Any, split: Any) -> None:
        three.set_rules(
            [
                Rule(Condition(country="SE", plan="free")),
                Rule(Condition(country="SE", seats__gt=100)),
                Rule(Condition(plan="pro", seats__gt=10)),
            ]
        )
        salted.set_rules([Rule(None, Rollout(0.5, by="user_id"))])
        shares = {"blue": 0.5, "green": 0.3, "red": 0.2}
        split.set_rules([Rule(None, Split(shares, by="user_id"))])

    def use_new_user(self) -> None:
        """Choose a user that no bucketer has seen."""
        self.user = f"user-{next(self._users):06}"

    def reset_to_ten(self) -> None:
        """Give the flag ten conditions again."""
        self._full.set_conditions(self._ten)

    def workloads(self) -> dict[str, Workload]:
        """Return the workloads by their keys in `COSTS`."""
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
                lambda: ask("D", user_id=self.user), self.use_new_user
            ),
            "sticky rollout, a user seen before": Workload(
                lambda: ask("D", user_id="user")
            ),
            "rule": Workload(lambda: ask("E", user_id="user", staff=True)),
            "rule, else rollout": Workload(lambda: ask("E", user_id="user")),
            "three rules of two checks": Workload(
                lambda: ask("R", country="SE", plan="pro", seats=11)
            ),
            "salted rollout, a new user": Workload(
                lambda: ask("S", user_id=self.user), self.use_new_user
            ),
            "split, a new user": Workload(
                lambda: features.variant("T", user_id=self.user), self.use_new_user
            ),
            "missing flag": Workload(lambda: ask("MISSING")),
            "list ten flags": Workload(lambda: list(features.list(limit=10))),
            "enable": Workload(lambda: features.enable("A")),
            "add a condition to ten": Workload(
                lambda: features.add_condition(full, self._other), self.reset_to_ten
            ),
        }


@contextmanager
def without_observers() -> Iterator[None]:
    """Switch off the garbage collector, tracing and profiling."""
    traced, profiled = sys.gettrace(), sys.getprofile()
    gc.collect()
    gc.disable()
    sys.settrace(None)  # coverage tools create objects for every frame
    try:
        yield
    finally:
        sys.setprofile(profiled)
        sys.settrace(traced)
        gc.enable()


def calls_of(workload: Workload) -> list[str]:
    """Return the names of the functions that one run calls."""
    called: list[str] = []

    def observe(frame: Any, event: str, function: Any) -> None:
        if event == "call":
            called.append(frame.f_code.co_name)
        # Before 3.14, Python does not report that a `with` block calls an `__enter__`
        # written in C, but does report its `__exit__`. So each lock counts once.
        elif event == "c_call" and function.__name__ != "__enter__":
            called.append(function.__qualname__)

    with without_observers():
        for _ in range(REPEATED):
            called.clear()
            workload.prepare()
            sys.setprofile(observe)
            workload.run()
            sys.setprofile(None)
    return called[1:-1]  # without the lambda and `setprofile`


def bytes_of(workload: Workload) -> int:
    """Return how much memory a run takes at once, beyond what it keeps."""
    found = []
    with without_observers():
        tracemalloc.start()
        for _ in range(REPEATED):
            workload.prepare()
            tracemalloc.reset_peak()
            workload.run()
            left, peak = tracemalloc.get_traced_memory()
            found.append(peak - left)
        tracemalloc.stop()
    return min(found)  # other threads may take memory too


def bytes_of_a_flag() -> int:
    """Return the memory of a flag with one condition of two checks."""
    # The first round also makes what Python and the library keep once for all flags.
    _bytes_of_a_flag()
    return _bytes_of_a_flag()


def _bytes_of_a_flag() -> int:
    count = 1000
    features = FeatureFlagClient(MemoryFeatureFlagStore())
    with without_observers():
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for number in range(count):
            flag = features.create(f"CHECKOUT_{number:06}", is_enabled=True)
            flag.add_condition(Condition(plan="pro", seats__gt=10))
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    return round((after - before) / count)


def unmeasured() -> dict[str, str]:
    """Return an environment in which a program loads no coverage tool."""
    return {k: v for k, v in os.environ.items() if not k.startswith("COV")}


def modules_imported() -> list[str]:
    """Return the modules that a program loads to read a flag in memory."""
    program = """
import sys
before = set(sys.modules)
from flipper import FeatureFlagClient, MemoryFeatureFlagStore
FeatureFlagClient(MemoryFeatureFlagStore()).is_enabled("A")
print(*sorted(set(sys.modules) - before))
"""
    command = [sys.executable, "-c", program]
    return subprocess.check_output(command, env=unmeasured(), text=True).split()


@pytest.mark.parametrize("name", COSTS)
def test_a_workload_makes_no_more_calls(name: str) -> None:
    """Most of the time of an evaluation is spent in calls."""
    if name == "on/off, cached store" and lru.LRU is None:
        pytest.skip("lru-dict is not used here; what replaces it has its own row")
    called = calls_of(Sample().workloads()[name])
    assert len(called) <= COSTS[name].calls, f"{name} calls {', '.join(called)}"


@pytest.fixture(scope="module")
def measured_apart() -> dict[str, Any]:
    """Measure in a new process, whose memory no other test has used."""
    environment = {**unmeasured(), "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, __file__, "--raw"]
    found: dict[str, Any] = json.loads(
        subprocess.check_output(command, env=environment)
    )
    return found


@pytest.mark.parametrize("name", COSTS)
def test_a_workload_takes_no_more_memory(
    name: str, measured_apart: dict[str, Any]
) -> None:
    """Objects take time to create and to delete."""
    if name == "on/off, cached store" and lru.LRU is None:
        pytest.skip("lru-dict is not used here; what replaces it has its own row")
    _, bytes_at_once = measured_apart["costs"][name]
    assert bytes_at_once <= COSTS[name].bytes_at_once


@pytest.mark.parametrize("name", COSTS)
def test_the_cost_does_not_grow_with_the_number_of_flags(name: str) -> None:
    """A store of a thousand flags needs as many calls as one of ten."""
    few, many = Sample(FLAGS).workloads(), Sample(100 * FLAGS).workloads()
    assert calls_of(many[name]) == calls_of(few[name])


def test_a_flag_takes_no_more_memory(measured_apart: dict[str, Any]) -> None:
    """Programs keep all their flags in memory."""
    assert measured_apart["flag"] <= BYTES_OF_A_FLAG


def test_import_loads_no_more_modules() -> None:
    """The import takes time at the start of every process."""
    if int(version("pyee").split(".")[0]) < NEWER_PYEE:
        pytest.skip("this pyee loads modules of its own that newer ones do not")
    loaded = modules_imported()
    assert len(loaded) <= MODULES_IMPORTED, f"loaded: {', '.join(loaded)}"


def test_a_lock_counts_as_one_call_on_every_python() -> None:
    """A `with` block of a lock counts once, whichever calls Python reports."""
    lock = threading.Lock()

    def hold() -> None:
        with lock:
            pass

    assert calls_of(Workload(hold)) == ["lock.__exit__"]


def test_an_additional_call_is_noticed() -> None:
    """A replaced `get` costs two calls more: itself, and the `get` that it calls.

    The client does without both as long as nothing replaces `get`.
    """
    sample = Sample()
    workload = sample.workloads()["on/off"]
    before = calls_of(workload)
    store = sample.store
    get = store.get
    store.get = lambda name: get(name)  # noqa: PLW0108  (a call more)
    assert len(calls_of(workload)) == len(before) + 2


def measure() -> dict[str, Any]:
    """Return all costs on this Python."""
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
    """Return the source text of the limits: the highest of all costs."""
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
    """Print the table, or the costs themselves with `--raw`."""
    pythons = sys.argv[1:]
    if pythons == ["--raw"]:
        sys.stdout.write(json.dumps(measure()))
        return
    commands = [[python, __file__, "--raw"] for python in pythons]
    raw = [subprocess.check_output(command) for command in commands]
    sys.stdout.write(table([json.loads(each) for each in raw] or [measure()]))


if __name__ == "__main__":
    main()
