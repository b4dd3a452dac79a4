# SPDX-License-Identifier: Apache-2.0
"""Rules in words: for whom each of them holds, what it serves, and what changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..bucketing.percentage import AbstractPercentage
from ..conditions import Condition
from ..conditions.expression import AllOf, Combination, Not
from ..rules.plain import expression_to_plain
from ..rules.rollout import Rollout
from ..rules.shares import rest_of
from ..rules.split import Split
from .condition_text import format_condition
from .percentages import describe_percentage, format_share
from .values import format_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..conditions.expression import Expression
    from ..rules.rules import Rules

_LISTED: Final = 3  # rules in one line


class Line(NamedTuple):
    """One rule that can be reached, or what is served if none holds.

    Attributes:
        who: for whom, in words.
        when: the same as plain data, to compare it.
        served: what is served.
        name: the name of the rule.
    """

    who: str
    when: Any
    served: Any
    name: str | None

    @property
    def essence(self) -> tuple[Any, Any]:
        """What decides."""
        return self.when, self.served


def rule_lines(rules: Rules) -> list[Line]:
    """Return a line for each rule that can be reached, and for what is served else."""
    lines: list[Line] = []
    for rule in rules:
        if rule.when is None:
            return [*lines, Line(_rest(lines), None, rule.serve, rule.name)]
        plain = expression_to_plain(rule.when)
        lines.append(Line(format_expression(rule.when), plain, rule.serve, rule.name))
    return [*lines, Line(_rest(lines), None, rules.otherwise, None)]


def _rest(lines: list[Line]) -> str:
    return "all others" if lines else "everybody"


def describe_rules(rules: Rules) -> str:
    """Return whom rules are on for, in one line."""
    lines = rule_lines(rules)
    if len(lines) == 1:
        served = lines[0].served
        if isinstance(served, bool):
            return "everybody" if served else "nobody"
        return describe_served(served, rules)
    reached = min(len(lines), len(rules))
    count = "1 rule" if reached == 1 else f"{reached} rules"
    if len(lines) > _LISTED + 1:
        return f"users chosen by {count}"
    shown = [f"{line.who}: {describe_served(line.served, rules)}" for line in lines]
    return f"users chosen by {count} ({'; '.join(shown)})"


def numbered_lines(rules: Rules) -> list[str]:
    """Return a line for each rule that can be reached, with its number and its name."""
    lines = rule_lines(rules)
    found = []
    for number, line in enumerate(lines, 1):
        text = f"{line.who}: {describe_served(line.served, rules)}"
        label = f"{number}. " if number <= len(rules) else ""
        name = "" if line.name is None else f" ({line.name})"
        found.append(f"{label}{text}{name}")
    return found


def serves_everybody(rules: Rules) -> bool:
    """Return whether rules are on for all arguments, also by a share of 100%."""
    return all(_is_on(line.served, rules.off) for line in rule_lines(rules))


def _is_on(served: Any, off: str | None) -> bool:
    if isinstance(served, Rollout):
        return bool(served.share == 1)
    if isinstance(served, Split):
        shares = served.shares
        return not rest_of(shares) and not shares.get(off or "", 0)
    return served is True or (isinstance(served, str) and served != off)


def format_expression(expression: Expression) -> str:
    """Return an expression as a sentence part, such as `a == 1 and not b == 2`."""
    if isinstance(expression, Not):
        return f"not {_in_brackets(expression.part)}"
    if isinstance(expression, Combination):
        is_all = isinstance(expression, AllOf)
        if not expression.parts:
            return "everybody" if is_all else "nobody"
        parts = [
            format_expression(part) if _is_one_of(part, is_all) else _in_brackets(part)
            for part in expression.parts
        ]
        return (" and " if is_all else " or ").join(parts)
    if isinstance(expression, Condition):
        return format_condition(expression) if expression.own_checks else "everybody"
    return f"in {_describe_bucketed(expression)}"


def _is_one_of(part: Expression, is_all: bool) -> bool:
    """Return whether a part of a combination needs no brackets in it."""
    return is_all and isinstance(part, Condition)


def _in_brackets(expression: Expression) -> str:
    text = format_expression(expression)
    is_simple = isinstance(expression, (Not, Rollout)) or (
        isinstance(expression, Condition) and len(expression.own_checks) <= 1
    )
    return text if is_simple else f"({text})"


def describe_served(served: Any, rules: Rules) -> str:
    """Return what a rule serves in words."""
    if isinstance(served, bool):
        return "on" if served else "off"
    if isinstance(served, str):
        return f"variant {served}{' (off)' if served == rules.off else ''}"
    return _describe_bucketed(served)


def _describe_bucketed(served: Any) -> str:
    if isinstance(served, Split):
        shares = served.shares
        parts = [f"{name} {format_share(share)}" for name, share in shares.items()]
        rest = rest_of(shares)
        text = ", ".join([*parts, *([f"off {format_share(rest)}"] if rest else [])])
    elif isinstance(served.share, AbstractPercentage):
        text = describe_percentage(served.share)
    else:
        text = format_share(served.percentage)
    more = [
        f"{key} {format_value(value)}"
        for key, value in (("seed", served.seed), ("hash", served.hash))
        if value is not None
    ]
    names = " or ".join(served.argument_names)
    details = ", ".join(more)
    return f"{text} by {names} ({details})" if details else f"{text} by {names}"


# -- changes ---------------------------------------------------------------------------


def rule_changes(old: Rules, new: Rules) -> Iterator[str]:
    """Yield sentences on what is served differently; none if nothing is."""
    had, has = rule_lines(old), rule_lines(new)
    if [line.when for line in had] == [line.when for line in has]:
        for first, last in zip(had, has, strict=True):
            if first.served != last.served or type(first.served) is not type(
                last.served
            ):
                texts = (
                    describe_served(first.served, old),
                    describe_served(last.served, new),
                )
                yield f"{first.who}: {' -> '.join(texts)}"
                yield from _moves(first.served, last.served)
    else:
        yield from _other_rules(had, has, old, new)
    yield from _variant_changes(old, new)


def _other_rules(
    had: list[Line], has: list[Line], old: Rules, new: Rules
) -> Iterator[str]:
    before, after = [x.essence for x in had], [x.essence for x in has]
    added = [line for line in has if line.essence not in before]
    removed = [line for line in had if line.essence not in after]
    for line in added:
        yield f"added: {line.who}: {describe_served(line.served, new)}"
    for line in removed:
        yield f"removed: {line.who}: {describe_served(line.served, old)}"
    kept = [each for each in before if each in after]
    if kept != [each for each in after if each in before]:
        yield "the order of the rules changes"


def _moves(first: Any, last: Any) -> Iterator[str]:
    """Yield who is served something else although both are of the same kind."""
    is_split = isinstance(first, Split) and isinstance(last, Split)
    if not is_split and not (isinstance(first, Rollout) and isinstance(last, Rollout)):
        return
    if (first.by, first.seed, first.hash) != (last.by, last.seed, last.hash):
        yield "other users than before are chosen, because other buckets are"
    elif is_split:
        left = sum(first.shares.values()) - _kept(first, last)
        yield f"{format_share(round(left, 9))} of the users leave their variant"


def _kept(first: Split, last: Split) -> float:
    """Return the share of the users who keep the variant that they have."""
    ranges = last.ranges
    return sum(
        max(0, min(end, other_end) - max(start, other_start))
        for name, own in first.ranges.items()
        for start, end in own
        for other_start, other_end in ranges.get(name, ())
    )


def _variant_changes(old: Rules, new: Rules) -> Iterator[str]:
    had, has = old.variants or {}, new.variants or {}
    for name in sorted({*had, *has}):
        texts = [
            format_value(each[name]) if name in each else "not set"
            for each in (had, has)
        ]
        if texts[0] != texts[1]:
            yield f"variant {name}: {' -> '.join(texts)}"
    if old.off != new.off:
        first, last = (each or "none" for each in (old.off, new.off))
        yield f"the variant that counts as off: {first} -> {last}"
