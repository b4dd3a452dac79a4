# SPDX-License-Identifier: Apache-2.0
"""What the command says about an error, and with which exit code it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..exceptions import (
    FlagDoesNotExistError,
    FlipperError,
    InvalidArgumentError,
    InvalidFlagDataError,
    StaleFlagsError,
    StoreTimeoutError,
    StoreUnavailableError,
)
from .exit_codes import FAILED, NO_SUCH_FLAG, UNREACHABLE, USAGE
from .output import message

if TYPE_CHECKING:
    from .session import Session


_LONGEST: Final = 400  # characters of a driver's message


def exit_code_of(error: Exception, session: Session) -> int:
    """Return the exit code for an error that ends a command."""
    if isinstance(error, FlagDoesNotExistError):
        return NO_SUCH_FLAG
    if isinstance(error, InvalidArgumentError):
        return USAGE
    away = (StoreTimeoutError, StoreUnavailableError, StaleFlagsError)
    if isinstance(error, away) or session.means_unreachable(error):
        return UNREACHABLE
    return FAILED


def message_of(error: Exception) -> str:
    """Return what people read about an error."""
    return message(_text_of(error))


def _text_of(error: Exception) -> str:
    text = str(error).strip()
    if isinstance(error, FlagDoesNotExistError):
        return f"{text}; `flipper list` prints the names of all flags"
    if isinstance(error, InvalidFlagDataError) and error.feature_name is not None:
        problem = Exception.__str__(error)
        return (
            f"Feature {error.feature_name!r} cannot be read: {problem}. Remove it with "
            f"`flipper delete`, or register its operators and bucketers with --app"
        )
    if isinstance(error, FlipperError):
        return text
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.strerror}: {error.filename}"
    kind = type(error).__name__
    text = text.expandtabs(4)
    if len(text) > _LONGEST:  # some drivers print all their settings
        text = f"{text[:_LONGEST]}..."
    return f"{kind}: {text}" if text else kind
