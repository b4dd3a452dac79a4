# SPDX-License-Identifier: Apache-2.0
"""A file of another system with a damaged part raises nothing, and opens no flag."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from flipper.exceptions import InvalidArgumentError
from flipper.importers import flags_from
from flipper.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Iterator

# Every part of them is in use, so a damage of any part can be noticed.
FILES: dict[str, Any] = {
    "flagd": {
        "flags": {
            "a": {
                "state": "ENABLED",
                "variants": {"on": True, "off": False},
                "defaultVariant": "off",
                "targeting": {
                    "if": [
                        {
                            "and": [
                                {"$ref": "staff"},
                                {"in": [{"var": "plan"}, ["pro"]]},
                                {">=": [{"var": "age"}, 18]},
                                {"sem_ver": [{"var": "version"}, "~", "1.2.3"]},
                            ]
                        },
                        {"fractional": [{"cat": ["x", {"var": "id"}]}, ["on", 5]]},
                        {"!=": [{"var": "country"}, "SE"]},
                        "off",
                    ]
                },
            }
        },
        "$evaluators": {"staff": {"ends_with": [{"var": "email"}, "@example.org"]}},
    },
    "launchdarkly": {
        "flags": {
            "a": {
                "on": True,
                "variations": [True, False],
                "offVariation": 1,
                "salt": "s",
                "targets": [{"values": ["u1"], "variation": 0}],
                "contextTargets": [{"contextKind": "user", "variation": 0}],
                "prerequisites": [{"key": "b", "variation": 1}],
                "rules": [
                    {
                        "variation": 0,
                        "clauses": [
                            {"attribute": "", "op": "segmentMatch", "values": ["s"]},
                            {"attribute": "n", "op": "after", "values": [7]},
                            {"attribute": "v", "op": "semVerEqual", "values": ["1.0"]},
                            {"attribute": "m", "op": "endsWith", "values": [".org"]},
                        ],
                    }
                ],
                "fallthrough": {
                    "rollout": {
                        "contextKind": "org",
                        "bucketBy": "/a/b",
                        "seed": 7,
                        "variations": [
                            {"variation": 0, "weight": 10},
                            {"variation": 1, "weight": 20},
                        ],
                    }
                },
            },
            "b": {
                "on": False,
                "variations": ["x", "y"],
                "offVariation": 0,
                "fallthrough": {"variation": 1},
            },
        },
        "segments": {
            "s": {
                "key": "s",
                "salt": "s",
                "included": ["u1"],
                "excludedContexts": [{"contextKind": "org", "values": ["acme"]}],
                "rules": [{"clauses": [], "weight": 5, "bucketBy": "team"}],
            }
        },
        "flagValues": {"c": 5},
    },
    "ruby-flipper": {
        "features": {
            "a": {
                "boolean": "true",
                "groups": ["staff"],
                "actors": ["User;1"],
                "expression": {
                    "Any": [
                        {"Equal": [{"Property": ["plan"]}, {"String": ["pro"]}]},
                        {"GreaterThan": [{"Property": ["age"]}, 18]},
                        {"PercentageOfActors": [{"Property": ["team"]}, 5]},
                    ]
                },
                "percentage_of_actors": "25",
                "percentage_of_time": "100",
            }
        }
    },
}
FILES["waffle"] = [
    {
        "model": "waffle.flag",
        "pk": number,
        "fields": {
            "name": f"flag-{number}",
            "everyone": None,
            "percent": "12.5",
            "superusers": True,
            "staff": True,
            "authenticated": True,
            "languages": "en,de",
            "groups": [["a"], 1],
            "users": [1, 2],
            "testing": True,
        },
    }
    for number in range(6)
] + [
    {"model": "waffle.switch", "pk": 1, "fields": {"name": "s", "active": True}},
    {"model": "waffle.sample", "pk": 1, "fields": {"name": "t", "percent": "5"}},
    {"model": "auth.group", "pk": 1, "fields": {"name": "b"}},
]
FILES["unleash"] = {
    "features": [
        {
            "name": "a",
            "enabled": True,
            "dependencies": [{"feature": "b", "enabled": True, "variants": ["v"]}],
            "strategies": [
                {
                    "name": "flexibleRollout",
                    "parameters": {"rollout": 5, "stickiness": "id", "groupId": "g"},
                    "segments": [1],
                    "constraints": [
                        {
                            "contextName": "c",
                            "operator": "STR_CONTAINS",
                            "values": ["x"],
                            "caseInsensitive": True,
                            "inverted": True,
                        },
                        {"contextName": "c", "operator": "NUM_GT", "value": "5"},
                    ],
                    "variants": [
                        {"name": "v", "weight": 1, "payload": {"value": "1"}},
                        {
                            "name": "w",
                            "weight": 2,
                            "payload": {"type": "json", "value": "{}"},
                        },
                    ],
                },
                {"name": "userWithId", "parameters": {"userIds": "a,b"}},
                {"name": "remoteAddress", "parameters": {"IPs": "::1,1.2.3.4"}},
            ],
        },
        {
            "name": "b",
            "enabled": False,
            "strategies": [{"name": "default"}],
            "variants": [
                {"name": "v", "weight": 7, "stickiness": "id"},
                {
                    "name": "w",
                    "weight": 0,
                    "overrides": [{"contextName": "id", "values": ["u1"]}],
                },
            ],
        },
    ],
    "segments": [
        {
            "id": 1,
            "constraints": [
                {"contextName": "t", "operator": "DATE_AFTER", "value": "2026-01-31"}
            ],
        }
    ],
}
FILES["growthbook"] = {
    "features": {
        "a": {
            "defaultValue": "x",
            "rules": [
                {
                    "parentConditions": [
                        {"id": "b", "condition": {"value": {"$gt": 1}}, "gate": True}
                    ],
                    "condition": {
                        "$or": [{"n": {"$in": ["v", None]}}, {"v": {"$vgt": "1.2"}}],
                        "s": {"$not": {"$size": {"$lte": 3}}},
                        "g": {"$inGroup": "staff"},
                    },
                    "filters": [
                        {"seed": "s", "ranges": [[0, 0.5]], "attribute": "org"}
                    ],
                    "force": "y",
                    "coverage": 0.2,
                    "hashVersion": 2,
                },
                {
                    "variations": ["y", "z"],
                    "weights": [0.3, 0.7],
                    "namespace": ["n", 0, 0.5],
                    "hashAttribute": "org",
                    "fallbackAttribute": "id",
                    "meta": [{"passthrough": True}, {}],
                },
            ],
        },
        "b": {"defaultValue": 5, "rules": [{"force": 0, "range": [0.1, 0.2]}]},
    },
    "savedGroups": {"staff": ["u1"]},
    "experiments": [
        {"key": "e", "variations": [1, 2], "force": 1, "status": "running"}
    ],
}
OF_WHOLE_FILES: set[tuple[Any, ...]] = {
    *[("features", 0), ("features", 1), ("features", 0, "name"), ("segments", 0)],
    *[("features", 1, "name"), ("segments", 0, "id")],
    *[("experiments", 0), ("experiments", 0, "key")],
    *[(number, name) for number in range(9) for name in ("model", "fields")],
    *[(number, "fields", "name") for number in range(9)],
}
DEEP: Any = []
for _ in range(3000):
    DEEP = [DEEP]
DAMAGES = [
    *(None, True, 7, -1, 10**400, float("nan"), "x", "\ud800", [], {}),
    *([None], {"x": {}}, {"var": []}, DEEP),
]


def paths(plain: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where each part of a file is."""
    yield path
    keys: Any = plain if isinstance(plain, dict) else ()
    if isinstance(plain, list):
        keys = range(len(plain))
    for key in keys:
        yield from paths(plain[key], (*path, key))


def with_damage(plain: Any, path: tuple[Any, ...], damage: Any) -> Any:
    """Return a copy with something else at one place."""
    if not path:
        return damage
    made = copy.deepcopy(plain)
    place = made
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = damage
    return made


@pytest.mark.parametrize("origin", FILES)
def test_a_damaged_file_raises_nothing_but_a_clear_error(origin: str) -> None:
    """A flag has a problem, or rules that a store can keep."""
    assert not any(flag.problems for flag in flags_from(origin, FILES[origin]))
    with_problems = 0
    for path in paths(FILES[origin]):
        for damage in DAMAGES:
            try:
                flags = list(
                    flags_from(origin, with_damage(FILES[origin], path, damage))
                )
            except InvalidArgumentError:
                # The file is not one of this system, or has a flag without a name.
                assert len(path) <= 1 or path in OF_WHOLE_FILES
                continue
            for flag in flags:
                with_problems += bool(flag.problems)
                assert not (flag.problems and flag.is_enabled)
                if flag.rules is not None:
                    plain = json.loads(json.dumps(flag.rules.to_dict()))
                    Rules.from_dict(plain)
    assert with_problems > 100
