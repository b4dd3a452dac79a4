# SPDX-License-Identifier: Apache-2.0
"""Commands that set and clear the bucketer of a flag."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..bucketing import (
    ConsistentHashPercentageBucketer,
    LinearRampPercentage,
    NoOpBucketer,
    Percentage,
    PercentageBucketer,
)
from .command_table import table_of
from .options import command, feature_name, yes
from .percentages import parse_duration, parse_share
from .report import report
from .values import utf8_text

if TYPE_CHECKING:
    from ..bucketing.base import AbstractBucketer
    from ..bucketing.percentage import AbstractPercentage
    from ..contrib.storage import FeatureFlagStoreItem
    from .session import Session

bucket = table_of(
    "bucket",
    "Let a share of the calls in: at random, or the same users each time.",
    {
        "set": ("bucketers:set_share", "Let a share of the calls in."),
        "ramp": ("bucketers:ramp", "Let a growing share of the calls in."),
        "clear": ("bucketers:clear", "Remove the bucketer."),
    },
)


def _argument_name(text: str) -> str:
    if not text.strip():
        message = "is empty; name an argument, such as user_id"
        raise click.BadParameter(message)
    return utf8_text(text)


_by = click.option(
    "--by",
    metavar="ARGUMENT",
    type=_argument_name,
    multiple=True,
    help=(
        "Give the same answer each time for the same value of this argument, such as "
        "user_id; may be given several times. By default, the arguments of the present "
        "bucketer are kept; if there is none, each call is drawn at random."
    ),
)
_random = click.option(
    "--random", "is_random", is_flag=True, help="Draw each call at random."
)


@command("set")
@feature_name
@click.argument("percentage", type=parse_share)
@_by
@_random
@yes
def set_share(
    session: Session,
    feature_name: str,
    percentage: float,
    by: tuple[str, ...],
    is_random: bool,
) -> None:
    """Let a PERCENTAGE of the calls in, such as 25% or 0.25."""
    share = Percentage(percentage)
    _set_percentage(session, feature_name, share, by, is_random=is_random)


@command("ramp")
@feature_name
@click.option(
    *("--from", "first"),
    type=parse_share,
    metavar="PERCENTAGE",
    default="0%",
    show_default=True,
    help="The share now.",
)
@click.option(
    *("--to", "last"),
    type=parse_share,
    metavar="PERCENTAGE",
    default="100%",
    show_default=True,
    help="The share at the end, which stays.",
)
@click.option(
    "--over",
    type=parse_duration,
    metavar="DURATION",
    required=True,
    help="How long it takes from now on, as in 90s, 30m, 2h or 7d.",
)
@_by
@_random
@yes
def ramp(  # noqa: PLR0913, PLR0917  (one for each option)
    session: Session,
    feature_name: str,
    first: float,
    last: float,
    over: float,
    by: tuple[str, ...],
    is_random: bool,
) -> None:
    """Let a share of the calls in that changes evenly, beginning now."""
    duration = int(over) if over == int(over) else over
    share = LinearRampPercentage(first, last, duration)
    _set_percentage(session, feature_name, share, by, is_random=is_random)


@command("clear")
@feature_name
@yes
def clear(session: Session, feature_name: str) -> None:
    """Remove the bucketer, so that the conditions alone decide."""
    before = _item_without_rules(session, feature_name)
    _set_bucketer(session, before, NoOpBucketer())


def _item_without_rules(session: Session, feature_name: str) -> FeatureFlagStoreItem:
    """Return a flag as the store has it; refuse one with rules.

    Raises:
        click.ClickException: it has rules, which decide instead of a bucketer.
    """
    item = session.item(feature_name)
    if item.rules is not None:
        message = (
            f"The flag {feature_name!r} has rules, which decide instead of a "
            f"bucketer; change them with `flipper rules edit`, or remove them with "
            f"`flipper rules clear`"
        )
        raise click.ClickException(message)
    return item


def _set_percentage(
    session: Session,
    feature_name: str,
    percentage: AbstractPercentage,
    by: tuple[str, ...],
    *,
    is_random: bool,
) -> None:
    """Let a share in by the given arguments, else by those of the present bucketer.

    Without the latter, a larger percentage would choose other users, at random for each
    call.
    """
    if by and is_random:
        message = "--by and --random contradict each other; leave one of them out"
        raise click.UsageError(message)
    before = _item_without_rules(session, feature_name)
    present = before.raw_meta.bucketer
    if isinstance(present, ConsistentHashPercentageBucketer) and not is_random:
        by = by or tuple(present.key_whitelist)
    bucketer = (
        ConsistentHashPercentageBucketer(key_whitelist=by, percentage=percentage)
        if by
        else PercentageBucketer(percentage=percentage)
    )
    _set_bucketer(session, before, bucketer)


def _set_bucketer(
    session: Session, before: FeatureFlagStoreItem, bucketer: AbstractBucketer
) -> None:
    meta = before.raw_meta
    meta.bucketer = bucketer
    session.confirm_for_everybody(before, before.replace(meta=meta))
    session.client.set_bucketer(before.feature_name, bucketer)
    report(session, before.feature_name, "Changed")
