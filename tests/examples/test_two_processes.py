# SPDX-License-Identifier: Apache-2.0
"""The example of two processes on one Redis."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from run_example import run_example

if TYPE_CHECKING:
    from servers import RedisServer


@pytest.mark.redis
def test_every_change_of_one_process_is_seen_by_the_other(
    redis_server: RedisServer,
) -> None:
    """Six changes are pushed to the other process, and nothing is logged."""
    run = run_example("examples/two_processes.py", redis_server.url)
    lines = run.stdout.splitlines()
    assert lines[0] == "NEW_CHECKOUT is off, the copy is live."
    assert [line.split()[0] for line in lines[1:-1]] == ["on", "off"] * 3
    assert re.fullmatch(r"The flag was read \d+ times and changed 6 times\.", lines[-1])
    assert run.stderr == ""
