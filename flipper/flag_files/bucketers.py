# SPDX-License-Identifier: Apache-2.0
"""Bucketers in a file: a table with a type, in which a percentage is just a number.

Bucketers and percentages of an application's own are tables as their `to_dict` returns
them. Their classes have to be registered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..arguments import check_bucketer
from ..bucketing.consistent_hash_percentage_bucketer import (
    ConsistentHashPercentageBucketer,
)
from ..bucketing.factory import BucketerFactory
from ..bucketing.noop_bucketer import NoOpBucketer
from ..bucketing.percentage.factory import PercentageFactory
from ..bucketing.percentage.linear_ramp_percentage import LinearRampPercentage
from ..bucketing.percentage.percentage import Percentage
from ..bucketing.percentage.schedule import EARLIEST, LATEST, Schedule
from ..bucketing.percentage_bucketer import PercentageBucketer
from ..exceptions import InvalidArgumentError
from .problems import FewerProblems, check_keys, nearest, told
from .values import check_value, is_number

if TYPE_CHECKING:
    from .problems import Place

LONGEST: Final = 2**53
"""The longest duration of a ramp, in seconds."""
_PERCENT: Final = 100
_PAIR: Final = (1767225600, 0.25)
_NO_ENTRIES: Final = [_PAIR]  # a missing key has its own problem
_PERCENTAGE: Final = {"percentage": "percentage = 0.25"}
_RAMP: Final = {
    "type": 'type = "LinearRampPercentage"',
    "initial_value": "initial_value = 0.0",
    "final_value": "final_value = 1.0",
    "ramp_duration": "ramp_duration = 86400, in seconds",
    "initial_time": "initial_time = 1767225600, in seconds since 1970",
}
_SCHEDULE: Final = {
    "type": 'type = "Schedule"',
    "entries": "entries = [[1767225600, 0.25], [1798761600, 1]], in seconds since 1970",
}


def read_bucketer(place: Place, value: Any, feature_name: str) -> Any:
    """Return the bucketer of a flag, `None` if there is none, and report mistakes."""
    kind = _read_type(place, value, BucketerFactory.BUCKETER_MAP)
    if kind is None:
        return None
    is_right = FewerProblems.since_now(place)
    fields = dict(value)
    example = {"type": f'type = "{value["type"]}"'}
    if kind is NoOpBucketer:
        check_keys(place, value, example)
    elif kind is PercentageBucketer or kind is ConsistentHashPercentageBucketer:
        optional = () if kind is PercentageBucketer else ("key_whitelist",)
        check_keys(place, value, {**example, **_PERCENTAGE}, optional)
        if "percentage" in value:
            inner = place.at("percentage")
            fields["percentage"] = read_percentage(inner, value["percentage"])
        if "key_whitelist" in value and optional:
            _check_whitelist(place.at("key_whitelist"), value["key_whitelist"])
    else:
        check_value(place, value)
    if not is_right:
        return None
    try:
        bucketer = BucketerFactory.create(fields)
        check_bucketer(feature_name, bucketer)
    except InvalidArgumentError as error:
        place.refuse(str(error))
    except Exception as error:  # noqa: BLE001  (a class of the application)
        place.refuse(
            f"its class refuses it ({type(error).__name__}: {error}); write what the "
            f"to_dict of {kind.__name__} returns"
        )
    else:
        return bucketer
    return None


def _read_type(place: Place, value: Any, known: dict[str, Any]) -> Any:
    """Return the class of a table with a type, `None` if there is none."""
    if not isinstance(value, dict):
        place.refuse(
            f"is {told(value)}; write a table with a type, such as "
            f'{{ type = "{min(known)}" }}'
        )
    elif "type" not in value:
        place.refuse(f"the key 'type' is missing; add it: {', '.join(sorted(known))}")
    elif not isinstance(value["type"], str):
        place.at("type").refuse(
            f"is {told(value['type'])}; write one of {', '.join(sorted(known))} in "
            f"quotes"
        )
    elif value["type"] not in known:
        place.at("type").refuse(
            f"the type {value['type']!r} is unknown; {nearest(value['type'], known)}"
        )
    else:
        return known[value["type"]]
    return None


def read_percentage(place: Place, value: Any) -> dict[str, Any]:
    """Return a percentage as its `to_dict` does."""
    if not isinstance(value, dict):
        check_fraction(place, value)
        return {"type": Percentage.get_type(), "value": value}
    kind = _read_type(place, value, PercentageFactory.PERCENTAGE_MAP)
    if kind is Percentage:
        place.refuse("is a table; write the number alone, as percentage = 0.25")
    elif kind is LinearRampPercentage:
        check_keys(place, value, _RAMP)
        for key in ("initial_value", "final_value"):
            if key in value:
                check_fraction(place.at(key), value[key])
        for key, least, largest in (
            ("ramp_duration", 0, LONGEST),
            ("initial_time", EARLIEST, LATEST),
        ):
            if key in value:
                _check_seconds(place.at(key), value[key], least, largest)
    elif kind is Schedule:
        _check_schedule(place, value)
    elif kind is not None:
        check_value(place, value)
    return value


def _check_schedule(place: Place, value: Any) -> None:
    check_keys(place, value, _SCHEDULE)
    inner = place.at("entries")
    entries = value.get("entries", _NO_ENTRIES)
    if not isinstance(entries, list) or not entries:
        inner.refuse(f"is {told(entries)}; write entries, as {_SCHEDULE['entries']}")
        return
    before = EARLIEST
    for index, entry in enumerate(entries):
        own = inner.at(index)
        if not isinstance(entry, list) or len(entry) != len(_PAIR):
            own.refuse(f"is {told(entry)}; write a time and a share, as {list(_PAIR)}")
            continue
        when, share = entry
        if not is_number(when) or not EARLIEST <= when <= LATEST:
            own.at(0).refuse(
                f"is {told(when)}; write seconds since 1970, as {_PAIR[0]}"
            )
        elif index and when <= before:
            own.at(0).refuse(f"is not later than {before} before it; sort the entries")
        else:
            before = when
        if isinstance(share, dict) and share.get("type") == Schedule.get_type():
            own.at(1).refuse("is a schedule in a schedule; write a number or a ramp")
        else:
            read_percentage(own.at(1), share)


def check_fraction(place: Place, value: Any) -> None:
    """Report a value that is not a number from 0 to 1."""
    if is_number(value) and 0 <= value <= 1:
        return
    example = "0.25 for 25 %"
    if is_number(value) and 1 < value <= _PERCENT:
        example = f"{value / _PERCENT:g} for {value:g} %"
    place.refuse(f"is {told(value)}; write a number from 0 to 1, such as {example}")


def _check_seconds(place: Place, value: Any, least: int, largest: int) -> None:
    if is_number(value) and least <= value <= largest:
        return
    what = "seconds, 0 or more" if least == 0 else "seconds since 1970"
    place.refuse(
        f"is {told(value)}; write {what}, such as {_RAMP[str(place.path[-1])]}"
    )


def _check_whitelist(place: Place, value: Any) -> None:
    if not isinstance(value, list):
        place.refuse(f'is {told(value)}; write a list of names, as ["user_id"]')
        return
    for index, name in enumerate(value):
        if not isinstance(name, str):
            place.at(index).refuse(
                f'is {told(name)}; write the name of an argument, as "user_id"'
            )


def plain_bucketer(stored: dict[str, Any]) -> dict[str, Any] | None:
    """Return a bucketer as a file has it, from that of a stored document.

    `None` stands for no bucketer.
    """
    if stored == {"type": NoOpBucketer.get_type()}:
        return None
    kind = BucketerFactory.BUCKETER_MAP.get(stored["type"])
    if kind is not PercentageBucketer and kind is not ConsistentHashPercentageBucketer:
        return stored
    plain = dict(stored)
    percentage = plain["percentage"]
    if percentage.keys() == {"type", "value"} and percentage["type"] == (
        Percentage.get_type()
    ):
        plain["percentage"] = percentage["value"]
    if plain.get("key_whitelist") == []:
        del plain["key_whitelist"]
    # The order of `to_dict`, except that the percentage is read best at the end.
    plain["percentage"] = plain.pop("percentage")
    return plain
