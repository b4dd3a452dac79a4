# SPDX-License-Identifier: Apache-2.0
"""What is measured: the flags, the calls, and the answers that are right.

A contender does a workload by its method of that name (see `contenders`). Flags, calls
and answers follow from numbers alone, so every contender gets the same.
"""

from __future__ import annotations

import functools
import hashlib
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
SHARE = 0.5
CONDITIONS = 10  # that a flag has before one is added
JUDGED = 400  # answers, from which on their share says something


class Flag(NamedTuple):
    """A flag that every contender can express, in its own words."""

    name: str
    on: bool = True
    checks: tuple[tuple[str, str, Any], ...] = ()
    """Variable, `==`, `>` or `in`, and value; all of them have to hold."""
    share: float | None = None
    """The fraction of the users that no check concerns for whom it is on."""


class Call(NamedTuple):
    """One question to a contender, and what is right."""

    arguments: Any
    answer: Any
    drawn: bool = False
    """The answer is by flipper-client's buckets; others have buckets of their own."""


@functools.lru_cache
def names(count: int) -> tuple[str, ...]:
    """Name the flags; as in a program's constants, a name is one object everywhere."""
    return tuple(_new_names(count))


def _new_names(count: int) -> list[str]:
    return [f"CHECKOUT_{i:06}" for i in range(count)]


@functools.lru_cache
def _absent(count: int) -> tuple[str, ...]:
    return tuple(f"NO_{name}" for name in names(count))


@functools.lru_cache
def _users() -> tuple[str, ...]:
    return tuple(f"user-{i:08}" for i in range(USERS))


@functools.lru_cache(maxsize=2 * USERS)
def _in_share(user_id: str) -> bool:
    """Tell whether flipper-client lets a user in, from how it documents its buckets."""
    text = json.dumps([["user_id", user_id]])
    digest = hashlib.sha1(text.encode()).hexdigest()  # noqa: S324  (no secret)
    return int(digest, 16) % 100 / 100 <= SHARE


# The flags.


def switches(count: int) -> list[Flag]:
    """Make flags without conditions, every other one on."""
    return [Flag(name, on=i % 2 == 0) for i, name in enumerate(names(count))]


def with_one_condition(count: int) -> list[Flag]:
    """Make the flags whose memory is measured; their names are part of it."""
    return [Flag(name, checks=_CHECKS) for name in _new_names(count)]


_CHECKS = (("plan", "==", PLAN), ("seats", ">", SEATS))


def _checked(count: int) -> list[Flag]:
    return [Flag(name, checks=_CHECKS) for name in names(count)]


def _listed(count: int) -> list[Flag]:
    checks = (("region", "in", MEMBERS),)
    return [Flag(name, checks=checks) for name in names(count)]


def _rolled_out(count: int) -> list[Flag]:
    return [Flag(name, share=SHARE) for name in names(count)]


def _ruled(count: int) -> list[Flag]:
    checks = (("staff", "==", True),)
    return [Flag(name, checks=checks, share=SHARE) for name in names(count)]


# The calls: flags in order, again and again.


def _name(i: int, flags: int) -> str:
    return names(flags)[i % flags]


def _on_off(i: int, flags: int) -> Call:
    return Call(_name(i, flags), answer=i % flags % 2 == 0)


def _checks(i: int, flags: int) -> Call:
    seats = SEATS - 5 + i % 11  # the plan is always right, so both checks are made
    return Call((_name(i, flags), PLAN, seats), answer=seats > SEATS)


def _checks_kept(i: int, flags: int) -> Call:
    (name, plan, seats), answer, _ = _checks(i, flags)
    return Call((name, (("plan", plan), ("seats", seats))), answer)


def _member(i: int, flags: int) -> Call:
    region = REGIONS[i % len(REGIONS)]  # every other one is listed
    return Call((_name(i, flags), region), answer=region in MEMBERS)


def _new_user(i: int, flags: int) -> Call:
    user_id = f"user-{USERS + i:08}"
    return Call((_name(i, flags), user_id), _in_share(user_id), drawn=True)


def _seen_user(i: int, flags: int) -> Call:
    user_id = _users()[i % USERS]
    name = _name(i + i // USERS, flags)  # each time another one for the same user
    return Call((name, (("user_id", user_id),)), _in_share(user_id), drawn=True)


def _ruled_call(i: int, flags: int) -> Call:
    (name, ((_, user_id),)), answer, _ = _seen_user(i, flags)
    if i % 2:
        return Call((name, user_id, True), answer=True)
    return Call((name, user_id, False), answer, drawn=True)


def _missing(i: int, flags: int) -> Call:
    return Call(_absent(flags)[i % flags], answer=False)


def _all(i: int, flags: int) -> Call:
    del i
    return Call(None, answer=list(names(flags)))


def _toggle(i: int, flags: int) -> Call:
    # All on, then all off, and again.
    return Call((_name(i, flags), i // flags % 2 == 0), answer=None)


def _add(i: int, flags: int) -> Call:
    return Call(_name(i, flags), answer=None)


# What is right.


def _same(contender: Any, calls: list[Call], answers: list[Any]) -> str:
    exact = getattr(contender, "exact", False)
    drawn = []
    for call, answer in zip(calls, answers, strict=True):
        if call.drawn and not exact:
            drawn.append(answer)
        elif bool(answer) is not call.answer:
            return f"{call.arguments} is {answer!r}, not {call.answer!r}"
    share = sum(drawn) / len(drawn) if drawn else SHARE
    if len(drawn) >= JUDGED and abs(share - SHARE) > SHARE / 5:
        return f"on for {share:.0%} of the users, not {SHARE:.0%}"
    return ""


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
    return "" if counts == {CONDITIONS + 1} else f"{counts} conditions, one was added"


@dataclass(frozen=True)
class Workload:
    """One line of a table.

    Attributes:
        key: the method that does it.
        title: its name in the table.
        goal: how many times the limit this library may need.
        flags: makes the flags that are stored, so many of them.
        call: makes the call of a number, with so many flags stored.
        why_wrong: says what is wrong with a contender's answers to some calls, if
            anything.
        keeps: the method of a contender that makes, of the last argument of a call,
            what a program keeps between calls; that is made beforehand.
        writes: it changes flags, so they are its own.
        spends: it can be done once with each flag after the method `renew`.
        per_flag: a call does all flags, and the figure is for one of them.
        most: calls in a slice.
    """

    key: str
    title: str
    goal: float | None
    flags: Callable[[int], list[Flag]]
    call: Callable[[int, int], Call]
    why_wrong: Callable[[Any, list[Call], list[Any]], str] = _same
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


IN_STORES = {
    "redis": (10_000, _in_store(1.15, 3, 3)),
    "postgresql": (1000, _in_store(1.2, 2, 3)),
}
