# SPDX-License-Identifier: Apache-2.0
"""Files of flags, in TOML, JSON or YAML, written by people and by programs.

`read_flags` and `parse_flags` make flags of a file, `write_flags` makes a text of
flags, and `schema` describes the form to editors. `parse_rules` and `write_rules` do
the same for the rules of one flag. docs/flag-files.md explains the form.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..contrib.storage import FeatureFlagStoreItem
from ..exceptions import InvalidArgumentError
from .flags import VERSION as VERSION
from .flags import plain_flag, read_flags_data
from .formats import READABLE as READABLE
from .formats import WRITABLE as WRITABLE
from .formats import ContentError, format_module, read_data
from .formats import format_of as format_of
from .problems import Problem as Problem
from .problems import Problems, check_keys, error_of
from .rules import RULES_KEYS, read_rules_table

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from ..rules.rules import Rules
    from .problems import Place


def read_flags(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002
) -> list[FeatureFlagStoreItem]:
    """Return the flags of a file, in its order.

    A flag whose `created_date` the file leaves out has `None` there.

    Args:
        path: the file.
        format: "toml", "json" or "yaml"; by default, the suffix of the file says it.

    Raises:
        FlagFileError: the file has mistakes. It names all of them.
        OSError: the file cannot be read.
        InvalidArgumentError: the format is unknown.
        MissingDependencyError: a package that the format needs is not installed.
    """
    format_name = format_of(path) if format is None else format
    return parse_flags(Path(path).read_bytes(), format_name, where=str(path))


def parse_flags(
    content: bytes | str,
    format: str,  # noqa: A002
    *,
    where: str = "the text",
) -> list[FeatureFlagStoreItem]:
    """Return the flags of a text, in its order.

    Args:
        content: the text; bytes are UTF-8.
        format: "toml", "json" or "yaml".
        where: the name of the text in errors.

    Raises:
        FlagFileError: the text has mistakes. It names all of them; but where the text
            cannot be parsed, it names the first.
        InvalidArgumentError: the format is unknown.
        MissingDependencyError: a package that the format needs is not installed.
    """
    return _parsed(content, format, where, read_flags_data)  # type: ignore[no-any-return]


def parse_data(
    content: bytes | str,
    format: str,  # noqa: A002
    *,
    where: str = "the text",
) -> Any:
    """Return what a text holds as plain data, which need not be flags of this library.

    Its arguments and errors are those of `parse_flags`.
    """
    return _parsed(content, format, where, lambda _, data: data)


def _parsed(
    content: bytes | str,
    format: str,  # noqa: A002
    where: str,
    read: Callable[[Place, Any], Any],
) -> Any:
    """Return the result of `read` for the data of a text, if nothing was reported."""
    problems = Problems()
    result = locate = None
    try:
        data, locate = read_data(content, format, problems)
        result = read(problems.root, data)
    except ContentError as error:
        problems.add((), error.message, position=error.position)
    if problems:
        raise error_of(problems.located(locate), where)
    return result


def write_flags(items: Iterable[Any], format: str) -> str:  # noqa: A002
    """Return a text with these flags, sorted by name, without what is default.

    `parse_flags` makes equal flags of it: `serialize` returns the same bytes for them.

    Args:
        items: the flags, of any store.
        format: "toml" or "json".

    Raises:
        FlagFileError: a flag cannot be written. It names all such flags.
        InvalidArgumentError: the format is unknown.
        MissingDependencyError: a package that the format needs is not installed.
    """
    module = format_module(format, WRITABLE)
    problems = Problems()
    plain: dict[str, Any] = {}
    for each in items:
        name = each.feature_name
        place = problems.root.at("flags").at(name)
        if name in plain:
            place.refuse("is given twice; give each flag once")
        else:
            plain[name] = _written(place, each)
            if format == "toml":
                module.find_inexpressible(place, plain[name])
    if problems:
        raise error_of(problems.located(None), "The file to write")
    return module.write(  # type: ignore[no-any-return]
        {"version": VERSION, "flags": {name: plain[name] for name in sorted(plain)}}
    )


def parse_rules(
    content: bytes | str,
    format: str,  # noqa: A002
    *,
    where: str = "the text",
) -> Rules:
    """Return the rules in a text that has the rules of one flag, and nothing else.

    Args:
        content: the text; bytes are UTF-8.
        format: "toml", "json" or "yaml".
        where: the name of the text in errors.

    Raises:
        FlagFileError: the text has mistakes. It names all of them; but where the text
            cannot be parsed, it names the first.
        InvalidArgumentError: the format is unknown.
        MissingDependencyError: a package that the format needs is not installed.
    """
    return _parsed(content, format, where, _read_rules)  # type: ignore[no-any-return]


def _read_rules(place: Place, data: Any) -> Rules | None:
    """Return the rules of one flag, and report mistakes."""
    if not check_keys(place, data, {}, RULES_KEYS):
        return None
    if not data:
        place.refuse(
            "has no rules; write rules, or otherwise = false for rules that serve "
            "nobody"
        )
    return read_rules_table(place, data)


def write_rules(rules: Rules, format: str) -> str:  # noqa: A002
    """Return a text of which `parse_rules` makes equal rules.

    Args:
        rules: the rules of a flag.
        format: "toml" or "json".

    Raises:
        FlagFileError: the format cannot express a value.
        InvalidArgumentError: the format is unknown.
        MissingDependencyError: a package that the format needs is not installed.
    """
    module = format_module(format, WRITABLE)
    problems = Problems()
    plain = json.loads(json.dumps(rules.to_dict()))  # a tuple becomes a list
    if format == "toml":
        module.find_inexpressible(problems.root, plain)
    if problems:
        raise error_of(problems.located(None), "The rules")
    return module.write_rules(plain)  # type: ignore[no-any-return]


def _written(place: Place, item: Any) -> dict[str, Any]:
    """Return a flag as plain data, and report what would be lost."""
    try:
        item = FeatureFlagStoreItem.from_item(item)
        plain = plain_flag(item)
    except Exception as error:  # noqa: BLE001  (an item class of the application)
        place.refuse(str(error))
        return {}
    name = item.feature_name
    before = len(place.problems)
    read = read_flags_data(place.problems.root, {"version": 1, "flags": {name: plain}})
    if len(place.problems) == before and read[0].serialize() != item.serialize():
        place.refuse(
            "would be read as another flag; remove what its classes do not keep"
        )
    return plain


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of files of flags.

    It knows the operators, bucketers and percentages that are registered now.
    """
    from .json_schema import schema as make

    return make()


__all__ = [
    "READABLE",
    "VERSION",
    "WRITABLE",
    "InvalidArgumentError",
    "Problem",
    "format_of",
    "parse_data",
    "parse_flags",
    "parse_rules",
    "read_flags",
    "schema",
    "write_flags",
    "write_rules",
]
