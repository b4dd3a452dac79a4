# SPDX-License-Identifier: Apache-2.0
"""The options of a store's URL: each is read once, with its type."""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ..exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SWITCHES: Final = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}
_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
_INTEGER: Final = re.compile(r"-?[0-9]{1,15}")
# What is written in this way is the name of an option, and not a part of a password.
_PLAIN_NAME: Final = re.compile(r"[a-z][a-z_]{0,39}")
_SECRET_NAME: Final = re.compile(
    r"pass(word|wd|phrase)?$|pwd|secret|token|credential|auth|(access|api|private)_?key",
    re.IGNORECASE,
)
_LONGEST_SHOWN: Final = 60


class Options:
    """The options of one URL: its query parameters, and arguments of the call.

    The methods `text`, `integer` and so on return the value of an option, or a default.
    `refuse_unknown` refuses the options that none of them has read.

    Args:
        in_url: the query parameters, decoded.
        given: the arguments of the call. Their values may have the right type already.
        subject: what errors call the URL.

    Raises:
        InvalidArgumentError: an option is both in the URL and among the arguments.
    """

    def __init__(
        self, in_url: Mapping[str, str], given: Mapping[str, Any], subject: str
    ) -> None:
        for name in sorted(in_url.keys() & given.keys()):
            raise InvalidArgumentError(
                f"{subject} has the option {name!r}, and so has the call; give one"
            )
        self.subject = subject
        self._given = given
        self._values: dict[str, Any] = {**in_url, **given}
        self._known: set[str] = set()

    @staticmethod
    def is_secret(name: str) -> bool:
        """Return whether the values of an option of this name are never shown."""
        return bool(_SECRET_NAME.search(name))

    @staticmethod
    def shown_name(name: str) -> str:
        """Return how an error names an option: it may be a part of a password."""
        return f"the option {name!r}" if _PLAIN_NAME.fullmatch(name) else "an option"

    def secrets(self) -> list[str]:
        """Return the values that are never shown."""
        return [
            str(value) for name, value in self._values.items() if self.is_secret(name)
        ]

    def __contains__(self, name: str) -> bool:
        """Return whether an option is given, and count it among the known ones."""
        self._known.add(name)
        return name in self._values

    def __iter__(self) -> Any:
        """Iterate over the names of all given options."""
        return iter(self._values)

    def text(self, name: str, default: str | None = None) -> str | None:
        """Return an option that is a text."""
        if name not in self:
            return default
        value = self._values[name]
        if not isinstance(value, str) or not value:
            self._refuse(name, "is no text")
        return value

    def secret(self, name: str) -> str | None:
        """Return an option that is a text and must not be shown."""
        if not self.is_secret(name):
            message = f"{name!r} is not among the names whose values are hidden"
            raise ValueError(message)
        return self.text(name)

    def path(self, name: str) -> str | None:
        """Return an option that is a file: `~` is the home directory."""
        if name not in self:
            return None
        value = self._values[name]
        if not isinstance(value, (str, os.PathLike)) or not str(value):
            self._refuse(name, "is no file")
        try:
            return str(Path(value).expanduser())
        except RuntimeError:
            self._refuse(name, "is in the home directory of a user that there is not")

    def integer(self, name: str, default: int | None = None) -> Any:
        """Return an option that is an integer, 0 or larger."""
        if name not in self:
            return default
        value = self._values[name]
        if isinstance(value, str) and _INTEGER.fullmatch(value):
            value = int(value)
        if type(value) is not int or value < 0:
            self._refuse(name, "is no integer; use 0 or a larger one")
        return value

    def number(self, name: str, default: float | None = None) -> Any:
        """Return an option that is a number; the text "none" is `None`.

        Whether the number is allowed is checked by what is made with it.
        """
        if name not in self:
            return default
        value = self._values[name]
        if value is None or value == "none":
            return None
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            value = float(value)
        if isinstance(value, bool) or not isinstance(value, Real):
            self._refuse(name, "is no number; use one such as 30 or 0.5, or none")
        return value

    def seconds(self, name: str, default: float) -> float:
        """Return an option that is a time limit: seconds, more than 0."""
        value = self.number(name, default)
        if value is None or not 0 < value < 1e6:  # noqa: PLR2004  (11 days)
            self._refuse(name, "is no time limit; use seconds, more than 0")
        return float(value)

    def switch(self, name: str, *, default: bool = False) -> bool:
        """Return an option that is on or off."""
        if name not in self:
            return default
        value = self._values[name]
        if isinstance(value, str):
            value = _SWITCHES.get(value.lower())
        if not isinstance(value, bool):
            self._refuse(name, "is neither on nor off; use 1 or 0")
        return value

    def choice(self, name: str, default: str, *choices: str) -> str:
        """Return an option that has one of some values, of which one is the default."""
        value = self.text(name, default)
        if value != default and value not in choices:
            known = " or ".join(map(repr, (default, *choices)))
            self._refuse(name, f"is unknown; use {known}")
        return str(value)

    def refuse_unknown(self) -> None:
        """Refuse the options that were not read.

        Raises:
            InvalidArgumentError: there is one.
        """
        for name in self._values:
            if name in self._known:
                continue
            near = get_close_matches(name, self._known, n=1)
            remedy = f"did you mean {near[0]!r}?" if near else self._listed()
            message = f"{self.subject} has {self.shown_name(name)} that is not known"
            raise InvalidArgumentError(f"{message}; {remedy}")

    def _listed(self) -> str:
        return f"known are {', '.join(sorted(self._known))}"

    def _refuse(self, name: str, problem: str) -> NoReturn:
        """Raise the error for the value of an option."""
        # Not a value from the URL: behind a password with an unencoded '&' it may be
        # a part of that.
        if self.is_secret(name) or name not in self._given:
            raise InvalidArgumentError(
                f"{self.subject} has the option {name!r} that {problem}"
            )
        value = self._given[name]
        shown = repr(value)
        if len(shown) > _LONGEST_SHOWN:
            shown = f"{shown[:_LONGEST_SHOWN]}..."
        raise InvalidArgumentError(
            f"{self.subject} has {name}={shown}, which {problem}", value=value
        )
