# SPDX-License-Identifier: Apache-2.0
"""Starts daemon threads that work in the background."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from .fork import background_threads_run, uwsgi_enables_threads

if TYPE_CHECKING:
    from collections.abc import Callable

_warned = False


def start_thread(
    name: str, target: Callable[..., object], *args: Any
) -> threading.Thread | None:
    """Start a daemon thread, or return `None` where no thread can run.

    No thread can run under uWSGI without threads (this is logged once), in a uWSGI
    process that has not forked its workers yet, and while the interpreter exits.
    """
    if not background_threads_run():
        if not uwsgi_enables_threads():
            _warn_once()
        return None
    thread = threading.Thread(target=target, args=args, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the interpreter exits, or there are too many threads
        return None
    return thread


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
