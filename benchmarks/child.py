# SPDX-License-Identifier: Apache-2.0
"""The process of one contender, run by its path with the contender's interpreter.

It reads lines of JSON. Each has the name of a method of `Commands`, and its arguments.
It answers each with a line of JSON: the result, or the error.
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

_WARM_UP_CALLS = 1  # to estimate how many calls there is time for
# At least so many answers are checked before the measurement, unless the calls take
# longer than so many seconds.
_CHECKED_CALLS = 2000
_CHECK_SECONDS = 2.0
_CALLS_PER_TIMED_CALL = 10  # one of so many checked calls is repeated and timed
_SLICE_SECONDS = 0.2  # of a slice, unless its smallest number of pairs takes longer
_FEWEST_PAIRS = 3
_LIMIT_CALLS = 2000  # in one pair
_THREADS_SECONDS = 0.1  # for which several threads make calls


class WrongAnswerError(Exception):
    """A contender gave a wrong answer while it was measured, but not before."""


class PreparedWorkload:
    """A workload that one contender is ready to run.

    Attributes:
        wrong: what is wrong with the contender's answers; empty if they are right.
    """

    def __init__(self, workload: Workload, contender: Any, flags: int) -> None:
        self._workload = workload
        self._contender = contender
        self._flags = flags
        self._work = getattr(contender, workload.key)
        self._kept: dict[Any, Any] = {}
        self._next = 0
        # For a store, the limit is the bare operation of its driver, with the same
        # arguments.
        self._bare = getattr(contender, f"bare_{workload.key}", None)
        self._limit = self._bare or measuring.limit(workloads.names(flags))
        self._seconds_per_call, self.wrong = (
            self._check_answers()
        )  # seconds of one call
        fitting = round(measuring.PIECE / self._seconds_per_call)
        most = min(measuring.MOST_CALLS, workload.most // measuring.PAIRS)
        self._size = max(1, min(fitting, most))
        pairs = round(_SLICE_SECONDS / (self._seconds_per_call * self._size))
        self._pairs = max(_FEWEST_PAIRS, min(pairs, measuring.PAIRS))

    def slice(self) -> measuring.Slice:
        """Measure some pairs of limit and work, and check all answers."""
        calls = self._calls(self._size * self._pairs)
        pieces = self._pieces(self._arguments(calls), self._size)
        limits = pieces
        if self._bare is None:
            every = itertools.cycle(workloads.names(self._flags))
            limits = [[*itertools.islice(every, _LIMIT_CALLS)] for _ in pieces]
        found, answers = measuring.measure(self._work, pieces, self._limit, limits)
        if not self.wrong:
            flat = [answer for piece in answers for answer in piece]
            wrong = self._workload.find_wrong_answer(self._contender, calls, flat)
            if wrong:
                raise WrongAnswerError(wrong)
        if self._workload.per_flag:
            each = self._flags
            return found._replace(ratio=found.ratio / each, work=found.work / each)
        return found

    def throughput(self, threads: int) -> float:
        """Return the calls per second that several threads make together."""
        count = round(_THREADS_SECONDS / self._seconds_per_call)
        calls = self._calls(min(count, measuring.MOST_CALLS))
        every = itertools.cycle(self._arguments(calls))
        arguments = [*itertools.islice(every, count)]
        return measuring.throughput(self._work, arguments, threads)

    def _check_answers(self) -> tuple[float, str]:
        """Return the seconds of one call, and what is wrong with the answers."""
        workload = self._workload
        arguments = self._arguments(self._calls(_WARM_UP_CALLS))
        self._work(arguments)  # the first call may load modules and compile rules
        each = measuring.seconds(self._work, arguments) / _WARM_UP_CALLS
        # Every flag at least once: some contenders prepare a flag at its first call.
        checked = max(_CHECKED_CALLS, self._flags)
        count = max(1, min(checked, workload.most, round(_CHECK_SECONDS / each)))
        calls = self._calls(count)
        arguments = self._arguments(calls)
        answers = self._work(arguments)
        wrong = workload.find_wrong_answer(self._contender, calls, answers)
        drawn = any(call.drawn for call in calls)
        if not wrong and drawn and not getattr(self._contender, "draws", False):
            # In a sticky rollout, the same call gives the same answer.
            wrong = "" if self._work(arguments) == answers else "another answer later"
        count = max(1, count // _CALLS_PER_TIMED_CALL)
        arguments = self._arguments(self._calls(count))
        return measuring.seconds(self._work, arguments) / count, wrong

    def _calls(self, count: int) -> list[Call]:
        begin = self._next
        self._next += count
        return [self._workload.call(i, self._flags) for i in range(begin, self._next)]

    def _arguments(self, calls: list[Call]) -> list[Any]:
        """Return the arguments of calls, with the objects that a program keeps."""
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
    """The commands of the parent process."""

    def __init__(self) -> None:
        self._contenders: dict[Any, Any] = {}
        self._prepared: dict[Any, PreparedWorkload] = {}

    def version(self, distribution: str) -> str:
        """Return the installed version of a distribution."""
        return importlib.metadata.version(distribution)

    def prepare(
        self, table: str, key: str, flags: int, module: str, address: str = ""
    ) -> str | None:
        """Store the flags, and check the answers; return what is wrong with them.

        `None` means that the contender does not support the workload.
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
        prepared = PreparedWorkload(workload, contender, flags)
        self._prepared[table, key, flags] = prepared
        gc.collect()
        gc.freeze()  # so that later collections do not visit the flags
        return prepared.wrong

    def slice(self, table: str, key: str, flags: int) -> measuring.Slice:
        """Measure a slice of a workload that was prepared."""
        found = self._prepared[table, key, flags].slice()
        gc.collect()
        return found

    def throughput(self, table: str, key: str, flags: int, threads: int) -> list[float]:
        """Return the calls per second that several threads make together."""
        return [self._prepared[table, key, flags].throughput(threads)]

    def memory(self, module: str, flags: int) -> float | None:
        """Return the bytes of a flag with one condition, `None` if not known."""
        kind = importlib.import_module(f"contenders.{module}").Contender
        keeps_in = getattr(kind, "keeps_in", "Python's memory")
        if keeps_in == "database":
            return None
        kind(workloads.with_one_condition(1))  # loads modules, which are not measured
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


def _block_network() -> None:
    """Refuse connections to other machines: all evaluation must be local."""
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
    print("refused to connect to", address, file=sys.stderr)
    raise OSError(f"benchmarks may not connect to other machines, such as {address}")


def main() -> None:
    """Run commands until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print to the log
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    _block_network()
    gc.disable()  # it runs only between the slices
    commands = Commands()
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = {"result": getattr(commands, name)(**arguments)}
        except Exception as error:  # noqa: BLE001  (the parent reports it)
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    os._exit(0)  # libraries may have threads that would wait for their servers


if __name__ == "__main__":
    main()
