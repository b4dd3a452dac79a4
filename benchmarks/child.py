# SPDX-License-Identifier: Apache-2.0
"""The process of one contender, run by its path with the contender's interpreter.

It reads lines of JSON, each the name of a method of `Commands` and its arguments, and
answers each with a line: what came out, or the error.
"""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import itertools
import json
import logging
import os
import socket
import sys
import tracemalloc
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import measuring
import workloads
from workloads import Call, Workload

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST = 1  # call, to see how many others there is time for
_TRIED = 2000  # calls at least whose answers are compared before all measurement,
_TRYING = 2.0  # unless they take more seconds than this
_TIMED = 10  # one of so many calls is made again, to see how long it takes
_LONGEST = 0.2  # seconds for a slice, unless its fewest pairs take longer
_FEWEST_PAIRS = 3
_LIMITS = 2000  # calls of the limit in one pair
_SHARING = 0.1  # seconds for which threads share calls


class WrongAnswerError(Exception):
    """A contender that had been right gave a wrong answer while it was measured."""


class Course:
    """A workload as one contender does it.

    Attributes:
        wrong: why its answers are not the right ones; empty if they are.
    """

    def __init__(self, workload: Workload, contender: Any, flags: int) -> None:
        self._workload = workload
        self._contender = contender
        self._flags = flags
        self._work = getattr(contender, workload.key)
        self._kept: dict[Any, Any] = {}
        self._next = 0
        # Beside a store, the limit is its bare operation on the same arguments.
        self._bare = getattr(contender, f"bare_{workload.key}", None)
        self._limit = self._bare or measuring.limit(workloads.names(flags))
        self._each, self.wrong = self._try_out()  # seconds of one call
        fitting = round(measuring.PIECE / self._each)
        most = min(measuring.MOST_CALLS, workload.most // measuring.PAIRS)
        self._size = max(1, min(fitting, most))
        pairs = round(_LONGEST / (self._each * self._size))
        self._pairs = max(_FEWEST_PAIRS, min(pairs, measuring.PAIRS))

    def slice(self) -> measuring.Slice:
        """Measure some pairs of limit and work; all answers have to be right."""
        calls = self._calls(self._size * self._pairs)
        pieces = self._pieces(self._arguments(calls), self._size)
        limits = pieces
        if self._bare is None:
            every = itertools.cycle(workloads.names(self._flags))
            limits = [[*itertools.islice(every, _LIMITS)] for _ in pieces]
        found, answers = measuring.measure(self._work, pieces, self._limit, limits)
        if not self.wrong:
            flat = [answer for piece in answers for answer in piece]
            wrong = self._workload.why_wrong(self._contender, calls, flat)
            if wrong:
                raise WrongAnswerError(wrong)
        if self._workload.per_flag:
            each = self._flags
            return found._replace(ratio=found.ratio / each, work=found.work / each)
        return found

    def throughput(self, threads: int) -> float:
        """Return calls per second of all of these threads."""
        count = round(_SHARING / self._each)
        calls = self._calls(min(count, measuring.MOST_CALLS))
        every = itertools.cycle(self._arguments(calls))
        arguments = [*itertools.islice(every, count)]
        return measuring.throughput(self._work, arguments, threads)

    def _try_out(self) -> tuple[float, str]:
        """Return how long a call takes, and what is wrong with the answers."""
        workload = self._workload
        arguments = self._arguments(self._calls(_FIRST))
        self._work(arguments)  # the first call of all may load and compile
        each = measuring.seconds(self._work, arguments) / _FIRST
        # Every flag at least once: some do work when they are first asked.
        tried = max(_TRIED, self._flags)
        count = max(1, min(tried, workload.most, round(_TRYING / each)))
        calls = self._calls(count)
        arguments = self._arguments(calls)
        answers = self._work(arguments)
        wrong = workload.why_wrong(self._contender, calls, answers)
        drawn = any(call.drawn for call in calls)
        if not wrong and drawn and not getattr(self._contender, "draws", False):
            # Sticky is who gets the same answer again.
            wrong = "" if self._work(arguments) == answers else "another answer later"
        count = max(1, count // _TIMED)
        arguments = self._arguments(self._calls(count))
        return measuring.seconds(self._work, arguments) / count, wrong

    def _calls(self, count: int) -> list[Call]:
        begin = self._next
        self._next += count
        return [self._workload.call(i, self._flags) for i in range(begin, self._next)]

    def _arguments(self, calls: list[Call]) -> list[Any]:
        """Return what the contender is handed; with what it keeps from call to call."""
        arguments = [call.arguments for call in calls]
        if self._workload.spends:
            self._contender.renew(arguments)
        if not self._workload.keeps:
            return arguments
        make = getattr(self._contender, self._workload.keeps)
        kept = self._kept
        for _, given in arguments:
            if given not in kept:
                kept[given] = make(**dict(given))
        return [(name, kept[given]) for name, given in arguments]

    @staticmethod
    def _pieces(arguments: list[Any], size: int) -> list[list[Any]]:
        return [arguments[i : i + size] for i in range(0, len(arguments), size)]


class Commands:
    """What the parent may ask for."""

    def __init__(self) -> None:
        self._contenders: dict[Any, Any] = {}
        self._courses: dict[Any, Course] = {}

    def version(self, distribution: str) -> str:
        """Return the version that is installed."""
        return importlib.metadata.version(distribution)

    def prepare(
        self, table: str, key: str, flags: int, module: str, address: str = ""
    ) -> str | None:
        """Store the flags and try the workload out; return what is wrong with it.

        `None` is that the contender cannot do it.
        """
        workload = _workload(table, key)
        made_of = (table, workload.flags, key if workload.writes else "", flags)
        kind = importlib.import_module(f"contenders.{module}").Contender
        if not hasattr(kind, key):
            return None
        contender = self._contenders.get(made_of)
        if contender is None:
            place = (address,) if address else ()
            contender = kind(workload.flags(flags), *place)
            self._contenders[made_of] = contender
        course = Course(workload, contender, flags)
        self._courses[table, key, flags] = course
        gc.collect()
        gc.freeze()  # nothing for the collector to look at again
        return course.wrong

    def slice(self, table: str, key: str, flags: int) -> measuring.Slice:
        """Measure a slice of a workload that was prepared."""
        found = self._courses[table, key, flags].slice()
        gc.collect()
        return found

    def throughput(self, table: str, key: str, flags: int, threads: int) -> list[float]:
        """Return calls per second of threads, together."""
        return [self._courses[table, key, flags].throughput(threads)]

    def memory(self, module: str, flags: int) -> float | None:
        """Return the bytes that a flag with one condition takes, if that is known."""
        kind = importlib.import_module(f"contenders.{module}").Contender
        keeps_in = getattr(kind, "keeps_in", "Python's memory")
        if keeps_in == "database":
            return None
        kind(workloads.with_one_condition(1))  # loads what is loaded once
        if keeps_in == "native memory":
            return _growth(kind, flags, _resident) / flags
        gc.collect()
        tracemalloc.start()
        return _growth(kind, flags, lambda: tracemalloc.get_traced_memory()[0]) / flags


def _workload(table: str, key: str) -> Workload:
    if table == "memory":
        return workloads.IN_MEMORY[key]
    return workloads.IN_STORES[table][1][key]


def _growth(kind: Callable[[Any], Any], flags: int, measured: Callable[[], int]) -> int:
    gc.collect()
    before = measured()
    contender = kind(workloads.with_one_condition(flags))
    gc.collect()
    after = measured()
    del contender
    return after - before


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


def _stay_offline() -> None:
    """Let nothing but this machine be called: all evaluation has to be local."""
    connect = socket.socket.connect

    def local(self: socket.socket, address: Any) -> None:
        if self.family == socket.AF_UNIX or address[0] in {"127.0.0.1", "::1"}:
            return connect(self, address)
        _refuse(address)

    def lookup(host: Any, *rest: Any, **more: Any) -> Any:
        if host in {"127.0.0.1", "::1", "localhost", None}:
            return getaddrinfo(host, *rest, **more)
        _refuse(host)

    getaddrinfo = socket.getaddrinfo
    socket.socket.connect = local  # type: ignore[method-assign]
    socket.getaddrinfo = lookup


def _refuse(address: object) -> NoReturn:
    print("refused to call", address, file=sys.stderr)
    raise OSError(f"a benchmark calls nobody, not {address}")


def main() -> None:
    """Answer commands until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to the log
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    _stay_offline()
    gc.disable()  # it works between the slices
    commands = Commands()
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = {"result": getattr(commands, name)(**arguments)}
        except Exception as error:  # noqa: BLE001  (the parent tells it)
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    os._exit(0)  # libraries may have threads that would wait for their servers


if __name__ == "__main__":
    main()
