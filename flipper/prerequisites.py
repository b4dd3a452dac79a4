# SPDX-License-Identifier: Apache-2.0
"""Flags that depend on other flags: how these are asked, and how circles are found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .conditions.condition import Condition
from .conditions.expression import simple_parts
from .contrib.storage.item import FeatureFlagStoreItem
from .contrib.storage.undecoded import UndecodedItem
from .exceptions import InvalidArgumentError, PrerequisiteCycleError
from .rules.variant import Variant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

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
        if type(item) is UndecodedItem:
            item.decode()
        if type(item) is not FeatureFlagStoreItem:
            return item.is_enabled(**self), None
        served = item.serve(self)
        if type(served) is not Variant:
            return served, None
        return served.is_on, served.name


def prerequisites_of(rules: Rules) -> Iterator[str]:
    """Yield the names of the flags that rules ask about."""
    for rule in rules:
        for part in simple_parts(rule.when) if rule.when is not None else ():
            if isinstance(part, Condition):
                yield from _other_flags(part)


def _other_flags(condition: Condition) -> Iterator[str]:
    for check in condition.own_checks:
        if check.needs_context and check.operator.SYMBOL in ("enabled", "variant"):
            yield check.variable


def refuse_cycle(
    feature_name: str, rules: Rules | None, get: Callable[[str], Any]
) -> None:
    """Refuse rules by which a flag would depend on itself.

    Args:
        feature_name: the flag that gets the rules.
        rules: the rules.
        get: returns a flag of the store by its name, `None` if there is none.

    Raises:
        InvalidArgumentError: there is such a circle.
        Exception: any error of the store, except that a document is not a flag.
    """
    found: dict[str, tuple[str, ...]] = {}

    def names(name: str) -> tuple[str, ...]:
        if name not in found:
            found[name] = tuple(_prerequisites_of_item(get(name)))
        return found[name]

    def walk(name: str, path: list[str]) -> None:
        for other in names(name):
            if other == feature_name:
                circle = " -> ".join(map(repr, [*path, other]))
                raise InvalidArgumentError(
                    f"Feature {feature_name!r} would depend on itself: {circle}; "
                    f"remove one of these prerequisites",
                    feature_name=feature_name,
                    value=rules,
                )
            if other not in path:
                walk(other, [*path, other])

    found[feature_name] = () if rules is None else tuple(prerequisites_of(rules))
    walk(feature_name, [feature_name])


def _prerequisites_of_item(item: Any) -> Iterator[str]:
    if type(item) is FeatureFlagStoreItem:
        if item.rules is not None:
            yield from prerequisites_of(item.rules)
        for condition in item.raw_meta.conditions:
            if type(condition) is Condition:
                yield from _other_flags(condition)
