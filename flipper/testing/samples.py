# SPDX-License-Identifier: Apache-2.0
"""Names, values and documents that every store has to keep as they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from ..bucketing import (
    ConsistentHashPercentageBucketer,
    LinearRampPercentage,
    NoOpBucketer,
    Percentage,
    PercentageBucketer,
    Schedule,
)
from ..conditions import Condition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

NAMES = {
    "slashes": "a/b/c",
    "slash-first": "/a",
    "slash-last": "a/",
    "two-slashes": "a//b",
    "dot": ".",
    "dots": "../a",
    "space": "a b",
    "spaces-around": " a ",
    "line-break": "a\nb",
    "tab": "a\tb",
    "percent": "100%",
    "percent-code": "a%2Fb",
    "question-mark": "a?b=c&d#e",
    "plus": "a+b",
    "single-quote": "o'clock",
    "double-quote": 'the "new" one',
    "backslash": "a\\b",
    "pattern": "a*[b]?",
    "braces": "{a}$b",
    "accent": "é",  # one character
    "accent-apart": "e\u0301",  # looks the same, and is another text
    "chinese": "功能",
    "emoji": "🐬",
    "upper-case": "A",
    "lower-case": "a",
    "number": "1",
    "null": "None",
}

CLIENT_DATA: dict[str, Any] = {
    "text": "plain",
    "empty text": "",
    "unicode": 'Ünïcödé 功能 🐬 "quoted" \\ \n \t',
    "integer": -3,
    "large integer": 2**70,
    "zero": 0,
    "float": 0.1,
    "whole float": 2.0,
    "large float": 1e300,
    "small float": 5e-324,
    "true": True,
    "false": False,
    "none": None,
    "list": [1, "two", [3.0, None], {"four": []}],
    "dict": {"": {"a": {"b": [{"c": "d"}]}}, "é.$/": 1},
    "empty list": [],
    "empty dict": {},
    "long": "x" * 20_000,
}

CONDITIONS = {
    "equality": Condition(country="ch"),
    "ne": Condition(country__ne="ch"),
    "gt": Condition(age__gt=18),
    "gte": Condition(age__gte=18.5),
    "lt": Condition(age__lt=-(2**70)),
    "lte": Condition(age__lte=1e300),
    "in": Condition(country__in=["ch", "fr", None, 1, True]),
    "not_in": Condition(country__not_in=[]),
    "two-checks": Condition(age__gte=18, age__lt=65),
    "two-variables": Condition(age=1, country="ch"),
    "none": Condition(country=None),
    "false": Condition(is_admin=False),
    "unicode": Condition(Land="Österreich", 国__in=["中国", "🐬"]),
    "delimiter": Condition(user__age__gt=5, user__name__first="Ada"),
    "text": Condition(country__startswith="c", country__endswith=["h", "🐬"]),
    "part": Condition(country__contains="", country__matches=r"^[a-z]+\b$"),
    "case": Condition(
        Land__istartswith="ö", Land__iendswith=["REICH"], Land__icontains="STERR"
    ),
    "dates": Condition(day__after="2026-01-31", day__before="2026-02-01T12:00:00Z"),
    "versions": Condition(app__semver_gte="2.1.0-rc.1", app__semver_lt="v3.0.0"),
    "version": Condition(
        app__semver_eq="2.1.0+a", app__semver_gt="1.0.0", app__semver_lte="2.1.0"
    ),
    "numbers": Condition(age__num_gt="0.5", age__num_lte=65, age__num_gte=1),
    "number": Condition(age__num_eq=18, age__num_lt=1e300),
    "networks": Condition(ip__in_cidr=["10.0.0.0/8", "2001:db8::/32"]),
    "lists": Condition(tags__any_of=["a", 1], tags__all_of=[], tags__none_of=["🐬"]),
    "exists": Condition(country__exists=True, age__exists=False),
}

CONTEXTS: list[dict[str, Any]] = [
    {},
    *({"country": country} for country in ("ch", "us", None, 1)),
    *({"age": age} for age in (0, 1, 18, 18.5, 19, 65, -(2**71), 1e301)),
    *({"country": "ch", "age": age} for age in (1, 2)),
    *({"is_admin": is_admin} for is_admin in (True, False)),
    {"Land": "Österreich", "国": "中国"},
    {"国": "日本"},
    {"user__age": 6},
    {"user__age": 5},
    {"user__name__first": "Ada"},
    *({"day": day} for day in ("2026-02-01", 1_770_000_000, "2027-01-01", "soon")),
    *({"app": app} for app in ("2.1.0", "2.1.0-rc.1", "10.0.0", "2", None)),
    *({"age": age} for age in ("18", "0.5", "old")),
    *({"ip": ip} for ip in ("10.2.3.4", "::ffff:10.2.3.4", "192.0.2.1", "here")),
    *({"tags": tags} for tags in (["a", "b"], [], "a", ["a", "🐬"])),
]

BUCKETERS = {
    "none": NoOpBucketer(),
    "random": PercentageBucketer(Percentage(0.25)),
    "nobody": PercentageBucketer(Percentage(0)),
    "everybody": PercentageBucketer(Percentage(1.0)),
    "consistent": ConsistentHashPercentageBucketer(
        key_whitelist=["user_id", "国"], percentage=Percentage(0.5)
    ),
    "consistent-on-everything": ConsistentHashPercentageBucketer(
        percentage=Percentage(0.33)
    ),
    "rising-ramp": ConsistentHashPercentageBucketer(
        key_whitelist=["user_id"],
        percentage=LinearRampPercentage(0.2, 0.8, 3600, 1_500_000_000),
    ),
    "falling-ramp": ConsistentHashPercentageBucketer(
        key_whitelist=["user_id"],
        percentage=LinearRampPercentage(0.9, 0.1, 0.5, 1_500_000_000),
    ),
    "scheduled": ConsistentHashPercentageBucketer(
        key_whitelist=["user_id"],
        percentage=Schedule([(1_500_000_000, 0.25), (4_000_000_000, 1)]),
    ),
    "random-ramp": PercentageBucketer(LinearRampPercentage(0, 1, 86_400)),
}

DOCUMENT = (
    b'{"feature_name": "X", "is_enabled": true, "meta": {"client_data": {"a": '
    b'"\\u00e9"}, "created_date": 1500000000, "conditions": [{"a": [{"variable": "a", '
    b'"value": 1, "operator": "gt"}]}], "bucketer": {"type": "NoOpBucketer"}}}'
)
"""The stored document of a flag, byte for byte; flipper-client 1.x reads it too."""

FOREIGN_DOCUMENTS = {
    "no-spaces": json.dumps(json.loads(DOCUMENT), separators=(",", ":")).encode(),
    "indented": json.dumps(json.loads(DOCUMENT), indent=4, sort_keys=True).encode(),
    "utf-8": json.dumps(json.loads(DOCUMENT), ensure_ascii=False).encode(),
    "more-fields": DOCUMENT.replace(b'{"feature', b'{"version": 3, "feature'),
}

BROKEN_DOCUMENTS = {
    "no-json": b"{",
    "no-text": b"\xff\xfe\x00",
    "no-object": b"[1, 2]",
    "only-null": b"null",
    "no-fields": b"{}",
    "no-meta": b'{"feature_name": "broken", "is_enabled": true}',
    "meta-no-object": b'{"feature_name": "broken", "is_enabled": true, "meta": 1}',
    "unknown-operator": DOCUMENT.replace(b'"gt"', b'"near"'),
    "unknown-bucketer": DOCUMENT.replace(b"NoOp", b"Moon"),
    **{
        f"state-{state}": DOCUMENT.replace(b"true", state.encode(), 1)
        for state in ('"false"', '"no"', '"off"', '"0"', "[false]", "NaN", "2", "{}")
    },
}


def for_each(cases: Mapping[str, T], check: Callable[[str, T], None]) -> None:
    """Check every case, and raise one error that names all cases that failed."""
    failures: dict[str, Exception] = {}
    for name, case in cases.items():
        try:
            check(name, case)
        except Exception as error:  # noqa: BLE001  (raised below)
            failures[name] = error
    for first in failures.values():
        told = [f"{name}: {type(e).__name__}: {e}" for name, e in failures.items()]
        raise AssertionError("\n\n".join(told)) from first
