# SPDX-License-Identifier: Apache-2.0
"""Reads and writes flags as JSON."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from .formats import ContentError
from .positions import Positions

if TYPE_CHECKING:
    from .formats import Locate
    from .problems import Problems

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_REMEDY: Final = (
    "look for a missing comma, bracket or quote here and just before; in JSON, names "
    "and texts stand in double quotes, there are no comments, and no comma follows the "
    "last value"
)


def read(text: str, problems: Problems) -> tuple[Any, Locate]:
    """Return what a text holds, and a function that finds a value in it.

    Raises:
        ContentError: the text is not JSON.
    """
    has_repeated = False

    def table_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal has_repeated
        table = dict(pairs)
        has_repeated = has_repeated or len(table) < len(pairs)
        return table

    try:
        data = json.loads(text, object_pairs_hook=table_of)
    except json.JSONDecodeError as error:
        message = f"is not JSON: {error.msg}; {_REMEDY}"
        raise ContentError(message, (error.lineno, error.colno)) from None
    except ValueError as error:  # such as a number with thousands of digits
        raise ContentError(f"cannot be read: {error}; use smaller values") from None
    positions = Positions(text, json.loads, Positions.read_json)
    if has_repeated:
        for path, position in positions.repeated():
            problems.add(
                path,
                "the name is given twice in one object; remove or rename one of them",
                position=position,
            )
    return data, positions.locate


def write(plain: dict[str, Any]) -> str:
    """Return flags that are plain data as JSON, which can express all of them.

    Numbers that are infinite or no numbers are written as stores write them: Infinity,
    -Infinity and NaN. Other programs may refuse these.
    """
    text = json.dumps(plain, ensure_ascii=False, indent=2)
    # UTF-8 cannot encode half of a pair of surrogates.
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"


write_rules = write
