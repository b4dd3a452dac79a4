# SPDX-License-Identifier: Apache-2.0
"""What the fast paths may cost, counted in calls and bytes: no clock is asked.

A call, of a Python function or of a C function, is what an evaluation spends most of its
time on. The numbers are what the code needs today. Lower them when you make it faster:

    python tests/core/test_speed_guard.py

prints the table for this Python.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from flipper import (
    CachedFeatureFlagStore,
    Condition,
    FeatureFlagClient,
    MemoryFeatureFlagStore,
)
from flipper.bucketing import ConsistentHashPercentageBucketer

if TYPE_CHECKING:
    from collections.abc import Callable

    Work = Callable[[], Any]

# Calls of one workload, on every Python.
CALLS: dict[str, int] = {}


class _Flags:
    """A client, with a flag for each workload."""

    def __init__(self) -> None:
        self.features = features = FeatureFlagClient(MemoryFeatureFlagStore())
        sticky = ConsistentHashPercentageBucketer(
            key_whitelist=["user_id"], percentage=0.5
        )
        features.create("SWITCH", is_enabled=True)
        features.create("CHECKED", is_enabled=True)
        features.add_condition("CHECKED", Condition(plan="pro", seats__gt=10))
        features.create("LISTED", is_enabled=True)
        features.add_condition("LISTED", Condition(region__in=[*"abcdefghijklmnopqrst"]))
        features.create("STICKY", is_enabled=True)
        features.set_bucketer("STICKY", sticky)
        features.create("RULED", is_enabled=True)
        features.add_condition("RULED", Condition(staff=True))
        features.set_bucketer("RULED", sticky)
        features.create("TEN", is_enabled=True)
        self.ten = [Condition(plan="pro") for _ in range(10)]
        self.more = Condition(seats__gt=10)
        self.cached = FeatureFlagClient(CachedFeatureFlagStore(features._store))
        self.users = iter(range(10**9))

    def ready(self) -> None:
        self.features.set_conditions("TEN", self.ten)


def workloads() -> dict[str, Work]:
    """Return what is counted."""
    f = _Flags()
    ask = f.features.is_enabled
    new = iter([f"user-{i}" for i in range(1000)])
    return {
        "on/off": lambda: ask("SWITCH"),
        "on/off, cached store": lambda: f.cached.is_enabled("SWITCH"),
        "== and > check": lambda: ask("CHECKED", plan="pro", seats=11),
        "in a list of 20": lambda: ask("LISTED", region="t"),
        "sticky, new user": lambda: ask("STICKY", user_id=next(new)),
        "sticky, user seen before": lambda: ask("STICKY", user_id="user"),
        "rule that decides": lambda: ask("RULED", user_id="user", staff=True),
        "rule, else rollout": lambda: ask("RULED", user_id="user"),
        "missing flag": lambda: ask("MISSING"),
        "enable": lambda: f.features.enable("SWITCH"),
        "add a condition to ten": lambda: f.features.add_condition("TEN", f.more),
        "list": lambda: list(f.features.list()),
    }

def count(work):
    n=0; names=[]
    def prof(frame,event,arg):
        nonlocal n
        if event in("call","c_call"):
            n+=1; names.append(frame.f_code.co_name if event=="call" else arg.__qualname__)
    sys.setprofile(prof)
    try: work()
    finally: sys.setprofile(None)
    return n,names

def peak(work):
    work()
    gc.disable()
    tracemalloc.start()
    work(); work()
    tracemalloc.reset_peak(); b=tracemalloc.get_traced_memory()[0]
    work()
    p=tracemalloc.get_traced_memory()[1]-b
    tracemalloc.stop(); gc.enable()
    return p

if __name__=="__main__":
    ws=workloads()
    empty,_=count(lambda:None)
    gc.disable()
    for k,w in ws.items():
        for _ in range(30): w()
        if k.startswith("add"): w.__closure__[0].cell_contents.ready()
        print(sys.version.split()[0], k, [count(w)[0]-empty for _ in range(3)], count(w)[1][1:-1], [peak(w) for _ in range(3)] if "-v" in sys.argv else "")
