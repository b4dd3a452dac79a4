# SPDX-License-Identifier: Apache-2.0
"""The command that asks whether a flag is on, and why."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import click

from ..explanation import Reason
from .exit_codes import DONE, FAILED
from .options import command, feature_name
from .output import print_json, print_text, warn
from .percentages import format_share
from .values import format_value, kind_of, parse_pairs, shortened, utf8_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..contrib.storage import FeatureFlagStoreItem
    from ..explanation import Evaluation
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
        print_json(_plain_evaluation(evaluation))
    else:
        print_text(str(evaluation))
    is_on = evaluation.enabled and evaluation.reason is not Reason.ERROR
    return DONE if is_on else FAILED


def _plain_evaluation(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "feature_name": evaluation.feature_name,
        "enabled": bool(evaluation.enabled),
        "reason": evaluation.reason.value,
        "bucket": evaluation.bucket,
        "percentage": evaluation.percentage,
        "explanation": str(evaluation),
    }


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
    enabled = sum(bool(item.is_enabled(**context_of(number))) for number in numbers)
    share = enabled / len(numbers)
    if session.as_json:
        print_json({"sampled": len(numbers), "enabled": enabled, "share": share})
    else:
        print_text(f"{enabled:,} of {len(numbers):,} are in ({format_share(share)}).")
    return DONE


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


def _warn_of_other_types(
    item: FeatureFlagStoreItem, context: Mapping[str, Any]
) -> None:
    """Warn if a value has another type than all that its checks compare it with."""
    for condition in item.raw_meta.conditions:
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
