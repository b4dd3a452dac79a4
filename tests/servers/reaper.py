# SPDX-License-Identifier: Apache-2.0
"""Ends servers, and removes their folders, if pytest ends without doing so.

A program of its own, run by `process.py`: it reads lines from pytest and, when there
are no more because pytest is gone (even by SIGKILL), ends the servers that are left and
removes their folders. The kernel's own signal at a parent's death will not do: it comes
when the *thread* that started the server ends, and only Linux knows it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time


def main() -> None:
    """Read lines `[folder, is_there, pid or null, signal]` to the end, then clear."""
    left: dict[str, tuple[int | None, int]] = {}
    for line in sys.stdin:
        folder, is_there, pid, ending = json.loads(line)
        if is_there:
            left[folder] = (pid, ending)
        else:
            left.pop(folder, None)
    for pid, ending in left.values():
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, ending)
    for folder, (pid, _) in left.items():
        wait(pid)
        shutil.rmtree(folder, ignore_errors=True)


def wait(pid: int | None) -> None:
    """Wait, for at most ten seconds, until the process is gone."""
    deadline = time.monotonic() + 10
    while pid is not None and time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)


if __name__ == "__main__":
    main()
