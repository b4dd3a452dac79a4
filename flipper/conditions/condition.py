# SPDX-License-Identifier: Apache-2.0
"""A condition: checks that all have to hold for those arguments that are given."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from .check import Check
from .compiled import compile_checks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .compiled import Verdict


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

    __slots__ = ("_bound", "_checks", "_verdict")

    def __init__(self, /, **checks: Any) -> None:
        self._checks: dict[str, list[Check]] = {}
        # How `verdict` decides them, made when it is first asked.
        self._verdict: Verdict | None = None
        self._bound: tuple[Any, ...] = ()
        for key, value in checks.items():
            self._add(Check.factory(key, value))

    def _add(self, check: Check) -> None:
        self._checks.setdefault(check.variable, []).append(check)

    @property
    def checks(self) -> dict[str, list[Check]]:
        """The checks by variable, as a deep copy."""
        return copy.deepcopy(self._checks)

    def check(self, /, **kwargs: Any) -> bool:
        """Tell whether every check on an argument that is given holds.

        Raises:
            TypeError: Python cannot compare an argument with the value of its check.
        """
        verdict = self.verdict(kwargs)
        return verdict is None or verdict is True

    def verdict(self, context: Mapping[str, Any]) -> Check | bool | None:
        """Return `None` if no argument concerns this condition, else who decided.

        That is `True` if every check holds, or the first check that says no.
        """
        verdict = self._verdict
        if verdict is None:
            verdict, self._bound = compile_checks(self._checks)
            self._verdict = verdict
        decided: Check | bool | None = verdict(context, self._bound)
        return decided

    def to_dict(self) -> dict[str, list[dict[str, Any]]]:
        """Return the checks as plain data, by variable."""
        return {
            variable: [check.to_dict() for check in checks]
            for variable, checks in self._checks.items()
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
        condition = cls()
        for checks in dict(fields).values():
            if not isinstance(checks, (list, tuple)):
                message = f"the checks of a variable are no list: {checks!r}"
                raise TypeError(message)
            for check in checks:
                condition._add(Check.from_dict(check))
        return condition

    def __repr__(self) -> str:
        """Show which arguments are looked at, without the values."""
        checks = [check for each in self._checks.values() for check in each]
        keys = (Check.make_check_key(c.variable, c.operator.SYMBOL) for c in checks)
        return f"<Condition {', '.join(keys) or 'without checks'}>"
