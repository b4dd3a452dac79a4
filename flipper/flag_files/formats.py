# SPDX-License-Identifier: Apache-2.0
"""The formats of files of flags: what a text in one of them holds, and where.

`toml_format`, `json_format` and `yaml_format` have a `read` each, and the first two a
`write`. They are loaded when they are first used.
"""

from __future__ import annotations

import codecs
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..exceptions import InvalidArgumentError, MissingDependencyError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from .problems import Position, Problems

    Locate = Callable[[Any, bool], Position | None]
    """Takes a path, and whether its name is meant; returns line and column."""

READABLE: Final = ("toml", "json", "yaml")
WRITABLE: Final = ("toml", "json")
_BY_SUFFIX: Final = {
    ".toml": "toml",
    ".json": "json",
    ".yaml": "yaml",
    ".yml": "yaml",
}
_MODULES: Final = {name: f".{name}_format" for name in READABLE}


class ContentError(Exception):
    """A text cannot be parsed.

    Attributes:
        message: what is wrong, and the remedy.
        position: line and column, `None` if they are not known.
    """

    def __init__(self, message: str, position: Position | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.position = position


def format_of(path: str | os.PathLike[str]) -> str:
    """Return the format of a file by its suffix: "toml", "json" or "yaml".

    Raises:
        InvalidArgumentError: the suffix belongs to no format.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _BY_SUFFIX:
        raise InvalidArgumentError(
            f"The file {str(path)!r} has no format that flags can have; name it "
            f"*.toml, *.json or *.yaml",
            value=path,
        )
    return _BY_SUFFIX[suffix]


def format_module(name: str, known: tuple[str, ...]) -> Any:
    """Return the module of a format.

    Raises:
        InvalidArgumentError: the format is none of the known ones.
        MissingDependencyError: a package that the format needs is not installed.
    """
    if name not in known:
        raise InvalidArgumentError(
            f"The format {name!r} is unknown; use one of {', '.join(known)}", value=name
        )
    return import_module(_MODULES[name], __package__)


def load_package(module: str, package: str, extra: str) -> Any:
    """Import a package that may be missing.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        raise MissingDependencyError.for_extra(package, extra) from None


def read_data(
    content: bytes | str, format_name: str, problems: Problems
) -> tuple[Any, Locate]:
    """Return what a text holds as plain data, and a function that finds a value in it.

    Args:
        content: the text; bytes are UTF-8.
        format_name: the format.
        problems: gets the mistakes after which the rest can still be read, such as a
            name that is given twice.

    Raises:
        ContentError: the rest cannot be read.
        InvalidArgumentError: the format is unknown.
        MissingDependencyError: a package that the format needs is not installed.
    """
    module = format_module(format_name, READABLE)
    text = content if isinstance(content, str) else _decoded(content)
    try:
        result: tuple[Any, Locate] = module.read(text, problems)
    except RecursionError:
        message = "is nested too deeply; use fewer levels of tables and lists"
        raise ContentError(message) from None
    return result


def _decoded(content: bytes) -> str:
    try:
        return content.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line_start = before.rfind(b"\n") + 1
        column = len(before[line_start:].decode()) + 1
        raise ContentError(
            f"the byte 0x{error.object[error.start]:02x} is no UTF-8; save the file as "
            f"UTF-8",
            (before.count(b"\n") + 1, column),
        ) from None
