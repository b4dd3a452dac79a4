# SPDX-License-Identifier: Apache-2.0
"""Reads and writes flags as TOML."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, Final

from .formats import ContentError, load_package
from .positions import Positions

if TYPE_CHECKING:
    from .formats import Locate
    from .problems import Place, Problems

_POSITION: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_WIDTH: Final = 88  # longer lists are written one entry per line
_INDENT: Final = "    "
# By the beginning of a message of the parser.
_REMEDIES: Final = {
    "Cannot": "a name can be given once only: remove or rename one of the two",
    "Duplicate": "a name can be given once only: remove or rename one of the two",
    "Expected newline or end of document": (
        "begin a new line here, or put the text before it in quotes"
    ),
    "Expected '='": "write name = value; names with spaces stand in quotes",
    "Invalid value": (
        "texts stand in quotes, booleans are true and false; or a quote or a bracket "
        "is missing before it"
    ),
    "Unterminated string": "close the text with the quote that it began with",
    "Illegal character": (
        "close the text with the quote that it began with, on the same line"
    ),
    "Unclosed": "close the list with ] or the table with }",
    "Invalid initial character for a key part": (
        "names are letters, digits, _ and -; put other names in quotes"
    ),
}
_OTHER_REMEDY: Final = "look for a missing quote, comma or bracket here and just before"


def read(text: str, problems: Problems) -> tuple[Any, Locate]:  # noqa: ARG001  (as in the other formats)
    """Return what a text holds, and a function that finds a value in it.

    Raises:
        ContentError: the text is not TOML.
        MissingDependencyError: Python is older than 3.11, and tomli is not installed.
    """
    loads = _parser().loads
    try:
        data = loads(text)
    except ValueError as error:  # TOMLDecodeError is one
        raise _content_error(str(error), text) from None
    positions = Positions(text, lambda name: next(iter(loads(f"{name}=0"))))
    return data, positions.locate


def _parser() -> Any:
    name = "tomllib" if sys.version_info >= (3, 11) else "tomli"
    return load_package(name, "tomli", "files")


def _content_error(message: str, text: str) -> ContentError:
    found = _POSITION.search(message)
    problem = message if found is None else message[: found.start()]
    position = None
    if found is not None and found[1] is not None:
        position = int(found[1]), int(found[2])
    elif found is not None:
        position = text.count("\n") + 1, len(text) - text.rfind("\n")
    remedy = next(
        (remedy for start, remedy in _REMEDIES.items() if problem.startswith(start)),
        _OTHER_REMEDY,
    )
    return ContentError(f"is not TOML: {problem}; {remedy}", position)


def write(plain: dict[str, Any]) -> str:
    """Return flags that are plain data as TOML: one table per flag, a line per key.

    Raises:
        MissingDependencyError: tomli-w is not installed.
    """
    toml = _Writer()
    lines = [f"version = {plain['version']}"]
    if not plain["flags"]:
        lines += ["", "[flags]"]
    for name, flag in plain["flags"].items():
        title = f"flags.{toml.name(name)}"
        lines += ["", f"[{title}]", *toml.lines(f"{title}.", flag)]
    return "\n".join(lines) + "\n"


def write_rules(plain: dict[str, Any]) -> str:
    """Return the rules of one flag, which are plain data, as TOML.

    Raises:
        MissingDependencyError: tomli-w is not installed.
    """
    return "\n".join(_Writer().lines("", plain)).lstrip("\n") + "\n"


class _Writer:
    """Writes values in the order of their names, which tomli-w changes for tables.

    tomli-w writes names and values that are no containers.
    """

    def __init__(self) -> None:
        self._dumps = load_package("tomli_w", "tomli-w", "files").dumps

    def lines(self, prefix: str, flag: dict[str, Any]) -> list[str]:
        """Return the lines of a flag below the title of its table.

        Args:
            prefix: what the titles of tables in it begin with, as in "flags.x.".
            flag: what the flag has, by key.
        """
        lines = []
        tables = []  # at the end, because whatever follows them would belong to them
        for key, value in flag.items():
            if key == "rules" and value:
                for rule in value:
                    tables += ["", f"[[{prefix}{key}]]", *self._pairs(rule)]
                continue
            line = self.pair(key, value, "", broken=key == "conditions")
            if isinstance(value, dict) and (key == "client_data" or len(line) > _WIDTH):
                tables += ["", f"[{prefix}{key}]", *self._pairs(value)]
            else:
                lines.append(line)
        return lines + tables

    def _pairs(self, table: dict[str, Any]) -> list[str]:
        return [self.pair(name, entry, "") for name, entry in table.items()]

    def name(self, name: str) -> str:
        """Return a name, in quotes where it needs them."""
        text: str = self._dumps({name: 0})
        return text.removesuffix(" = 0\n")

    def pair(self, name: str, value: Any, indent: str, *, broken: bool = False) -> str:
        """Return a name with its value."""
        return f"{self.name(name)} = {self._value(value, indent, broken)}"

    def _value(self, value: Any, indent: str, broken: bool = False) -> str:
        if isinstance(value, dict):
            pairs = [self.pair(key, entry, indent) for key, entry in value.items()]
            return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
        if not isinstance(value, list):
            text: str = self._dumps({"x": value})
            return text.removeprefix("x = ").removesuffix("\n")
        inner = indent + _INDENT
        entries = [self._value(entry, inner) for entry in value]
        one_line = f"[{', '.join(entries)}]"
        if len(indent) + len(one_line) <= _WIDTH and not (broken and entries):
            return one_line
        lines = [f"{inner}{entry},\n" for entry in entries]
        return f"[\n{''.join(lines)}{indent}]"


def find_inexpressible(place: Place, value: Any) -> None:
    """Report what TOML cannot express: null, and halves of characters."""
    if isinstance(value, dict):
        for key, entry in value.items():
            find_inexpressible(place.at(key), key)
            find_inexpressible(place.at(key), entry)
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            find_inexpressible(place.at(index), entry)
    elif value is None:
        place.refuse("TOML cannot express null; use JSON")
    elif isinstance(value, str) and (found := _SURROGATE.search(value)):
        place.refuse(f"TOML cannot express the character {found[0]!r}; use JSON")
