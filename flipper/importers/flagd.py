# SPDX-License-Identifier: Apache-2.0
"""Reads the flag definitions of flagd.

Its evaluation context are the arguments, under the same names: `targetingKey` too.
Variants keep their names. Where flagd serves its default variant, so do the rules.

Source: flagd's description of flag definitions and of its operation `fractional`, which
was changed in 2026; for earlier releases there is the origin "flagd-v1".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..rules.rollout import Rollout
from ..rules.rule import Rule
from ..rules.split import Split
from .flagd_fractional import Fractional
from .json_logic import (
    expression_of,
    is_boolean,
    operation_of,
    with_evaluators,
)
from .translation import (
    UntranslatableError,
    both,
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
            operation = Fractional(arguments, self._name, self._hash)
            yield from self._fractional(operation, guard)
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
        self, operation: Fractional, guard: Expression | None
    ) -> Iterator[Rule]:
        is_in, how = both(guard, operation.is_hashed), operation.how
        if all(isinstance(result, str) for result, _ in operation.ranges):
            shares: dict[str, list[tuple[float, float]]] = {}
            for variant, each in operation.ranges:
                shares.setdefault(self._served(variant), []).append(each)
            yield Rule(is_in, Split(shares, *how))
        else:  # variants may be computed
            for logic, each in operation.ranges:
                yield from self._decided(logic, is_in & Rollout([each], *how))
        yield from self._decided(operation.result_without_argument, guard)
