# SPDX-License-Identifier: Apache-2.0
"""Waits for data at a file descriptor."""

from __future__ import annotations

import select
from typing import Any


def is_readable(connection: Any, timeout: float) -> bool:
    """Wait until data or the end of a connection arrives, at most `timeout` seconds.

    Args:
        connection: an object with a file descriptor, or the descriptor.
        timeout: seconds; 0 or less does not wait.
    """
    timeout = max(timeout, 0.0)  # with a negative timeout, poll waits for ever
    if not hasattr(select, "poll"):
        return bool(select.select([connection], [], [], timeout)[0])
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(timeout * 1000))
