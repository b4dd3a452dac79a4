# SPDX-License-Identifier: Apache-2.0
"""Reads flags from YAML, with the types of JSON.

YAML 1.1 takes `no` for false, `12:30` for 750 and `2026-01-01` for a date. Here a value
without quotes is null, true, false or a number if JSON writes it so, and else a text.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from .formats import ContentError, load_package
from .problems import ForeignValue

if TYPE_CHECKING:
    from .formats import Locate
    from .problems import Path, Position, Problems

_JSON: Final = re.compile(
    r"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
)
_PLAIN, _QUOTED, _CONTAINER = "plain", "quoted", "container"


def read(text: str, problems: Problems) -> tuple[Any, Locate]:
    """Return what a text holds, and a function that finds a value in it.

    Raises:
        ContentError: the text is not YAML.
        MissingDependencyError: PyYAML is not installed.
    """
    yaml: Any = load_package("yaml", "PyYAML", "yaml")

    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # loaded just now
        """Tells how a value is written instead of guessing its type."""

        def resolve(self, kind: Any, _: Any, implicit: Any) -> str:
            """Return the tag of a value that is written without one."""
            if kind is not yaml.ScalarNode:
                return _CONTAINER
            return _PLAIN if implicit[0] else _QUOTED

    try:
        node = yaml.compose(text, Loader=Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = " ".join(filter(None, [error.context, error.problem]))
        message = f"is not YAML: {said}; check indentation, colons and quotes"
        raise ContentError(message, mark and _position(mark)) from None
    except (yaml.YAMLError, ValueError) as error:
        said = str(error).partition("\n")[0]
        raise ContentError(f"is not YAML: {said}; remove what is not text") from None
    if node is None:
        raise ContentError("is empty; write version: 1 and flags:", (1, 1))
    reading = _Reading(yaml, problems)
    return reading.value(node, ()), reading.locate


class _Reading:
    """Makes plain data of YAML's nodes, and keeps the position of each."""

    def __init__(self, yaml: Any, problems: Problems) -> None:
        self._yaml = yaml
        self._problems = problems
        self._names: dict[Path, Position] = {}
        self._values: dict[Path, Position] = {}
        self._seen: set[int] = set()

    def locate(self, path: Path, at_name: bool) -> Position | None:
        """Return line and column of a value, of its name, or of what is around it."""
        while True:
            found = self._names.get(path) if at_name else None
            found = found or self._values.get(path)
            if found is not None:
                return found
            path = path[:-1]

    def value(self, node: Any, path: Path) -> Any:
        """Return what a node holds."""
        self._values[path] = _position(node.start_mark)
        if id(node) in self._seen:
            self._add(path, node, "repeats an anchor; write the value again instead")
            return None
        self._seen.add(id(node))
        if node.tag not in (_PLAIN, _QUOTED, _CONTAINER):
            return ForeignValue(f"a value with the tag {node.tag!r}")
        if isinstance(node, self._yaml.SequenceNode):
            return [
                self.value(entry, (*path, index))
                for index, entry in enumerate(node.value)
            ]
        if isinstance(node, self._yaml.MappingNode):
            return self._table(node, path)
        return _scalar(node.value) if node.tag == _PLAIN else node.value

    def _table(self, node: Any, path: Path) -> dict[str, Any]:
        table: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.value(key_node, (*path, ""))
            if not isinstance(key, str):
                self._add(path, key_node, "the name is no text; put it in quotes")
                continue
            inner = (*path, key)
            if key in table:
                message = "the name is given twice; remove or rename one of them"
                self._add(inner, key_node, message)
                continue
            self._names[inner] = _position(key_node.start_mark)
            table[key] = self.value(value_node, inner)
        return table

    def _add(self, path: Path, node: Any, message: str) -> None:
        self._problems.add(path, message, position=_position(node.start_mark))


def _scalar(text: str) -> Any:
    if not text or text == "~":
        return None
    if _JSON.fullmatch(text) is None:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return ForeignValue("a number with thousands of digits")


def _position(mark: Any) -> Position:
    return mark.line + 1, mark.column + 1
