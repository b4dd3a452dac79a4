# SPDX-License-Identifier: Apache-2.0
"""Prints what the library and the drivers log, for want of a logging configuration."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from .output import warn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .session import Session

# These log the name of each stored document that `list` leaves out.
_LEFT_OUT: Final = ("flipper.contracts.document", "flipper.contrib.thrift")
_FEW: Final = 5  # so many of them are printed one by one
# The command prints the errors that these log.
_PRINTED_ANYHOW: Final = ("flipper.client", "psycopg.pool", "thrift.transport")


class _Printer(logging.Handler):
    """Prints each warning once, without a traceback."""

    def __init__(self, session: Session) -> None:
        super().__init__(logging.WARNING)
        self._session = session
        self._printed: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        if record.name in _LEFT_OUT and hasattr(record, "feature_name"):
            self._session.left_out.append(str(record.feature_name))
            if len(self._session.left_out) > _FEW:
                return
        text = record.getMessage().expandtabs(4)
        if record.name.startswith(_PRINTED_ANYHOW) or text in self._printed:
            return
        self._printed.add(text)
        # A shell asks for completions while people type: it would show the text there.
        if "_FLIPPER_COMPLETE" not in os.environ:
            warn(text)


@contextmanager
def log_messages_printed(session: Session) -> Iterator[None]:
    """Print warnings; keep in the session which documents were left out."""
    printer = _Printer(session)
    logger, last_resort = logging.getLogger("flipper"), logging.lastResort
    logger.addHandler(printer)
    # Python's own would print tracebacks of drivers. Where an application configures
    # logging, it is not used.
    logging.lastResort = printer
    try:
        yield
    finally:
        logger.removeHandler(printer)
        logging.lastResort = last_resort
        more = len(session.left_out) - _FEW
        if more > 0:
            warn(f"{more:,} more stored documents are not flags; they are left out")
