# SPDX-License-Identifier: Apache-2.0
"""The workloads: flags, calls, and the right answers.

A contender runs a workload by its method of that name (see `contenders`). Flags, calls
and answers are computed from numbers, so every contender gets the same.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

FLAGS = 1000
USERS = 1000
PLAN = "pro"
SEATS = 10
REGIONS = [a + b for a in "ABCDEFGH" for b in "VWXYZ"]
MEMBERS = REGIONS[::2]  # 20
COUNTRY = "SE"
SHARE = 0.5
SPLIT = {"blue": 0.5, "green": 0.3, "red": 0.2}
CONDITIONS = 10  # of a flag before another one is added
MOST_DEVIATION = 0.1  # of the fraction of users from their share
MIN_ANSWERS_FOR_SHARE = 400  # with fewer answers, their share is too random


class Flag(NamedTuple):
    """A flag that every contender can store in its own way."""

    name: str
    on: bool = True
    rules: tuple[tuple[tuple[str, str, Any], ...], ...] = ()
    """The flag is on if all checks of one of these hold. A check is a variable, `==`,
    `>` or `in`, and a value."""
    share: float | None = None
    """The flag is on for this fraction of the users to whom no check applies."""
    salted: bool = False
    """Whether each flag must choose the users of its share independently of others."""
    split: dict[str, float] | None = None
    """The flag serves each of these variants to this fraction of the users."""


class Call(NamedTuple):
    """One call of a contender, and the right answer."""

    arguments: Any
    answer: Any
    drawn: bool = False
    """Whether the answer depends on buckets: `answer` is by those of flipper-client."""


@functools.lru_cache
def names(count: int) -> tuple[str, ...]:
    """Return the names of flags. A name is always the same object, as a constant is."""
    return tuple(_new_names(count))


def _new_names(count: int) -> list[str]:
    return [f"CHECKOUT_{i:06}" for i in range(count)]


@functools.lru_cache
def _absent(count: int) -> tuple[str, ...]:
    return tuple(f"NO_{name}" for name in names(count))


@functools.lru_cache
def _users() -> tuple[str, ...]:
    return tuple(f"user-{i:08}" for i in range(USERS))


def _bucket(seed: str, user_id: str) -> float:
    """Return the bucket of a user in the rules of this library, from 0 to 1."""
    digest = hashlib.sha1(f"{seed}:{user_id}".encode()).hexdigest()  # noqa: S324
    return int(digest, 16) % 100_000 / 100_000


def _variant(name: str, user_id: str) -> str:
    """Return the variant of a user by the buckets of this library."""
    bucket = _bucket(f"{name}:split", user_id)
    ends = itertools.accumulate(SPLIT.values())
    return next(v for v, end in zip(SPLIT, ends, strict=True) if bucket < end)


@functools.lru_cache(maxsize=2 * USERS)
def _in_share(user_id: str) -> bool:
    """Return whether the flag is on for a user by the buckets of flipper-client."""
    text = json.dumps([["user_id", user_id]])
    digest = hashlib.sha1(text.encode()).hexdigest()  # noqa: S324  (no secret)
    return int(digest, 16) % 100 / 100 <= SHARE


# -- flags


def switches(count: int) -> list[Flag]:
    """Make flags without conditions; every second one is on."""
    return [Flag(name, on=i % 2 == 0) for i, name in enumerate(names(count))]


def with_one_condition(count: int) -> list[Flag]:
    """Make the flags whose memory is measured, with new names, which count."""
    return [Flag(name, rules=(_CHECKS,)) for name in _new_names(count)]


_CHECKS = (("plan", "==", PLAN), ("seats", ">", SEATS))
# In the first two rules, only the first check holds for the calls.
_THREE_RULES = (
    (("country", "==", COUNTRY), ("plan", "==", "free")),
    (("country", "==", COUNTRY), ("seats", ">", 100)),
    _CHECKS,
)


def _checked(count: int) -> list[Flag]:
    return [Flag(name, rules=(_CHECKS,)) for name in names(count)]


def _listed(count: int) -> list[Flag]:
    rules = ((("region", "in", MEMBERS),),)
    return [Flag(name, rules=rules) for name in names(count)]


def _rolled_out(count: int) -> list[Flag]:
    return [Flag(name, share=SHARE) for name in names(count)]


def _ruled(count: int) -> list[Flag]:
    rules = ((("staff", "==", True),),)
    return [Flag(name, rules=rules, share=SHARE) for name in names(count)]


def _with_three_rules(count: int) -> list[Flag]:
    return [Flag(name, rules=_THREE_RULES) for name in names(count)]


def _salted(count: int) -> list[Flag]:
    return [Flag(name, share=SHARE, salted=True) for name in names(count)]


def _split(count: int) -> list[Flag]:
    return [Flag(name, split=SPLIT) for name in names(count)]


@functools.lru_cache
def _mixed(count: int) -> list[Flag]:
    """Make flags of all kinds: of ten, four, two, two, one and one."""
    kinds = (
        *(Flag("", on=i % 2 == 0) for i in range(4)),
        *[Flag("", rules=(_CHECKS,))] * 2,
        *[Flag("", rules=_THREE_RULES)] * 2,
        Flag("", share=SHARE, salted=True),
        Flag("", split=SPLIT),
    )
    return [kinds[i % 10]._replace(name=name) for i, name in enumerate(names(count))]


# -- calls: they ask for the flags in order, again and again


def _name(i: int, flags: int) -> str:
    return names(flags)[i % flags]


def _on_off(i: int, flags: int) -> Call:
    return Call(_name(i, flags), answer=i % flags % 2 == 0)


def _checks(i: int, flags: int) -> Call:
    seats = SEATS - 5 + i % 11  # the first check always holds, so both are made
    return Call((_name(i, flags), PLAN, seats), answer=seats > SEATS)


def _checks_kept(i: int, flags: int) -> Call:
    (name, plan, seats), answer, _ = _checks(i, flags)
    return Call((name, (("plan", plan), ("seats", seats))), answer)


def _member(i: int, flags: int) -> Call:
    region = REGIONS[i % len(REGIONS)]  # every second one is in the list
    return Call((_name(i, flags), region), answer=region in MEMBERS)


def _new_user(i: int, flags: int) -> Call:
    user_id = f"user-{USERS + i:08}"
    return Call((_name(i, flags), user_id), _in_share(user_id), drawn=True)


def _seen_user(i: int, flags: int) -> Call:
    user_id = _users()[i % USERS]
    name = _name(i + i // USERS, flags)  # the same user asks for another flag each time
    return Call((name, (("user_id", user_id),)), _in_share(user_id), drawn=True)


def _ruled_call(i: int, flags: int) -> Call:
    (name, ((_, user_id),)), answer, _ = _seen_user(i, flags)
    if i % 2:
        return Call((name, user_id, True), answer=True)
    return Call((name, user_id, False), answer, drawn=True)


def _three_rules(i: int, flags: int) -> Call:
    (name, plan, seats), answer, _ = _checks(i, flags)
    return Call((name, COUNTRY, plan, seats), answer)


def _salted_call(i: int, flags: int) -> Call:
    name, user_id = _new_user(i, flags).arguments
    return Call((name, user_id), _bucket(name, user_id) < SHARE, drawn=True)


def _split_call(i: int, flags: int) -> Call:
    name, user_id = _new_user(i, flags).arguments
    return Call((name, user_id), _variant(name, user_id), drawn=True)


def _for_all_flags(i: int, flags: int) -> Call:
    _, user_id = _new_user(i, flags).arguments
    _, plan, seats = _checks(i, flags).arguments
    answers: dict[str, Any] = {}
    for flag in _mixed(flags):
        name = flag.name
        if flag.split:
            answers[name] = _variant(name, user_id)
        elif flag.share is not None:
            answers[name] = _bucket(name, user_id) < SHARE
        else:
            answers[name] = seats > SEATS if flag.rules else flag.on
    return Call((user_id, COUNTRY, plan, seats), answers, drawn=True)


def _missing(i: int, flags: int) -> Call:
    return Call(_absent(flags)[i % flags], answer=False)


def _all(i: int, flags: int) -> Call:
    del i
    return Call(None, answer=list(names(flags)))


def _toggle(i: int, flags: int) -> Call:
    # Enable all flags, then disable all, and so on.
    return Call((_name(i, flags), i // flags % 2 == 0), answer=None)


def _add(i: int, flags: int) -> Call:
    return Call(_name(i, flags), answer=None)


# -- checks of answers


def _same(contender: Any, calls: list[Call], answers: list[Any]) -> str:
    exact = getattr(contender, "exact", False)
    drawn = []
    for call, answer in zip(calls, answers, strict=True):
        if call.drawn and not exact:
            drawn.append(bool(answer))
        elif bool(answer) is not call.answer:
            return f"{call.arguments} is {answer!r}, not {call.answer!r}"
    return _wrong_share(drawn, True, SHARE)


def _wrong_share(drawn: list[Any], wanted: Any, share: float) -> str:
    found = drawn.count(wanted) / len(drawn) if drawn else share
    if len(drawn) >= MIN_ANSWERS_FOR_SHARE and abs(found - share) > MOST_DEVIATION:
        return f"{wanted} for {found:.0%} of the users, not {share:.0%}"
    return ""


def _same_variants(contender: Any, calls: list[Call], answers: list[Any]) -> str:
    for call, answer in zip(calls, answers, strict=True):
        exact = getattr(contender, "exact", False)
        if answer != call.answer if exact else answer not in SPLIT:
            return f"{call.arguments} is {answer!r}, not {call.answer!r}"
    wrong = (_wrong_share(answers, *wanted) for wanted in SPLIT.items())
    return next(filter(None, wrong), "")


def _same_for_all(contender: Any, calls: list[Call], answers: list[Any]) -> str:
    """Compare flag by flag, as in the workloads of the kinds of flags."""
    drawn: list[tuple[Any, Any]] = []
    others: list[tuple[Call, Any]] = []
    for call, answer in zip(calls, answers, strict=True):
        if answer.keys() != call.answer.keys():
            return "not the flags that are stored"
        for flag in _mixed(len(answer)):
            right = Call((flag.name, *call.arguments), call.answer[flag.name])
            if flag.split or flag.share is not None:
                right = right._replace(drawn=True)
            (drawn if flag.split else others).append((right, answer[flag.name]))
    return _same(contender, *_columns(others)) or _same_variants(
        contender, *_columns(drawn)
    )


def _columns(pairs: list[tuple[Any, Any]]) -> tuple[list[Any], list[Any]]:
    calls, answers = zip(*pairs, strict=True)
    return [*calls], [*answers]


def _same_names(contender: Any, calls: list[Call], answers: list[Any]) -> str:
    del contender
    for call, answer in zip(calls, answers, strict=True):
        if sorted(flag.name for flag in answer) != call.answer:
            return "not the flags that are stored"
    return ""


def _toggled(contender: Any, calls: list[Call], answers: list[Any]) -> str:
    del answers
    last = dict(call.arguments for call in calls)
    return "" if contender.on_off([*last]) == [*last.values()] else "not as written"


def _added(contender: Any, calls: list[Call], answers: list[Any]) -> str:
    del answers
    counts = {contender.count_conditions(call.arguments) for call in calls}
    return (
        "" if counts == {CONDITIONS + 1} else f"{counts} conditions after one was added"
    )


@dataclass(frozen=True)
class Workload:
    """One line of a table.

    Attributes:
        key: the name of the contender's method.
        title: its name in the table.
        goal: the multiple of the limit that this library should not exceed.
        flags: makes a given number of flags.
        call: makes the call of a given number, for a given number of stored flags.
        find_wrong_answer: returns what is wrong with the answers of a contender to some
            calls; an empty text if they are right.
        keeps: the name of a contender's method that makes an object of the last
            argument of a call. A program keeps this object between calls, so it is made
            before the measurement.
        writes: whether the calls change flags. Then the workload has its own flags.
        spends: whether a call is possible only once for each flag, until the
            contender's method `renew` is called.
        per_flag: whether a call uses all flags. Then the figure is for one flag.
        most: the largest number of calls in a slice.
    """

    key: str
    title: str
    goal: float | None
    flags: Callable[[int], list[Flag]]
    call: Callable[[int, int], Call]
    find_wrong_answer: Callable[[Any, list[Call], list[Any]], str] = _same
    keeps: str = ""
    writes: bool = False
    spends: bool = False
    per_flag: bool = False
    most: int = 1_000_000


def _table(*workloads: Workload) -> dict[str, Workload]:
    return {workload.key: workload for workload in workloads}


IN_MEMORY = _table(
    Workload("on_off", "on/off", 2.5, switches, _on_off),
    Workload("cached", "on/off, cached store", 3.5, switches, _on_off),
    Workload("synced", "on/off, synchronised store", 2.75, switches, _on_off),
    Workload("checks", "one `==` and one `>` check", 7.5, _checked, _checks),
    Workload(
        *("checks_kept", "the same, arguments kept from call to call", None),
        *(_checked, _checks_kept),
        keeps="context",
    ),
    Workload("member", "`__in` a list of 20", 8, _listed, _member),
    Workload("new_user", "sticky rollout, a new user each", 25, _rolled_out, _new_user),
    Workload(
        *("seen_user", "sticky rollout, users seen before", 6),
        *(_rolled_out, _seen_user),
        keeps="user",
    ),
    Workload("ruled", "rule, else rollout", 9.5, _ruled, _ruled_call),
    Workload(
        *("three_rules", "three rules of two checks", 15),
        *(_with_three_rules, _three_rules),
    ),
    Workload(
        *("salted", "salted rollout, a new user each", 28, _salted, _salted_call),
    ),
    Workload(
        *("split", "split, a new user each", 40, _split, _split_call, _same_variants),
    ),
    Workload(
        *("evaluate_all", "evaluate all 1,000, per flag", 8, _mixed, _for_all_flags),
        _same_for_all,
        per_flag=True,
        most=20,
    ),
    Workload("missing", "missing flag", 2.2, switches, _missing),
    Workload(
        *("list_all", "list 1,000, per flag", 4, switches, _all, _same_names),
        per_flag=True,
        most=20,
    ),
    Workload(
        *("toggle", "enable or disable, memory", 13, switches, _toggle, _toggled),
        writes=True,
    ),
    Workload(
        *("add_condition", "add a condition to ten", 16, switches, _add, _added),
        writes=True,
        spends=True,
        most=FLAGS,
    ),
)


def _in_store(ask: float, write: float, listing: float) -> dict[str, Workload]:
    return _table(
        Workload("on_off", "is_enabled", ask, switches, _on_off),
        Workload("toggle", "enable", write, switches, _toggle, _toggled, writes=True),
        Workload("list_all", "list", listing, switches, _all, _same_names, most=20),
        Workload(
            *("list_first", "first list", listing, switches, _all, _same_names),
            most=20,
        ),
    )


IN_OPENFEATURE = _table(
    Workload("on_off", "get_boolean_value, on/off", 1, switches, _on_off),
    Workload("missing", "get_boolean_value, missing", 1, switches, _missing),
    Workload(
        *("checks_kept", "get_boolean_value, two checks", 1.25),
        *(_checked, _checks_kept),
        keeps="context",
    ),
)

IN_STORES = {
    "redis": (10_000, _in_store(1.15, 3, 3)),
    "postgresql": (1000, _in_store(1.2, 2, 3)),
    "sqlite": (10_000, _in_store(1.5, 2.5, 3)),
    "openfeature": (FLAGS, IN_OPENFEATURE),
}
