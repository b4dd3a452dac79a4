# SPDX-License-Identifier: Apache-2.0
"""Keeps the secrets of a URL out of errors, whoever raises them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote

from ..exceptions import InvalidArgumentError
from .options import Options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")

_HIDDEN: Final = "***"
_SHORT: Final = 8  # characters
_USER: Final = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*:/{1,2})\S*@")
_OPTION: Final = re.compile(r"([?&]([^\s=&?]+)=)[^\s&'\"]+")


def call_hiding(secrets: Iterable[str], function: Callable[[], T]) -> T:
    """Call a function, and hide the secrets in the error that it may raise.

    Raises:
        InvalidArgumentError: the function raised an error that shows a secret. This one
            has the same text without the secrets, and neither cause nor context.
        Exception: any other error of the function, unchanged.
    """
    hidden = _pattern(secrets)
    try:
        return function()
    except Exception as error:
        if hidden is None or not any(map(hidden.search, _texts(error))):
            raise
        message = hidden.sub(_HIDDEN, f"{type(error).__name__}: {error}")
    # Not within `except`: the error would keep the driver's as its context.
    raise InvalidArgumentError(f"The store of the URL cannot be made: {message}")


def hide_in_urls(text: str) -> str:
    """Return a text without the users and the secret options of URLs in it."""
    text = _USER.sub(rf"\1{_HIDDEN}@", text)
    return _OPTION.sub(
        lambda found: found[1] + _HIDDEN if Options.is_secret(found[2]) else found[0],
        text,
    )


def _pattern(secrets: Iterable[str]) -> re.Pattern[str] | None:
    """Return a pattern that finds the secrets in a text, `None` if there are none."""
    forms = sorted({*_forms(secrets)}, key=len, reverse=True)
    # A short one is looked for as a word: as letters it is in any text.
    words = [
        re.escape(form) if len(form) >= _SHORT else rf"(?<!\w){re.escape(form)}(?!\w)"
        for form in forms
    ]
    return re.compile("|".join(words)) if words else None


def _forms(secrets: Iterable[str]) -> Iterator[str]:
    """Yield each secret in the ways in which a message may show it."""
    for secret in filter(None, secrets):
        yield from (secret, quote(secret, safe=""), quote(secret))
        yield repr(secret)[1:-1]


def _texts(error: BaseException) -> Iterator[str]:
    """Yield the texts of an error, and of those that a traceback shows with it."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield from (str(one), repr(one), *getattr(one, "__notes__", ()))
        waiting += [one.__cause__, one.__context__]
