# SPDX-License-Identifier: Apache-2.0
"""The values of a feature of GrowthBook, as the variants of a flag.

A feature of true and false without experiments is a flag without variants. Otherwise
every value is a variant, and the false one counts as off: 0, false, or an empty text. A
value of null is served as off, without a variant.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .expressions import any_of
from .translation import UntranslatableError, check
from .variants import VariantNames

if TYPE_CHECKING:
    from ..conditions.expression import Expression


class Values:
    """The values of one feature.

    Args:
        definition: the feature.

    Raises:
        UntranslatableError: different values count as off, and a flag has one.
    """

    def __init__(self, definition: dict[str, Any]) -> None:
        rules = definition.get("rules") or []
        found = [definition.get("defaultValue")]
        for rule in rules:
            parents = rule.get("parentConditions") or ()
            found += [None for each in parents if each.get("gate")]
            found += (
                [rule["force"]] if "force" in rule else rule.get("variations") or []
            )
        by_text = {json.dumps(each, sort_keys=True): each for each in found}
        self.all = [*by_text.values()]
        """Every value that the feature may have, once."""
        off = [each for each in self.all if each is not None and not is_on(each)]
        if len(off) > 1 or (off and off[0] is not False and None in self.all):
            off += [None] if None in self.all else []
            message = f"different values of it count as off: {json.dumps(off)}"
            raise UntranslatableError(message)
        self._names = VariantNames()
        self.is_plain = all(each is None or isinstance(each, bool) for each in self.all)
        self.is_plain &= not any("variations" in rule for rule in rules)
        self.off = self._names.add(off[0]) if off and not self.is_plain else None

    @property
    def variants(self) -> dict[str, Any] | None:
        """The values by name, of those that are served."""
        return self._names.values or None

    def served(self, value: Any) -> bool | str:
        """Return what a rule serves for a value."""
        if self.is_plain:
            return value is True
        return False if value is None else self._names.add(value)

    def are_served(self, feature_name: str, values: list[Any]) -> Expression:
        """Return whether a feature serves one of these values, as other flags ask it.

        Raises:
            UntranslatableError: it depends on which of null and false it is.
        """
        off = [each for each in values if not is_on(each)]
        if 0 < len(off) < len([each for each in self.all if not is_on(each)]):
            message = f"it depends on whether {feature_name!r} is null or false"
            raise UntranslatableError(message)
        parts = [check(feature_name, "enabled", False)] if off else []
        on = [self.served(each) for each in values if is_on(each)]
        if on and self.is_plain:
            parts.append(check(feature_name, "enabled", True))
        elif on:
            parts.append(check(feature_name, "variant", on))
        return any_of(parts)


def is_on(value: Any) -> bool:
    """Return whether a value is true to JavaScript, where empty lists are."""
    return bool(value) or isinstance(value, (list, dict))
