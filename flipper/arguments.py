# SPDX-License-Identifier: Apache-2.0
"""Checks arguments before any event is emitted and anything is written.

The `check_...` functions raise an `InvalidArgumentError` that names the flag, the value
and the remedy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from operator import index
from threading import TIMEOUT_MAX
from typing import TYPE_CHECKING, Any, Final

from .bucketing.consistent_hash_percentage_bucketer import (
    ConsistentHashPercentageBucketer,
)
from .bucketing.percentage.linear_ramp_percentage import LinearRampPercentage
from .bucketing.percentage_bucketer import PercentageBucketer
from .conditions.condition import Condition
from .exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from .bucketing.percentage.base import AbstractPercentage

LONGEST_NAME = 1000
"""The longest name of a flag, in bytes of UTF-8. A backend may accept less."""

RESERVED_KEY: Final = "__rules__"
"""The name in the client data under which a document carries its rules."""

_LONGEST_RAMP: Final = 2.0**63  # seconds; far beyond any useful value

# 1 and 1.0 equal True, 0 and 0.0 equal False. Text is not a state: Python would take
# "no", "off" and "false" for true.
_STATES = (True, False, None)
# Drop-in: flipper-client took any true value for on. These are the values in its golden
# vectors (shared-evaluation-0442 to -0444, shared-serialization-0192), by their `repr`,
# because [0] equals [False], which is in no vector.
_ALSO_ON = {"'yes'", "[0]", "2.5"}


def check_feature_name(feature_name: Any) -> None:
    """Refuse a feature name that any store could not keep; all stores use this rule."""
    problem = _problem_of_name(feature_name)
    if problem:
        raise InvalidArgumentError(
            f"The feature name {shortened(feature_name)} {problem}; use a text of 1 "
            f"to {LONGEST_NAME} bytes in UTF-8, without NUL characters",
            feature_name=feature_name,
            value=feature_name,
        )


def _problem_of_name(feature_name: Any) -> str | None:
    if not isinstance(feature_name, str):
        return f"is not text but {type(feature_name).__name__}"
    if not feature_name:
        return "is empty"
    if feature_name.isspace():
        return "is only white space"
    if "\0" in feature_name:
        return "contains a NUL character"
    try:
        length = len(feature_name.encode())
    except UnicodeEncodeError:
        return "cannot be encoded as UTF-8"
    return f"is {length} bytes long" if length > LONGEST_NAME else None


def shortened(value: Any) -> str:
    """Return the `repr` of a value, or its beginning, for the message of an error."""
    try:
        shown = repr(value)
    except RecursionError:
        shown = f"{type(value).__name__} nested too deeply"
    return shown if len(shown) < 120 else f"{shown[:100]}..."  # noqa: PLR2004


def is_state(value: Any) -> bool:
    """Return whether a value is a state of a flag, on or off."""
    try:
        return value in _STATES or repr(value) in _ALSO_ON
    except Exception:  # noqa: BLE001  (such as an array, whose == has no truth)
        return False


def check_state(feature_name: Any, is_enabled: Any) -> None:
    """Refuse a state that is neither on nor off."""
    if not is_state(is_enabled):
        raise InvalidArgumentError(
            f"The state {shortened(is_enabled)} of feature {feature_name!r} is "
            f"neither on nor off; use True or False",
            feature_name=feature_name,
            value=is_enabled,
        )


def check_page(limit: Any, offset: Any) -> None:
    """Refuse a `limit` or an `offset` that is not an integer from 0 on."""
    for name, value in (("limit", limit), ("offset", offset)):
        if value is None and name == "limit":
            continue
        try:
            valid = index(value) >= 0
        except TypeError:
            valid = False
        if not valid:
            raise InvalidArgumentError(
                f"{name}={value!r} is not a number of flags; use 0 or a larger integer"
                f"{', or None for all' if name == 'limit' else ''}",
                value=value,
            )


def check_choice(name: str, value: Any, *choices: str) -> None:
    """Refuse an argument that has none of the allowed values."""
    if value not in choices:
        raise InvalidArgumentError(
            f"{name}={value!r} is unknown; use {' or '.join(map(repr, choices))}",
            value=value,
        )


def check_count(name: str, value: Any, problem: str) -> None:
    """Refuse an argument that is not an integer from 1 on.

    Args:
        name: the name of the argument.
        value: the argument.
        problem: what is wrong with 0, such as "reads nothing".
    """
    try:
        valid = index(value) >= 1
    except TypeError:
        valid = False
    if not valid:
        raise InvalidArgumentError(
            f"{name}={value!r} {problem}; use 1 or a larger integer", value=value
        )


def check_seconds(
    name: str, value: Any, *, none: str | None = None, largest: float = TIMEOUT_MAX
) -> None:
    """Refuse an argument that is not a duration in seconds.

    Args:
        name: the name of the argument.
        value: the argument.
        none: the meaning of `None`, as in "for ever"; if not given, `None` is refused.
        largest: the longest allowed duration, in seconds; by default, the longest that
            a thread can wait.
    """
    if value is None and none is not None:
        return
    if not is_between(0, value, largest):
        raise InvalidArgumentError(
            f"{name}={value!r} is not a time; use seconds, 0 or more"
            f"{'' if none is None else f', or None {none}'}",
            value=value,
        )


def check_client_data(feature_name: str, client_data: Any) -> None:
    """Refuse client data that is not a mapping, or has the key that rules are under."""
    if isinstance(client_data, Mapping) and RESERVED_KEY in client_data:
        raise InvalidArgumentError(
            f"The client data of feature {feature_name!r} cannot have the key "
            f"{RESERVED_KEY!r}, under which rules are stored; use set_rules()",
            feature_name=feature_name,
            value=RESERVED_KEY,
        )
    if client_data is not None and not isinstance(client_data, Mapping):
        raise InvalidArgumentError(
            f"The client data of feature {feature_name!r} is not a dict but "
            f"{type(client_data).__name__}; use a dict of names and values",
            feature_name=feature_name,
            value=client_data,
        )


def check_condition(feature_name: str, condition: Any) -> None:
    """Refuse an object without the methods of a `Condition`."""
    if type(condition) is Condition:
        return
    if not _has_methods(condition, "check", "to_dict"):
        raise InvalidArgumentError(
            f"{condition!r} is not a condition for feature {feature_name!r}; use "
            f"flipper.Condition, as in Condition(is_admin=True)",
            feature_name=feature_name,
            value=condition,
        )


def check_conditions(feature_name: str, conditions: Any) -> list[Any]:
    """Return a list of the given conditions; refuse any other object."""
    try:
        given = iter(conditions)
    except TypeError:
        raise InvalidArgumentError(
            f"{conditions!r} is not a list of conditions for feature {feature_name!r}; "
            f"use a list, as in [Condition(is_admin=True)]",
            feature_name=feature_name,
            value=conditions,
        ) from None
    found = list(given)
    for condition in found:
        check_condition(feature_name, condition)
    return found


def check_bucketer(feature_name: str, bucketer: Any) -> None:
    """Refuse an object without the methods of a bucketer, or with invalid values."""
    if bucketer is None:
        return
    if not _has_methods(bucketer, "check", "get_type", "to_dict"):
        raise InvalidArgumentError(
            f"{bucketer!r} is not a bucketer for feature {feature_name!r}; use a class "
            f"of flipper.bucketing, as in PercentageBucketer(Percentage(0.5))",
            feature_name=feature_name,
            value=bucketer,
        )
    if isinstance(bucketer, PercentageBucketer):
        _check_percentage(
            f"the bucketer for feature {feature_name!r}", bucketer, feature_name
        )
    if isinstance(bucketer, ConsistentHashPercentageBucketer):
        _check_key_whitelist(feature_name, bucketer)


def check_percentage(owner: str, percentage: AbstractPercentage) -> None:
    """Refuse a percentage that is not a fraction from 0 to 1 at all times.

    Args:
        owner: what has the percentage, as in "the Rollout".
        percentage: the percentage.
    """
    _check_percentage(owner, PercentageBucketer(percentage))


def _check_percentage(
    owner: str, bucketer: PercentageBucketer, feature_name: str | None = None
) -> None:
    try:
        invalid = bucketer.invalid_percentage()
        percentage = 0 if invalid else bucketer.percentage
    except Exception as error:
        raise InvalidArgumentError(
            f"The percentage of {owner} cannot be computed: {error}; use numbers, as "
            f"LinearRampPercentage(0, 1, 3600)",
            feature_name=feature_name,
            value=bucketer,
        ) from error
    if percentage != percentage:  # noqa: PLR0124  (NaN)
        invalid = "percentage", percentage
    if invalid is not None:
        name, value = invalid
        raise InvalidArgumentError(
            f"The {name} {value!r} of {owner} is not a fraction; use a number from 0 "
            f"to 1, as Percentage(0.5) for 50 %",
            feature_name=feature_name,
            value=value,
        )
    _check_ramp(owner, bucketer.own_percentage, feature_name)


def _check_ramp(owner: str, ramp: Any, feature_name: str | None) -> None:
    # A negative duration in a store is over at once, so such flags are on for all.
    if not isinstance(ramp, LinearRampPercentage):
        return
    for name, least in (("ramp_duration", 0), ("initial_time", -_LONGEST_RAMP)):
        value = getattr(ramp, name)
        if not is_between(least, value, _LONGEST_RAMP):
            raise InvalidArgumentError(
                f"The {name} {value!r} of {owner} is not a "
                f"{'date' if name == 'initial_time' else 'duration'}; use seconds, as "
                f"LinearRampPercentage(0, 1, 3600)",
                feature_name=feature_name,
                value=value,
            )


def _check_key_whitelist(
    feature_name: str, bucketer: ConsistentHashPercentageBucketer
) -> None:
    # The names of arguments are text, so any other entry would never apply.
    for key in bucketer.key_whitelist:
        if not isinstance(key, str):
            raise InvalidArgumentError(
                f"The key_whitelist of the bucketer for feature {feature_name!r} has "
                f"{key!r}, which is not the name of an argument; use a list of names, "
                f'as key_whitelist=["user_id"]',
                feature_name=feature_name,
                value=key,
            )


def is_between(least: float, value: Any, largest: float) -> bool:
    """Return whether a value is a number within these limits, which NaN is not."""
    number: Any = value if isinstance(value, Real) else math.nan
    return bool(least <= number <= largest)


def _has_methods(candidate: Any, *names: str) -> bool:
    if isinstance(candidate, type):
        return False
    return all(callable(getattr(candidate, name, None)) for name in names)
