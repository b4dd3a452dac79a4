# SPDX-License-Identifier: Apache-2.0
"""Programs that use a synced store, for the rules in `synced_rules.py`."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from servers import unmeasured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PRELUDE = """
import os, signal, sys, threading, time
from flipper import FeatureFlagClient
from flipper.contrib.synced import SyncedFeatureFlagStore
from flipper.testing.contract import eventually
from support.synced_programs import Address, connect_by
connect = connect_by(*sys.argv[1:3])
address = Address(sys.argv[3], int(sys.argv[4]), sys.argv[5])
"""
"""Every program begins with `connect` and `address`, and the names that it may need."""


class Address(NamedTuple):
    """Where a server, or a proxy, listens, and the place of the flags on it."""

    host: str
    port: int
    place: str


def connect_by(module: str, rules: str) -> Callable[[Address], Any]:
    """Return the `connect` of a subclass of `SyncedRules` in another module."""
    connect: Callable[[Address], Any] = getattr(
        importlib.import_module(module), rules
    ).connect
    return connect


@contextmanager
def run_program(
    code: str, module: str, rules: str, address: Address
) -> Iterator[subprocess.Popen[str]]:
    """Run a program, and fail if it has printed a traceback.

    Args:
        code: what follows the prelude; may be indented.
        module: the module of a subclass of `SyncedRules`.
        rules: the name of the subclass.
        address: for `connect`.
    """
    text = PRELUDE + textwrap.dedent(code)
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", text, module, rules, *map(str, address)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**unmeasured(), "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        try:
            yield process
        finally:
            process.kill()
        assert process.stderr is not None
        errors = process.stderr.read()
        assert "Traceback" not in errors, errors


def send_line(process: subprocess.Popen[str], line: str) -> None:
    """Write a line to the standard input of a program."""
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
