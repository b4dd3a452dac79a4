# SPDX-License-Identifier: Apache-2.0
"""A condition: a group of checks on the arguments of `is_enabled`."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from .check import Check
from .expression import Expression
from .rule_compiler import RuleCompiler, state_without

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .rule_compiler import Decider

_new = object.__new__


class Condition(Expression):
    """Limits a flag to calls whose keyword arguments pass its checks.

    `Condition(is_admin=True, age__gte=18)` has a check on `is_admin` and one on `age`.
    A check on an argument that a call does not give is left out. A condition never
    changes, and threads may share it. `&`, `|` and `~` combine conditions for the rules
    of a flag.

    Args:
        **checks: the name of an argument of `is_enabled`, with a suffix for any
            comparison except equality: `__gt __gte __lt __lte __ne __in __not_in`, for
            texts `__startswith __endswith __contains __istartswith __iendswith
            __icontains __matches`, for dates `__before __after`, for versions
            `__semver_eq __semver_gt __semver_gte __semver_lt __semver_lte`, for numbers
            that may be text `__num_eq __num_gt __num_gte __num_lt __num_lte`, for IP
            addresses `__in_cidr`, for lists `__any_of __all_of __none_of __iany_of
            __iall_of __has_size`, for types of JSON `__json_type`, and `__exists`, for
            which the argument need not be given.

    Raises:
        Operator.InvalidSymbolError: the suffix is no operator.
        InvalidArgumentError: the operator cannot use the value.
    """

    __slots__ = ("_checks", "_decider")

    def __init__(self, /, **checks: Any) -> None:
        self._set_checks([Check.factory(key, value) for key, value in checks.items()])

    def _set_checks(self, checks: list[Check]) -> None:
        # Checks on one variable are neighbours. A tuple takes a third of the memory of
        # a dict of lists.
        if len({check.variable for check in checks}) < len(checks):
            grouped = _by_variable(checks).values()
            checks = [check for each in grouped for check in each]
        self._checks = tuple(checks)
        self._decider: Decider | None = None  # made by the first `check`

    def __getstate__(self) -> tuple[Any, dict[str, Any]]:
        """Return the state for a copy or a pickle."""
        return state_without(self, "_decider")

    @property
    def checks(self) -> dict[str, list[Check]]:
        """A deep copy of the checks, by variable."""
        return copy.deepcopy(_by_variable(self._checks))

    def check(self, /, **kwargs: Any) -> bool:
        """Return whether every check on a given argument holds.

        Raises:
            TypeError: Python cannot compare an argument with the value of its check.
        """
        decider = self._decider
        if decider is None:
            decider = self._decider = self.compile()
        return decider(kwargs)  # type: ignore[no-any-return]

    @property
    def own_checks(self) -> tuple[Check, ...]:
        """The checks themselves; those on one variable are neighbours."""
        return self._checks

    @property
    def needs_context(self) -> bool:
        """Whether a check is decided also if its argument is not given."""
        for check in self._checks:  # noqa: SIM110  (a generator takes longer)
            if check.needs_context:
                return True
        return False

    def compile(self) -> Decider:
        """Return a function that does what `check` does; see `RuleCompiler`."""
        compiler = RuleCompiler(self)
        compiler.add_checks(self._checks, line_on_match=None)
        compiler.add_lines("return True")
        return compiler.function()

    def to_dict(self) -> dict[str, list[dict[str, Any]]]:
        """Return the checks as plain data, by variable."""
        return {
            variable: [check.to_dict() for check in checks]
            for variable, checks in _by_variable(self._checks).items()
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, list[Mapping[str, Any]]]) -> Condition:
        """Make a condition from the result of `to_dict`.

        The variables are those of the checks. The keys of `fields` are ignored, and so
        are keys without checks.

        Raises:
            KeyError: a check lacks a field.
            TypeError: the data has another shape.
            Operator.InvalidSymbolError: an operator is unknown.
            InvalidArgumentError: an operator cannot use the value of its check.
        """
        found: list[Check] = []
        for checks in dict(fields).values():
            if not isinstance(checks, (list, tuple)):
                message = f"the checks of a variable are not a list: {checks!r}"
                raise TypeError(message)
            found.extend([Check.from_dict(check) for check in checks])
        is_own = cls is Condition  # a subclass may have attributes of its own
        condition: Condition = _new(Condition) if is_own else cls()
        condition._set_checks(found)
        return condition

    def __repr__(self) -> str:
        """Show the checks without their values, which may be personal data."""
        keys = [check.key for check in self._checks]
        return f"<Condition {', '.join(keys) or 'without checks'}>"


def _by_variable(checks: Iterable[Check]) -> dict[str, list[Check]]:
    grouped: dict[str, list[Check]] = {}
    for check in checks:
        grouped.setdefault(check.variable, []).append(check)
    return grouped
