# SPDX-License-Identifier: Apache-2.0
"""Features of GrowthBook become flags with rules, and every user keeps the value."""

from __future__ import annotations

from typing import Any

import pytest
from imported import USERS, client_of, fnv1a, only

from flipper.exceptions import InvalidArgumentError
from flipper.importers import flags_from


def payload(*rules: dict[str, Any], default: Any = False, **more: Any) -> Any:
    """Return a payload with one feature."""
    feature = {"defaultValue": default, "rules": list(rules)}
    return {"features": {"f": feature, **more}}


def bucket(seed: str, value: str, version: int = 1) -> float:
    """Return the bucket of a value, from 0 to 1."""
    if version == 1:
        return fnv1a(value + seed) % 1000 / 1000
    return fnv1a(str(fnv1a(seed + value))) % 10000 / 10000


def holds(condition: dict[str, Any], **attributes: Any) -> bool:
    """Return whether a feature is on that a rule forces to be on."""
    data = payload({"condition": condition, "force": True})
    data["savedGroups"] = {"staff": ["ann", "bob"]}
    return bool(client_of("growthbook", data).is_enabled("f", **attributes))


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("coverage", [0, 0.25, 0.5005, 1])
def test_users_of_a_rollout_stay(version: int, coverage: float) -> None:
    """A bucket at the very end of the coverage is in, unless the coverage is 0."""
    rule = {"force": True, "coverage": coverage, "hashVersion": version, "seed": "s"}
    client = client_of("growthbook", payload(rule))
    users = [str(number) for number in range(3000)]
    places = [bucket("s", user, version) for user in users]
    assert version == 2 or coverage != 0.25 or 0.25 in places
    for user, place in zip(users, places, strict=True):
        is_in = coverage > 0 and place <= coverage
        assert client.is_enabled("f", id=user) is is_in, (user, place)
    for attributes in ({}, {"id": ""}, {"id": None}, {"id": 0}):
        assert client.is_enabled("f", **attributes) is False


def test_users_of_an_experiment_stay() -> None:
    """Who is not covered gets what the next rule says."""
    experiment = {
        "variations": ["a", "b", "c"],
        "weights": [0.2, 0.3, 0.5],
        "coverage": 0.6,
        "hashAttribute": "org",
    }
    client = client_of("growthbook", payload(experiment, {"force": "z"}, default="y"))
    for user in USERS:
        place = bucket("f", user)
        starts = {"a": (0, 0.12), "b": (0.2, 0.38), "c": (0.5, 0.8)}
        found = [name for name, (s, e) in starts.items() if s <= place < e]
        assert client.variant("f", org=user) == (found or ["z"])[0], user
    assert client.variant("f", org="") == "z"


def test_namespaces_filters_and_fallbacks_share_users_out_as_before() -> None:
    """A filter replaces the namespace; the fallback counts if there is no first one."""
    ranges = [[0.1, 0.3], [0.5, 0.7]]
    filters = [{"seed": "x", "attribute": "org", "ranges": ranges}]
    rules = [
        {"variations": [1, 2], "namespace": ["n", 0, 0.4], "fallbackAttribute": "b"},
        {"variations": [3, 4], "filters": filters, "namespace": ["n", 0, 0]},
    ]
    client = client_of("growthbook", payload(*rules, default=5))
    for user in USERS:
        in_namespace = bucket("__n", user) < 0.4
        in_filter = any(s <= bucket("x", user, 2) < e for s, e in ranges)
        index = 0 if bucket("f", user) < 0.5 else 1
        expected = 1 + index if in_namespace else 3 + index if in_filter else 5
        assert client.variant("f", id=user, org=user) == expected
        if in_namespace:
            assert client.variant("f", id="", b=user) == expected


def test_overlapping_ranges_belong_to_the_first_variation() -> None:
    """And those of a passthrough variation to the next rules."""
    rule = {
        "variations": ["a", "b", "c"],
        "ranges": [[0, 0.4], [0.2, 0.6], [0.6, 1.2]],
        "meta": [{}, {}, {"passthrough": True}],
    }
    client = client_of("growthbook", payload(rule, default="z"))
    for user in USERS:
        place = bucket("f", user)
        expected = "a" if place < 0.4 else "b" if place < 0.6 else "z"
        assert client.variant("f", id=user) == expected


@pytest.mark.parametrize(
    ("condition", "good", "bad"),
    [
        ({"x": "a"}, ["a"], ["b", None, 1]),
        ({"x": None}, [None], [0, "", False]),
        ({"x": {"$ne": "a"}}, ["b", None], ["a"]),
        ({"x": {"$gt": 3}}, [4, "4.5"], [3, "a", None, [5]]),
        ({"x": {"$lt": 3}}, [2, "2", None], [3, "a"]),
        ({"x": {"$gte": "b"}}, ["b", "c"], ["a", None, 5]),
        ({"x": {"$lt": "10"}}, ["05", 9], ["2", 11, None]),
        ({"x": {"$in": ["a", None]}}, ["a", None, ["b", "a"]], ["b", []]),
        ({"x": {"$in": "abc"}}, [], ["a", None]),
        ({"x": {"$nin": "abc"}}, [], ["a", None]),
        ({"x": {"$nin": ["a"]}}, ["b", None, []], ["a", ["a"]]),
        ({"x": {"$ini": ["A"]}}, ["a", ["a"]], ["b", None]),
        ({"x": {"$nini": ["A"]}}, ["b", None], ["a", ["a"]]),
        ({"x": {"$all": ["a", 1]}}, [[1, "b", "a"]], ["a", ["a"], None]),
        ({"x": {"$alli": ["A"]}}, [["a"]], ["a", None]),
        ({"x": {"$inGroup": "staff"}}, ["ann"], ["eve", None]),
        ({"x": {"$notInGroup": "staff"}}, ["eve", None], ["bob"]),
        ({"x": {"$notInGroup": "other"}}, ["ann", None], []),
        ({"x": {"$regexi": "^A"}}, ["ab"], ["ba", None, 1]),
        ({"x": {"$notRegex": "^a"}}, ["b", "", None], ["a"]),
        ({"x": {"$regex": "(a"}}, [], ["(a", "a", None]),
        ({"x": {"$notRegexi": "(a"}}, ["(a", "b", None], []),
        ({"x": ["a"]}, [["a"]], [["b"], None]),
        ({"x": {"$eq": ["a"]}}, [], [["a"], None]),
        ({"x": {"$exists": True}}, ["", 0], [None]),
        ({"x": {"$exists": False}}, [None], [0]),
        ({"x": {"$type": "null"}}, [None], [0]),
        ({"x": {"$type": "array"}}, [[]], ["", None]),
        ({"x": {"$size": 1}}, [["a"]], [[], "a", None]),
        ({"x": {"$size": {"$gt": 0, "$lt": 2.5}}}, [[1], [1, 2]], [[], [1, 2, 3], "a"]),
        ({"x": {"$size": {"$not": {"$gte": 2}}}}, [[], [1]], [[1, 2], "a"]),
        ({"x": {"$elemMatch": {"$in": ["a"]}}}, [["a", "b"]], ["a", ["b"], None]),
        ({"x": {"$vlt": "1.10.0"}}, ["1.9.0", "v1.2.3-a", None], ["1.10.0"]),
        ({"x": {"$vgte": "2.1"}}, ["2.1.0", "10.0.0"], ["2.0.9", None]),
        ({"x": {"$vne": "1.0.0"}}, ["1.0.1", None], ["v1.0.0", "1.0.0+b"]),
        ({"x": {"$not": {"$gt": 5, "$lt": 8}}}, [5, 9, None], [6]),
        ({"x": {"y": 1}}, [{"y": 1}], [{"y": 2}, {}, None]),
        ({"x.y": {"$lte": 1}}, [{"y": 1}, {}, None], [{"y": 2}]),
        ({"$or": [{"x": 1}, {"x": 2}], "x": {"$ne": 2}}, [1], [2, 3, None]),
        ({"$nor": [{"x": 1}, {"x": 2}]}, [3, None], [1, 2]),
        ({"$and": [{"$not": {"x": 1}}, {"$or": []}]}, [2, None], [1]),
        ({"$nor": []}, [], [1, None]),
        ({}, [1, None], []),
    ],
)
def test_a_condition_and_its_opposite(
    condition: dict[str, Any], good: list[Any], bad: list[Any]
) -> None:
    """An attribute that is missing is null, less than 1, and the version 0."""
    for value, expected in [*((v, True) for v in good), *((v, False) for v in bad)]:
        given = [{"x": value}] if value is not None else [{}, {"x": None}]
        for attributes in given:
            assert holds(condition, **attributes) is expected, value
            assert holds({"$not": condition}, **attributes) is not expected, value


@pytest.mark.parametrize(
    ("default", "forced", "value", "is_on"),
    [
        (False, True, True, True),
        (True, False, None, False),
        (None, "a", "a", True),
        ("a", "", "", False),
        (1, 0, 0, False),
        (0, {}, {}, True),
        ({"a": 1}, [1, {"b": None}], [1, {"b": None}], True),
        ("1", 1, 1, True),
        ("x" * 100, "y" * 100, "y" * 100, True),
    ],
)
def test_a_feature_is_on_if_its_value_is_true_to_javascript(
    default: Any, forced: Any, value: Any, is_on: bool
) -> None:
    """The value is kept, except that null and false are off without one."""
    rule = {"force": forced, "condition": {"beta": True}}
    client = client_of("growthbook", payload(rule, default=default))
    assert client.is_enabled("f", beta=True) is is_on
    assert client.variant("f", beta=True) == value
    assert client.variant("f", beta=False) == (None if default is False else default)


def test_a_feature_follows_its_prerequisite() -> None:
    """A gate serves null, and without a gate the rule is left out."""
    parent = {"defaultValue": "x", "rules": [{"force": "y", "condition": {"b": 1}}]}
    for gate, otherwise in [(True, None), (False, "z")]:
        condition = {"value": {"$in": ["y", "w"]}}
        needs = {"id": "p", "condition": condition, "gate": gate}
        rules = [{"parentConditions": [needs], "force": "a"}, {"force": "z"}]
        client = client_of("growthbook", payload(*rules, default="d", p=parent))
        assert client.variant("f", b=1) == "a"
        assert client.variant("f", b=2) == otherwise
        client.disable("p")
        assert client.variant("f", b=1) == otherwise
    needs = {"id": "q", "condition": {"value": None}, "gate": True}
    data = payload({"parentConditions": [needs]}, default=True)
    assert client_of("growthbook", data).is_enabled("f") is True


def test_an_experiment_of_its_own_is_a_flag() -> None:
    """Outside of it, and before it runs, there is the first variation."""
    experiment = {"key": "e", "variations": [0, 1], "weights": [0, 1], "coverage": 0.5}
    for change, values in [({}, {0, 1}), ({"status": "draft"}, {0})]:
        client = client_of("growthbook", {"experiments": [{**experiment, **change}]})
        assert {client.variant("e", id=user) for user in USERS} == values
        assert client.variant("e") == 0


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({"force": 1, "condition": {"x": {"$near": 1}}}, "'$near'"),
        (
            {"force": 1, "condition": {"x": {"$elemMatch": {"y": 1}}}},
            "one entry of 'x'",
        ),
        ({"force": 1, "condition": {"x": {"$regex": "(?!a)"}}}, "lookaround"),
        ({"force": 1, "condition": {"x": {"$veq": "1.2"}}}, "the version of 'x'"),
        ({"variations": [1, 2], "minBucketVersion": 3}, "sticky bucket"),
        ({"variations": [1, 2], "urlPatterns": []}, "'urlPatterns'"),
        ({"parentConditions": [{"id": "f", "condition": {}}]}, "itself: f -> f"),
        ({"variations": ["", 0]}, 'count as off: ["", 0'),
    ],
)
def test_what_cannot_be_said_is_reported(rule: Any, problem: str) -> None:
    """Such a feature is off, and so is one that depends on it."""
    needs = {"id": "f", "condition": {"value": {"$ne": 1}}}
    child = {"defaultValue": 5, "rules": [{"parentConditions": [needs], "force": 6}]}
    data = payload({"force": 2}, rule, default=None, c=child)
    for found in flags_from("growthbook", data):
        assert not found.is_enabled
        assert problem in found.problems[0]


def test_another_file_is_refused() -> None:
    """The error says what to do with an encrypted one."""
    for data in ([], {}, {"features": 5}, {"experiments": [{}]}, None):
        with pytest.raises(InvalidArgumentError, match="not a payload of GrowthBook"):
            only("growthbook", data)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="decrypt it first"):
        only("growthbook", {"encryptedFeatures": "a.b"})
