# SPDX-License-Identifier: Apache-2.0
"""Flags that depend on other flags: how these are asked, and how circles are found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .conditions.condition import Condition
from .conditions.expression import simple_parts
from .contrib.storage.item import FeatureFlagStoreItem
from .exceptions import InvalidArgumentError, PrerequisiteCycleError
from .rules.variant import Variant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from .conditions.check import Check
    from .rules.rules import Rules


class ArgumentsWithFlags(dict[str, Any]):
    """The keyword arguments of a question, with a way to other flags.

    Every other flag is decided once for a question. For one thread only.

    Args:
        arguments: the keyword arguments.
        get: returns a flag of the store by its name, `None` if there is none.
        feature_name: the flag that the question is about.
    """

    __slots__ = ("_deciding", "_get", "_served")

    def __init__(
        self,
        arguments: Mapping[str, Any],
        get: Callable[[str], Any],
        feature_name: str | None = None,
    ) -> None:
        super().__init__(arguments)
        self._get = get
        self._served: dict[str, tuple[Any, str | None] | None] = {}
        self._deciding = [] if feature_name is None else [feature_name]

    def ask(self, feature_name: str) -> tuple[Any, str | None] | None:
        """Return the answer and the variant of a flag, `None` if it does not exist.

        Raises:
            PrerequisiteCycleError: the flag is being decided already.
            Exception: whatever its decision raises.
        """
        if feature_name in self._served:
            return self._served[feature_name]
        if feature_name in self._deciding:
            raise PrerequisiteCycleError.for_flags([*self._deciding, feature_name])
        self._deciding.append(feature_name)
        try:
            served = self._decide(self._get(feature_name))
        finally:
            self._deciding.pop()
        self._served[feature_name] = served
        return served

    def _decide(self, item: Any) -> tuple[Any, str | None] | None:
        if item is None:
            return None
        if type(item) is not FeatureFlagStoreItem:
            return item.is_enabled(**self), None
        served = item.serve(self)
        if type(served) is not Variant:
            return served, None
        return served.is_on, served.name


def _prerequisites(expressions: Iterable[Any]) -> Iterator[str]:
    """Yield the names of the flags that conditions and expressions ask about."""
    for expression in expressions:
        for part in simple_parts(expression):
            for check in part.own_checks if isinstance(part, Condition) else ():
                if check.needs_context and _asks_another_flag(check):
                    yield check.variable


def _asks_another_flag(check: Check) -> bool:
    # Imported late: few programs have such checks.
    from .conditions.operators.other_flags import OTHER_FLAG_OPERATORS

    return isinstance(check.operator, OTHER_FLAG_OPERATORS)


def expressions_of(rules: Rules | None) -> list[Any]:
    """Return the expressions of rules."""
    return [rule.when for rule in rules or () if rule.when is not None]


def refuse_cycle(
    feature_name: str, expressions: Iterable[Any], get: Callable[[str], Any]
) -> None:
    """Refuse conditions or expressions by which a flag would depend on itself.

    Args:
        feature_name: the flag that gets them.
        expressions: the conditions or expressions.
        get: returns a flag of the store by its name, `None` if there is none.

    Raises:
        InvalidArgumentError: there is such a circle.
        Exception: any error of the store, except that a document is not a flag.
    """
    needed: list[tuple[str, tuple[str, ...]]] = [
        (name, (feature_name,)) for name in _prerequisites(expressions)
    ]
    seen: set[str] = set()
    while needed:
        name, before = needed.pop()
        path = (*before, name)
        if name == feature_name:
            raise InvalidArgumentError(
                f"Feature {feature_name!r} would depend on itself: "
                f"{' -> '.join(map(repr, path))}; remove one of these prerequisites",
                feature_name=feature_name,
                value=expressions,
            )
        if name not in seen:
            seen.add(name)
            needed += [(other, path) for other in prerequisites_of_item(get(name))]


def prerequisites_of_item(item: Any) -> Iterator[str]:
    """Yield the names of the flags that a flag depends on."""
    if type(item) is FeatureFlagStoreItem:
        yield from _prerequisites(expressions_of(item.rules))
        yield from _prerequisites(item.raw_meta.conditions)
