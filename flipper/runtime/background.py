# SPDX-License-Identifier: Apache-2.0
"""Starts daemon threads that work in the background."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .fork import background_threads_run, uwsgi_enables_threads

if TYPE_CHECKING:
    from collections.abc import Callable

_warned = False
_can_resolve = sys.platform != "linux"  # whether `_read_resolver_settings` was called


def start_thread(
    name: str, target: Callable[..., object], *args: Any
) -> threading.Thread | None:
    """Start a daemon thread, or return `None` where no thread can run.

    No thread can run under uWSGI without threads (this is logged once), in a uWSGI
    process that has not forked its workers yet, in a sub-interpreter with a lock of its
    own, and while the interpreter exits.
    """
    if not background_threads_run():
        if not uwsgi_enables_threads():
            _warn_once()
        return None
    if not _can_resolve:
        _read_resolver_settings()
    try:
        # A sub-interpreter may allow no daemon threads.
        thread = threading.Thread(target=target, args=args, name=name, daemon=True)
        thread.start()
    except RuntimeError:  # or the interpreter exits, or there are too many threads
        return None
    return thread


def _read_resolver_settings() -> None:
    """Let the C library read how names of hosts are resolved.

    glibc does that when the first name is resolved, and holds a lock meanwhile. A child
    that is forked at that moment, while a thread connects, waits for the lock for ever
    as soon as it resolves a name itself.
    """
    global _can_resolve  # noqa: PLW0603  (once for all threads)
    _can_resolve = True
    import _socket  # which gevent does not replace

    with suppress(OSError):
        _socket.getaddrinfo("localhost", None, _socket.AF_INET)


def _warn_once() -> None:
    global _warned  # noqa: PLW0603  (once for all stores)
    if _warned:
        return
    _warned = True
    import logging

    logging.getLogger(__name__).warning(
        "uWSGI runs without threads, so no store can follow changes in the background: "
        "every question goes to the server instead, which is slow; start uWSGI with "
        "--enable-threads"
    )
