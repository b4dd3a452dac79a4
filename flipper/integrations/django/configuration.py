# SPDX-License-Identifier: Apache-2.0
"""The setting `FLIPPER`: what it may contain, and what is wrong with it."""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from django.conf import settings
from django.utils.module_loading import import_string

from ...exceptions import InvalidArgumentError
from ...urls import VARIABLE, store_from_url
from ...urls.address import parse
from ...urls.schemes import find_builder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME: Final = "FLIPPER"
DEFAULT_URL: Final = "django://"
_SUBJECT: Final = "The URL of the setting FLIPPER"
_EXAMPLE: Final = "FLIPPER = {'URL': 'redis://localhost:6379/0?sync=1'}"
_CHOICES: Final = {
    "ON_ERROR": ("default", "raise"),
    "STRICT": ("silent", "warn", "raise"),
}
_KEYS: Final = ("URL", "STORE", "CONTEXT", "PRELOAD", *_CHOICES)


class Mistake(NamedTuple):
    """A mistake in the setting.

    Attributes:
        number: of the system check, such as 1 for `flipper.E001`.
        text: what is wrong.
        hint: what to do.
    """

    number: int
    text: str
    hint: str


def read_setting() -> dict[str, Any]:
    """Return the setting, without what it does not say.

    Raises:
        InvalidArgumentError: there is a mistake in it; `manage.py check` names all.
    """
    mistake = next(find_mistakes(), None)
    if mistake is not None:
        raise InvalidArgumentError(f"{mistake.text} {mistake.hint}")
    return dict(getattr(settings, NAME, None) or {})


def make_store(setting: dict[str, Any]) -> Any:
    """Make the store of the setting. Without one, the site's database has the flags.

    Raises:
        InvalidArgumentError: the store cannot be made of what the setting says.
        Exception: any error of the store.
    """
    if "STORE" not in setting:
        url = setting.get("URL") or os.environ.get(VARIABLE) or DEFAULT_URL
        return store_from_url(url)
    found = import_string(setting["STORE"])
    store = found if hasattr(found, "get") and not isinstance(found, type) else found()
    if not all(callable(getattr(store, name, None)) for name in ("get", "list", "set")):
        raise InvalidArgumentError(
            f"STORE of the setting FLIPPER names {setting['STORE']!r}, which gives a "
            f"{type(store).__name__}; name a store, or a function that returns one"
        )
    return store


def context_function(setting: dict[str, Any]) -> Callable[..., Any] | None:
    """Return the function that gives the arguments for a request."""
    path = setting.get("CONTEXT")
    return None if path is None else import_string(path)


def find_mistakes() -> Iterator[Mistake]:
    """Yield the mistakes in the setting, without opening a store."""
    setting = getattr(settings, NAME, None)
    if setting is None:
        setting = {}
    if not isinstance(setting, dict):
        yield Mistake(
            1,
            f"The setting FLIPPER is a {type(setting).__name__}.",
            f"Make it a dict, as in {_EXAMPLE}.",
        )
        return
    yield from (_unknown_key(key) for key in setting if key not in _KEYS)
    if "URL" in setting and "STORE" in setting:
        yield Mistake(
            3,
            "The setting FLIPPER has both 'URL' and 'STORE'.",
            "Leave one of them out: each names the store.",
        )
    yield from _mistakes_of_url(setting)
    for key in ("STORE", "CONTEXT"):
        if key in setting:
            yield from _mistakes_of_path(key, setting[key])
    yield from _mistakes_of_values(setting)


def _mistakes_of_values(setting: dict[str, Any]) -> Iterator[Mistake]:
    for key, values in _CHOICES.items():
        if key in setting and setting[key] not in values:
            yield Mistake(
                7,
                f"{key} of the setting FLIPPER is {setting[key]!r}.",
                f"Use one of {', '.join(map(repr, values))}.",
            )
    names = setting.get("PRELOAD", [])
    if not isinstance(names, (list, tuple, set, frozenset)) or not all(
        isinstance(name, str) for name in names
    ):
        yield Mistake(
            8,
            f"PRELOAD of the setting FLIPPER is {names!r}.",
            "Use a list of feature names, as in ['NEW_CHECKOUT', 'DARK_MODE'].",
        )


def _unknown_key(key: Any) -> Mistake:
    near = get_close_matches(str(key).upper(), _KEYS, 1)
    known = ", ".join(map(repr, _KEYS))
    return Mistake(
        2,
        f"The setting FLIPPER has the unknown key {key!r}.",
        f"Did you mean {near[0]!r}?" if near else f"Use one of {known}.",
    )


def _mistakes_of_url(setting: dict[str, Any]) -> Iterator[Mistake]:
    url, subject = setting.get("URL"), _SUBJECT
    if "URL" not in setting:
        url, subject = os.environ.get(VARIABLE), f"The URL in {VARIABLE}"
        if not url or "STORE" in setting:
            return
    try:
        # Their errors show no part of the URL but its scheme.
        find_builder(parse(url, {}, subject).scheme, subject)
    except (InvalidArgumentError, ImportError) as error:
        yield Mistake(4, f"{error}.", "docs/store-urls.md lists the URLs of stores.")


def _mistakes_of_path(key: str, path: Any) -> Iterator[Mistake]:
    if not isinstance(path, str):
        yield Mistake(
            5,
            f"{key} of the setting FLIPPER is a {type(path).__name__}.",
            f"Use the dotted path of a function, as in 'shop.flags.{key.lower()}'.",
        )
        return
    try:
        found = import_string(path)
    except Exception as error:  # noqa: BLE001  (of the site)
        yield Mistake(
            6,
            f"{key} of the setting FLIPPER names {path!r}, which cannot be imported "
            f"({type(error).__name__}: {error}).",
            "Correct the path: a module, a dot and a name in it.",
        )
        return
    if key == "CONTEXT" and not callable(found):
        yield Mistake(
            5,
            f"CONTEXT of the setting FLIPPER names {path!r}, which is no function.",
            "Name a function of the request that returns a dict of arguments.",
        )
