# SPDX-License-Identifier: Apache-2.0
"""Reads the flags of LaunchDarkly's file data source, relay and SDK payload.

The attributes of a context of the kind `user` are the arguments, under the same names:
`key`, `email`. Those of another kind are in a mapping under its name, as in
`is_enabled(name, key="u1", org={"key": "acme"})`. Variations that are different texts
are variants of this name, true and false are "true" and "false", others "variation-0"
and so on. The off variation is the variant that counts as off.

Source: LaunchDarkly's descriptions of its flags and of percentage rollouts.
"""

from __future__ import annotations

from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from ..rules.rule import Rule
from ..rules.rules import Rules
from ..rules.split import Split
from .expressions import any_of
from .launchdarkly_clauses import Clauses, argument_of, can_be_hashed, targeted
from .translation import (
    UntranslatableError,
    both,
    check,
    off_variant,
    rules_of,
    table_in,
    translate,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..conditions.expression import Expression
    from . import ImportedFlag
    from .translation import Problems

_FILE: Final = "a file of LaunchDarkly"
_WHOLE: Final = 100_000  # the sum of the weights of a rollout


def read_flags(data: Any) -> Iterator[ImportedFlag]:
    """Yield the flags of a payload.

    Raises:
        InvalidArgumentError: the data is something else.
    """
    if isinstance(data, dict) and isinstance(data.get("data"), dict):
        data = data["data"]  # as the stream sends it
    if isinstance(data, dict) and "flagValues" in data:
        data = {"flags": {}, **data}
    flags = table_in(data, "flags", _FILE)
    clauses = Clauses(data.get("segments") or {})
    made = {n: translate(n, _Flag(n, flags, clauses).translated) for n in flags}
    values = table_in({"flagValues": {}, **data}, "flagValues", _FILE)
    for name, value in values.items():
        made[name] = translate(name, partial(_fixed, value))
    _spread_problems(made, flags)
    yield from made.values()


def _spread_problems(made: dict[str, ImportedFlag], flags: dict[str, Any]) -> None:
    """Give a problem to each flag of which a prerequisite has one."""
    waiting = [name for name in made if made[name].problems]
    while waiting:
        broken = waiting.pop()
        for name, flag in made.items():
            needs = () if flag.problems else flags.get(name, {}).get("prerequisites")
            if broken in [each["key"] for each in needs or ()]:
                problem = f"its prerequisite {broken!r} cannot be said"
                made[name] = flag._replace(
                    is_enabled=False, rules=Rules(), problems=(problem,)
                )
                waiting.append(name)


def _fixed(value: Any, _: Problems) -> tuple[bool, Rules | None]:
    """Return whether a flag that only has a value is enabled, and its rules."""
    if isinstance(value, bool):
        return value, None
    return True, Rules((), "value", {"value": value})


class _Flag:
    """One flag of the payload."""

    def __init__(self, name: str, flags: dict[str, Any], clauses: Clauses) -> None:
        self._name = name
        self._flags = flags
        self._clauses = clauses

    def translated(self, problems: Problems) -> tuple[bool, Rules]:
        """Return whether the flag is enabled, and its rules."""
        flag = self._fields = self._flags[self._name]
        self._names, values, wanted, off = _variants(flag)
        if not flag["on"] and wanted not in (None, off):
            message = "it is off and serves true; a flag that is off here serves false"
            raise UntranslatableError(message)
        rules = []
        with problems.collected("prerequisites"):
            if needed := [*map(self._prerequisite, flag.get("prerequisites") or ())]:
                failed = any_of([~each for each in needed])
                rules.append(Rule(failed, wanted or False))
        with problems.collected("targets"):
            rules += self._targets()
        for number, rule in enumerate(flag.get("rules") or (), 1):
            with problems.collected(f"rule {number}"):
                rules += self._rollout(rule, self._clauses.all_of(rule["clauses"]))
        with problems.collected("fallthrough"):
            rules += self._rollout(flag["fallthrough"], None)
        return flag["on"] is True, rules_of(rules, variants=values, off=off)

    def _served(self, index: int) -> str:
        if type(index) is not int or not 0 <= index < len(self._names):
            message = f"it serves the variation {index!r}, which it does not have"
            raise UntranslatableError(message)
        return self._names[index]

    def _prerequisite(self, fields: dict[str, Any]) -> Expression:
        name, index = fields["key"], fields["variation"]
        other = self._flags.get(name)
        if other is None:
            message = f"the flag {name!r} is not in the file"
            raise UntranslatableError(message)
        names, _, _, off = _variants(other)
        if names[index] == off:
            message = f"the flag {name!r} has to be on and serve what it serves if off"
            raise UntranslatableError(message)
        return check(name, "variant", [names[index]])

    def _targets(self) -> Iterator[Rule]:
        targets = self._fields.get("targets") or []
        users = {each["variation"]: each["values"] for each in targets}
        # The entries for users without keys say where those of `targets` come.
        for target in self._fields.get("contextTargets") or targets:
            kind, index = target.get("contextKind") or "user", target["variation"]
            values = target.get("values") or ()
            if kind == "user" and not values:
                values = users.get(index, ())
            if values:
                yield Rule(targeted(kind, values), self._served(index))

    def _rollout(
        self, fields: dict[str, Any], guard: Expression | None
    ) -> Iterator[Rule]:
        """Yield the rules for a variation, or for a rollout, wherever a guard holds."""
        if fields.get("variation") is not None:
            yield Rule(guard, self._served(fields["variation"]))
            return
        rollout = fields["rollout"]
        kind, is_experiment = rollout.get("contextKind"), rollout.get("kind")
        by = rollout.get("bucketBy") if is_experiment != "experiment" else None
        argument = argument_of(kind, by or "key")
        entries = rollout["variations"]
        names = [self._served(entry["variation"]) for entry in entries]
        sums = [*accumulate(entry["weight"] for entry in entries)]
        # What is left over, such as by rounded weights, belongs to the last variation.
        ends = [min(1.0, each / _WHOLE) for each in sums[:-1]] + [1.0]
        ranges: dict[str, list[tuple[float, float]]] = {}
        for name, start, end in zip(names, [0.0, *ends], ends, strict=False):
            ranges.setdefault(name, []).append((start, end))
        seed = rollout.get("seed")
        seed = (
            f"{self._name}.{self._fields.get('salt', '')}"
            if seed is None
            else str(int(seed))
        )
        if argument != "key":  # whatever cannot be hashed is in the first bucket
            first = next((n for n, s in zip(names, sums, strict=True) if s), names[-1])
            yield Rule(both(guard, ~can_be_hashed(argument)), first)
        yield Rule(guard, Split(ranges, argument, seed, "launchdarkly"))


def _variants(
    flag: dict[str, Any],
) -> tuple[list[str], dict[str, Any], str | None, str | None]:
    """Return the variants of a flag.

    Returns:
        The name of each variation, their values by name, the one that is served if the
        flag is off, and the one that counts as off.
    """
    variations, index = flag["variations"], flag.get("offVariation")
    names = _names(variations)
    values = dict(zip(names, variations, strict=True))
    wanted = None if index is None else names[index]
    return names, values, wanted, off_variant(values, wanted)


def _names(values: list[Any]) -> list[str]:
    if all(isinstance(value, bool) for value in values):
        return [str(value).lower() for value in values]
    is_text = all(isinstance(value, str) and value for value in values)
    if is_text and len({*values}) == len(values):
        return list(values)
    return [f"variation-{index}" for index in range(len(values))]
