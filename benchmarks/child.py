# SPDX-License-Identifier: Apache-2.0
"""The process of one contender, run by path with the contender's own interpreter.

It reads commands as lines of JSON and answers each with one: `{"ok": ...}`, or
`{"error": ...}`. See `Commands` for what there is.
"""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import json
import logging
import os
import platform
import socket
import sys
import tracemalloc
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import measuring
from workloads import CONDITIONS, FLAGS, WORKLOADS, Workload, names, with_one_condition

if TYPE_CHECKING:
    from collections.abc import Callable

_MANY = 400  # answers, from which on a share can be judged


class Course:
    """A workload, done by one contender on so many flags.

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
        self._limit = measuring.limit(names(flags))
        self.wrong = self._try_out()

    def _try_out(self) -> str:
        """Ask twice, see whether the answers are right, and how long they take."""
        count = 50 if self._workload.spends else min(2 * FLAGS, 4 * self._flags)
        if self._workload.key == "list_all":
            count = 1
        calls, expected = self._calls(count)
        answers = self._work(calls)
        wrong = self._compare(calls, answers, expected)
        if not wrong and not self._workload.spends and answers != self._work(calls):
            ...
        return wrong
