# SPDX-License-Identifier: Apache-2.0
"""The command that asks whether a flag is on, and why."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import click

from ..conditions import Condition
from ..conditions.expression import simple_parts
from ..explanation import Evaluation, Reason
from ..prerequisites import ArgumentsWithFlags
from .exit_codes import DONE, FAILED
from .options import command, feature_name
from .output import print_json, print_text, warn
from .percentages import format_share
from .values import format_value, kind_of, parse_pairs, shortened, utf8_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..contrib.storage import FeatureFlagStoreItem
    from ..rules.rules import Rules
    from .session import Session

_LARGEST_SAMPLE: Final = 10_000_000
_NUMBER: Final = "(?:0|[1-9][0-9]{0,17})"
_NUMBERS: Final = re.compile(rf"(?P<first>-?{_NUMBER})\.\.(?P<last>-?{_NUMBER})")
_TEXTS: Final = re.compile(
    rf'(?P<quote>"?)(?P<prefix>[^"]*?)(?P<first>{_NUMBER})'
    rf"\.\.(?P=prefix)(?P<last>{_NUMBER})(?P=quote)"
)


@command("check")
@feature_name
@click.argument("arguments", nargs=-1, metavar="[ARGUMENT=VALUE]...", type=utf8_text)
@click.option(
    "--sample",
    metavar="ARGUMENT=FIRST..LAST",
    help="Ask for each value, as in user_id=1..1000, and print the share that is in.",
)
def check(
    session: Session, feature_name: str, arguments: tuple[str, ...], sample: str | None
) -> int:
    """Ask as an application would: exit code 0 is on, 1 is off, 3 is no such flag.

    Values are read by type: age=18 is a number, age='"18"' a text, on=true a
    truth value, tags='["a","b"]' a list.
    """
    context = parse_pairs(arguments)
    if "default" in context:
        message = "An argument cannot be called default: is_enabled uses this name"
        raise click.UsageError(message)
    item = session.item(feature_name)
    if sample is not None:
        return _check_sample(session, item, context, sample)
    _warn_of_other_types(item, context)
    evaluation = session.client.explain(feature_name, **context)
    if session.as_json:
        print_json(_plain_evaluation(evaluation, item.rules))
    else:
        print_text(str(evaluation))
        _print_value(evaluation, item.rules)
    is_on = evaluation.enabled and evaluation.reason is not Reason.ERROR
    return DONE if is_on else FAILED


def _plain_evaluation(evaluation: Evaluation, rules: Rules | None) -> dict[str, Any]:
    variant = _variant_of(evaluation, rules)
    return {
        "feature_name": evaluation.feature_name,
        "enabled": bool(evaluation.enabled),
        "reason": evaluation.reason.value,
        "bucket": evaluation.bucket,
        "percentage": evaluation.percentage,
        "rule": evaluation.rule_number,
        "variant": variant,
        "value": rules.value_of(variant)
        if rules is not None and variant is not None
        else bool(evaluation.enabled),
        "explanation": str(evaluation),
    }


def _variant_of(evaluation: Evaluation, rules: Rules | None) -> str | None:
    """Return the variant that is served, also if the flag is off; else `None`."""
    if rules is None or evaluation.reason is Reason.ERROR:
        return None
    return evaluation.variant if evaluation.enabled else rules.off


def _print_value(evaluation: Evaluation, rules: Rules | None) -> None:
    variant = _variant_of(evaluation, rules)
    if rules is not None and variant is not None and rules.variants is not None:
        value = format_value(rules.value_of(variant))
        print_text(f"The value of the variant {variant!r} is {value}.")


def _check_sample(
    session: Session, item: FeatureFlagStoreItem, context: dict[str, Any], sample: str
) -> int:
    name, prefix, numbers = _parse_sample(sample)
    if name in context or name == "default":
        problem = "given as a value, too" if name in context else "used by is_enabled"
        message = f"The argument {name} cannot be sampled: it is {problem}"
        raise click.UsageError(message)

    def context_of(number: int) -> dict[str, Any]:
        return {**context, name: number if prefix is None else f"{prefix}{number}"}

    _warn_of_other_types(item, context_of(numbers[0]))
    get = cache(session.store.get)  # flags that the flag asks about
    contexts = (
        ArgumentsWithFlags(context_of(number), get, item.feature_name)
        for number in numbers
    )
    counts = _count_answers(item, contexts)
    enabled = sum(count for (is_on, _), count in counts.items() if is_on)
    share = enabled / len(numbers)
    variants = {
        name: {"enabled": count, "share": count / len(numbers)}
        for (is_on, name), count in sorted(counts.items())
        if is_on and name
    }
    if session.as_json:
        sampled = {"sampled": len(numbers), "enabled": enabled, "share": share}
        print_json({**sampled, "variants": variants})
        return DONE
    print_text(f"{enabled:,} of {len(numbers):,} are in ({format_share(share)}).")
    for name, found in variants.items():
        shown = format_share(found["share"])
        print_text(f"    {name}: {found['enabled']:,} ({shown})")
    return DONE


def _count_answers(
    item: FeatureFlagStoreItem, contexts: Iterable[ArgumentsWithFlags]
) -> Counter[tuple[bool, str]]:
    """Count how often a flag is on and off, and which variant it serves, or ""."""
    if item.rules is None:
        answer = item.answer
        decider = item.compile() if answer is None else lambda _: answer
        return Counter((bool(decider(each)), "") for each in contexts)
    decisions = (Evaluation.from_decision("", item.decide(each)) for each in contexts)
    return Counter((bool(each.enabled), each.variant or "") for each in decisions)


def _parse_sample(sample: str) -> tuple[str, str | None, range]:
    """Return the argument's name, how its texts begin, and the numbers.

    It is `None` instead of a beginning if the values are numbers.
    """
    name, _, text = sample.partition("=")
    found = _NUMBERS.fullmatch(text) or _TEXTS.fullmatch(text)
    if not name or found is None:
        message = (
            f"--sample {shortened(sample)} is not a range; write user_id=1..1000, or "
            f"user_id=u1..u1000 for texts"
        )
        raise click.UsageError(message)
    first, last = int(found["first"]), int(found["last"])
    if not first <= last < first + _LARGEST_SAMPLE:
        message = (
            f"--sample {shortened(sample)} has {max(last - first + 1, 0):,} values; it "
            f"can have 1 to {_LARGEST_SAMPLE:,}"
        )
        raise click.UsageError(message)
    return name, found.groupdict().get("prefix"), range(first, last + 1)


def _conditions_of(item: FeatureFlagStoreItem) -> Iterator[Condition]:
    """Yield the conditions of a flag, also those of its rules."""
    yield from item.raw_meta.conditions
    for rule in item.rules or ():
        if rule.when is not None:
            parts = simple_parts(rule.when)
            yield from (each for each in parts if isinstance(each, Condition))


def _warn_of_other_types(
    item: FeatureFlagStoreItem, context: Mapping[str, Any]
) -> None:
    """Warn if a value has another type than all that its checks compare it with."""
    for condition in _conditions_of(item):
        for each in condition.own_checks:
            if each.variable not in context:
                continue
            if getattr(type(each.operator), "IS_TYPED", False):
                continue  # its values are often texts, the arguments may be anything
            given, stored = context[each.variable], each.value
            listed = isinstance(stored, (list, tuple))
            kinds = {kind_of(v) for v in stored} if listed else {kind_of(stored)}
            if kinds and kind_of(given) not in kinds:
                kind = " or ".join(sorted(kinds))
                warn(
                    f"{each.variable}={format_value(given)} is {kind_of(given)}, but "
                    f"the check {each.key} compares it with {kind}"
                )
