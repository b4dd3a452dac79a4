# SPDX-License-Identifier: Apache-2.0
"""A condition: checks that all have to hold for those arguments that are given."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from .check import Check
from .compiled import RuleCompiler, state_without

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .compiled import Decider


class Condition:
    """Limits a flag to calls whose keyword arguments pass its checks.

    `Condition(is_admin=True, age__gte=18)` looks at `is_admin` and `age`; a call that
    gives neither is not concerned. A condition is a value: threads may share it.

    Args:
        **checks: the name of an argument of `is_enabled`, with a suffix for any
            comparison but equality: `__gt __gte __lt __lte __ne __in __not_in`.

    Raises:
        Operator.InvalidSymbolError: the suffix is no operator.
    """

    __slots__ = ("_checks", "_decider")

    def __init__(self, /, **checks: Any) -> None:
        self._take([Check.factory(key, value) for key, value in checks.items()])

    def _take(self, checks: Iterable[Check]) -> None:
        # Those on one variable side by side. A tuple takes a third of the memory that a
        # dict of lists would.
        grouped = _by_variable(checks).values()
        self._checks = tuple([check for each in grouped for check in each])
        self._decider: Decider | None = None  # made when it is first asked

    def __getstate__(self) -> tuple[Any, dict[str, Any]]:
        """Return what a copy or a pickle has to have."""
        return state_without(self, "_decider")

    @property
    def checks(self) -> dict[str, list[Check]]:
        """The checks by variable, as a deep copy."""
        return copy.deepcopy(_by_variable(self._checks))

    def check(self, /, **kwargs: Any) -> bool:
        """Tell whether every check on an argument that is given holds.

        Raises:
            TypeError: Python cannot compare an argument with the value of its check.
        """
        decider = self._decider
        if decider is None:
            decider = self._decider = self.compiled()
        return decider(kwargs)  # type: ignore[no-any-return]

    @property
    def own_checks(self) -> tuple[Check, ...]:
        """The checks themselves, those on one variable side by side."""
        return self._checks

    def compiled(self) -> Decider:
        """Return a function that does what `check` does; see `RuleCompiler`."""
        program = RuleCompiler(self)
        program.add_checks(self._checks, holds=None)
        program.add("return True")
        return program.function()

    def to_dict(self) -> dict[str, list[dict[str, Any]]]:
        """Return the checks as plain data, by variable."""
        return {
            variable: [check.to_dict() for check in checks]
            for variable, checks in _by_variable(self._checks).items()
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, list[Mapping[str, Any]]]) -> Condition:
        """Make the condition that `to_dict` gave.

        The variables are those of the checks; the keys around them are not looked at,
        and those without checks are left out.

        Raises:
            KeyError: a check lacks a field.
            TypeError: the data has another shape.
            Operator.InvalidSymbolError: an operator is unknown.
        """
        found: list[Check] = []
        for checks in dict(fields).values():
            if not isinstance(checks, (list, tuple)):
                message = f"the checks of a variable are no list: {checks!r}"
                raise TypeError(message)
            found.extend([Check.from_dict(check) for check in checks])
        condition = cls()
        condition._take(found)
        return condition

    def __repr__(self) -> str:
        """Show which arguments are looked at, without the values."""
        keys = [check.key for check in self._checks]
        return f"<Condition {', '.join(keys) or 'without checks'}>"


def _by_variable(checks: Iterable[Check]) -> dict[str, list[Check]]:
    grouped: dict[str, list[Check]] = {}
    for check in checks:
        grouped.setdefault(check.variable, []).append(check)
    return grouped
