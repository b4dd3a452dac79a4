# SPDX-License-Identifier: Apache-2.0
"""Reads the flag definitions of flagd.

Its evaluation context are the arguments, under the same names: `targetingKey` too.
Variants keep their names. Where flagd serves its default variant, so do the rules.

Source: flagd's description of flag definitions and of its operation `fractional`, which
was changed in 2026; for earlier releases there is the origin "flagd-v1".
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from ..rules.hashing import find_hash
from ..rules.rule import Rule
from ..rules.split import Split
from .json_logic import (
    argument_of,
    expression_of,
    is_boolean,
    operation_of,
    with_evaluators,
)
from .translation import (
    UntranslatableError,
    both,
    checks,
    given,
    off_variant,
    rules_of,
    table_in,
    translate,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..conditions.expression import Expression
    from ..rules.rules import Rules
    from . import ImportedFlag
    from .translation import Problems

_TARGETING_KEY: Final = "targetingKey"
_FLAG_KEY: Final = {"var": "$flagd.flagKey"}
_STATES: Final = {"ENABLED": True, "DISABLED": False}


def read_flags(data: Any, hash: str = "flagd") -> Iterator[ImportedFlag]:  # noqa: A002
    """Yield the flags of flag definitions.

    Args:
        data: the content of the file.
        hash: how `fractional` puts values into buckets, "flagd" or "flagd-v1".

    Raises:
        InvalidArgumentError: the data is something else.
    """
    evaluators = data.get("$evaluators", {}) if isinstance(data, dict) else {}
    for name, definition in table_in(data, "flags", "a file of flagd").items():
        flag = _Flag(name, definition, evaluators, hash)
        yield translate(name, flag.translated)


class _Flag:
    """One flag of the file."""

    def __init__(self, name: str, definition: Any, evaluators: Any, hash: str) -> None:  # noqa: A002
        self._name = name
        self._definition = definition
        self._evaluators = evaluators
        self._hash = hash

    def translated(self, _: Problems) -> tuple[bool, Rules]:
        """Return whether the flag is enabled, and its rules."""
        state = self._definition["state"]
        if state not in _STATES:
            message = f"its state is {state!r}, neither ENABLED nor DISABLED"
            raise UntranslatableError(message)
        self._variants: dict[str, Any] = dict(self._definition["variants"])
        self._off = off_variant(self._variants)
        targeting = with_evaluators(
            self._definition.get("targeting"), self._evaluators, ()
        )
        rules = list(self._decided(targeting, None))
        return _STATES[state], rules_of(rules, variants=self._variants, off=self._off)

    def _decided(self, logic: Any, guard: Expression | None) -> Iterator[Rule]:
        """Yield rules that serve the result of an operation wherever a guard holds."""
        if isinstance(logic, bool):
            logic = "true" if logic else "false"
        if logic is None or logic == {}:
            yield Rule(guard, self._default())
        elif isinstance(logic, str):
            yield Rule(guard, self._served(logic))
        elif not isinstance(logic, dict):
            message = f"its targeting gives {logic!r}, which is not a variant"
            raise UntranslatableError(message)
        else:
            yield from self._result(logic, guard)

    def _result(
        self, logic: dict[str, Any], guard: Expression | None
    ) -> Iterator[Rule]:
        name, arguments = operation_of(logic)
        if name in ("if", "?:"):
            while len(arguments) > 1:
                when, then, *arguments = arguments
                yield from self._decided(then, both(guard, expression_of(when)))
            yield from self._decided(arguments[0] if arguments else None, guard)
        elif name == "fractional":
            yield from self._fractional(arguments, guard)
        elif is_boolean(logic):
            yield Rule(both(guard, expression_of(logic)), self._served("true"))
            yield Rule(guard, self._served("false"))
        else:
            message = f"its variant comes from the operation {name!r}"
            raise UntranslatableError(message)

    def _served(self, variant: str) -> str:
        if variant not in self._variants:
            message = (
                f"its targeting gives {variant!r}, which is not one of its variants"
            )
            raise UntranslatableError(message)
        # Several variants may be false, and one of them counts as off.
        is_false = self._variants[variant] is False and self._off is not None
        return self._off if is_false else variant  # type: ignore[return-value]

    def _default(self) -> str | bool:
        variant = self._definition.get("defaultVariant")
        if variant is not None:
            return self._served(variant)
        if self._off is not None:
            message = (
                "it has no default variant, so that the default of the code counts"
            )
            raise UntranslatableError(message)
        return False

    def _fractional(
        self, arguments: list[Any], guard: Expression | None
    ) -> Iterator[Rule]:
        argument, seed, weights = self._bucketing(arguments)
        split = Split(self._shares(weights), argument, seed, self._hash)
        if _is_joined(arguments[0]):  # the text is hashed also without its last part
            yield Rule(both(guard, given(argument)), split)
            missing = split.explain(self._name, "").served
            yield Rule(guard, self._default() if missing is None else missing)
            return
        is_hashed = {"type": "string", "ne": ""} if seed is None else {"type": "string"}
        yield Rule(both(guard, checks(argument, is_hashed)), split)
        yield Rule(guard, self._default())

    def _bucketing(self, arguments: list[Any]) -> tuple[str, str | None, list[Any]]:
        """Return the argument that is hashed, what is before it, and the weights."""
        first, *rest = arguments
        if isinstance(first, list):
            return _TARGETING_KEY, None, arguments
        if not _is_joined(first):
            return argument_of(first), "", rest
        *before, last = operation_of(first)[1]
        parts = [self._name if part == _FLAG_KEY else part for part in before]
        if not all(isinstance(part, str) for part in parts):
            message = (
                "its fractional value is joined of more than texts and a last `var`"
            )
            raise UntranslatableError(message)
        return argument_of(last), "".join(parts), rest

    def _shares(self, weights: list[Any]) -> dict[str, list[tuple[float, float]]]:
        """Return the ranges of each variant."""
        names = [entry[0] for entry in weights]
        if not all(isinstance(name, str) for name in names):
            message = "a variant of its fractional operation is computed"
            raise UntranslatableError(message)
        numbers = [entry[1] if len(entry) > 1 else 1 for entry in weights]
        if not all(type(number) is int and number >= 0 for number in numbers):
            message = "a weight of its fractional operation is not a whole number"
            raise UntranslatableError(message)
        total = sum(numbers)
        ends = [self._fraction(end, total) for end in accumulate(numbers)]
        ranges: dict[str, list[tuple[float, float]]] = {}
        for name, start, end in zip(names, [0.0, *ends], ends, strict=False):
            ranges.setdefault(self._served(name), []).append((start, end))
        return ranges

    def _fraction(self, weight: int, total: int) -> float:
        """Return the share of the buckets below a weight, exact to the bucket."""
        fraction, own = weight / total, find_hash(self._hash)
        exact = -(-weight * own.buckets // total)
        is_exact = own.count_up_to(fraction) == exact
        return fraction if is_exact else exact / own.buckets


def _is_joined(logic: Any) -> bool:
    return isinstance(logic, dict) and [*logic] == ["cat"]
