# SPDX-License-Identifier: Apache-2.0
"""Collects every mistake in a file of flags, and makes one error of all of them."""

from __future__ import annotations

from difflib import get_close_matches
from numbers import Number
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..exceptions import FlagFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from typing_extensions import Self

    Path = tuple[str | int, ...]
    Position = tuple[int, int]

_SHOWN: Final = 60  # characters of a value or a name
_LISTED: Final = 100  # mistakes in the message of an error


class ForeignValue:
    """A value that a format can express and a flag cannot hold.

    Args:
        shown: what it is, as part of a sentence.
    """

    def __init__(self, shown: str) -> None:
        self.shown = shown


class Problem(NamedTuple):
    """One mistake in a file of flags.

    Attributes:
        message: what is wrong, and the remedy.
        feature_name: the flag, `None` if the mistake is in no flag.
        key: where in the flag, as in "bucketer.percentage"; may be empty.
        line: counted from 1; `None` if the flags do not come from a file.
        column: counted from 1, in characters.
    """

    message: str
    feature_name: str | None
    key: str
    line: int | None
    column: int | None

    def __str__(self) -> str:
        """Return position, flag, key, mistake and remedy in one line."""
        parts = []
        if self.line is not None:
            parts.append(f"line {self.line}, column {self.column}")
        if self.feature_name is not None:
            parts.append(f"feature {shortened(self.feature_name)}")
        if self.key:
            parts.append(self.key)
        return ": ".join([*parts, self.message])


class Problems:
    """The mistakes that were found so far. Not for several threads at once."""

    def __init__(self) -> None:
        self._found: list[tuple[Path, bool, str, Position | None]] = []

    def __len__(self) -> int:
        return len(self._found)

    @property
    def root(self) -> Place:
        """The whole content of the file."""
        return Place(self, ())

    def add(
        self,
        path: Path,
        message: str,
        *,
        at_name: bool = False,
        position: Position | None = None,
    ) -> None:
        """Add a mistake.

        Args:
            path: names and indexes that lead to the value.
            message: what is wrong, and the remedy.
            at_name: whether the name of the value is wrong, not the value.
            position: line and column, if they are known already.
        """
        self._found.append((path, at_name, message, position))

    def located(
        self, locate: Callable[[Path, bool], Position | None] | None
    ) -> list[Problem]:
        """Return the mistakes in the order of the file.

        Args:
            locate: returns line and column of a value or of its name; `None` if the
                flags do not come from a file.
        """
        found = []
        unread = {path for path, _, _, position in self._found if position is not None}
        for path, at_name, message, position in self._found:
            if position is None and path in unread:
                continue  # a consequence
            if position is None and locate is not None:
                position = locate(path, at_name)  # noqa: PLW2901
            line, column = (None, None) if position is None else position
            is_in_flag = len(path) > 1 and path[0] == "flags"
            name = str(path[1]) if is_in_flag else None
            key = _key_of(path[2:] if is_in_flag else path)
            found.append(Problem(message, name, key, line, column))
        return sorted(found, key=lambda one: (one.line or 0, one.column or 0))


class Place(NamedTuple):
    """A value in the content of a file, about which mistakes are reported."""

    problems: Problems
    path: Path

    def at(self, key: str | int) -> Place:
        """Return the place of a value in this one."""
        return Place(self.problems, (*self.path, key))

    def refuse(self, message: str, *, at_name: bool = False) -> None:
        """Report that this value is wrong, or its name."""
        self.problems.add(self.path, message, at_name=at_name)


class FewerProblems(NamedTuple):
    """Tells whether anything was reported since it was made."""

    problems: Problems
    before: int

    @classmethod
    def since_now(cls, place: Place) -> Self:
        """Begin to count."""
        return cls(place.problems, len(place.problems))

    def __bool__(self) -> bool:
        """Return whether nothing was reported."""
        return len(self.problems) == self.before


def error_of(problems: list[Problem], where: str) -> FlagFileError:
    """Make one error of all mistakes.

    Args:
        problems: the mistakes, at least one.
        where: the name of the file, or what it is called instead.
    """
    names = {problem.feature_name for problem in problems}
    if len(problems) == 1:
        message = f"{where}: {problems[0]}"
    else:
        listed = "".join(f"\n  {problem}" for problem in problems[:_LISTED])
        if len(problems) > _LISTED:
            listed += f"\n  and {len(problems) - _LISTED} more"
        message = f"{where} has {len(problems)} mistakes:{listed}"
    return FlagFileError(
        message,
        feature_name=names.pop() if len(names) == 1 else None,
        problems=tuple(problems),
    )


def told(value: object) -> str:
    """Return a value as part of a sentence, as people see it in a file."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f"the text {shortened(value)}"
    if isinstance(value, Number):
        return f"the number {shortened(value)}"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return value.shown if isinstance(value, ForeignValue) else "a date or time"


def shortened(value: object) -> str:
    """Return the `repr` of a value, cut if it is long."""
    try:
        shown = repr(value)
    except ValueError:  # a number with thousands of digits
        return "with thousands of digits"
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint for a name that is unknown: the nearest known one, and all."""
    every = sorted(known)
    close = get_close_matches(name, every, 1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(every)}"


def check_keys(
    place: Place,
    table: Any,
    required: Mapping[str, str],
    optional: Iterable[str] = (),
) -> bool:
    """Report unknown and missing keys of a table; return whether it is a table.

    Args:
        place: the table.
        table: its content.
        required: keys that have to be there, each with an example of its value.
        optional: all other keys that it may have.
    """
    if not isinstance(table, dict):
        place.refuse(f"is {told(table)}; write a table of names and values")
        return False
    known = (*required, *optional)
    guessed: set[str] = set()
    for key in table:
        if key not in known:
            guessed.update(get_close_matches(key, known, 1))
            place.at(key).refuse(
                f"the key is unknown; {nearest(key, known)}", at_name=True
            )
    for key, example in required.items():
        if key not in table and key not in guessed:
            place.refuse(
                f"the key {key!r} is missing; add it, for example {example}",
                at_name=True,
            )
    return True


def _key_of(path: Path) -> str:
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if part.isidentifier() else repr(part)
            text += f".{name}" if text else name
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
