# SPDX-License-Identifier: Apache-2.0
"""Says, in asyncio's debug mode, that a request to a server blocks an event loop.

The check is made where a store is about to do I/O, so it adds nothing to an answer from
memory, and notices the debug mode whenever it is switched on. `asyncio` is not loaded.
"""

from __future__ import annotations

import sys
from typing import Any, Final

_LOGGER: Final = "flipper.client"  # applications know it as the log of their client
_MARK: Final = "_flipper_blocked_event_loop"


def warn_in_event_loop(source: Any, store: Any) -> None:
    """Log it, once for each source, if this thread runs an event loop in debug mode.

    Args:
        source: what is called, a `SupportsLastKnown`.
        store: the store that is about to do I/O.
    """
    events: Any = sys.modules.get("asyncio.events")
    if events is None:
        return
    # Python loads a module in one thread while another one is here.
    get_running_loop = getattr(events, "_get_running_loop", None)
    loop = None if get_running_loop is None else get_running_loop()
    if loop is None or not loop.get_debug() or _MARK in vars(source):
        return
    vars(source)[_MARK] = True
    import logging

    logging.getLogger(_LOGGER).warning(
        "%s is called in the thread of an event loop, and no other task runs until it "
        "has answered; use flipper.AsyncFeatureFlagClient, whose methods are awaited, "
        "or a SyncedFeatureFlagStore, which answers from memory",
        type(store).__name__,
    )
