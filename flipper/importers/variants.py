# SPDX-License-Identifier: Apache-2.0
"""The names of the values that a flag serves, for origins that do not name them."""

from __future__ import annotations

import json
from typing import Any, Final

_LONGEST_NAME: Final = 40


class VariantNames:
    """Gives a name to every value: the wanted one, unless another value has it."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        """The values by name."""

    def add(self, value: Any, wanted: str | None = None) -> str:
        """Return the name of a value, which is added if need be.

        Args:
            value: the value.
            wanted: its name in the origin; `None` if values have no names there.
        """
        base = wanted or _name_of(value)
        name, number = base, 1
        while name in self.values and not _is_same(self.values[name], value):
            number += 1
            name = f"{base}-{number}"
        self.values.setdefault(name, value)
        return name


def _name_of(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if 0 < len(text) <= _LONGEST_NAME else "value"


def _is_same(one: Any, other: Any) -> bool:
    # `True == 1` in Python.
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
