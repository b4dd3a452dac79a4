# SPDX-License-Identifier: Apache-2.0
"""Flags of Unleash become flags with rules, and every user keeps the answer."""

from __future__ import annotations

from typing import Any

import pytest
from imported import USERS, client_of, murmur3, only

from flipper.exceptions import InvalidArgumentError
from flipper.importers import flags_from

VARIANT_SEED = 86028157


def flag(*strategies: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a flag of the client API."""
    return {"name": "f", "enabled": True, "strategies": list(strategies), **more}


def file(*flags: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a reply of the client API."""
    return {"version": 2, "features": list(flags), **more}


def is_on(constraint: dict[str, Any], **context: Any) -> bool:
    """Return whether a flag is on that has one constraint on the field `x`."""
    strategy = {"name": "default", "constraints": [{"contextName": "x", **constraint}]}
    return bool(client_of("unleash", file(flag(strategy))).is_enabled("f", **context))


def variant(name: str, weight: int, **more: Any) -> dict[str, Any]:
    """Return a variant."""
    return {"name": name, "weight": weight, **more}


@pytest.mark.parametrize(
    ("strategy", "by"),
    [
        ({"name": "flexibleRollout", "parameters": {"rollout": "30"}}, "userId"),
        ({"name": "flexibleRollout", "parameters": {"rollout": 30}}, "sessionId"),
        (
            {
                "name": "flexibleRollout",
                "parameters": {"rollout": 30, "stickiness": "org"},
            },
            "org",
        ),
        (
            {
                "name": "gradualRolloutUserId",
                "parameters": {"percentage": "30", "groupId": "f"},
            },
            "userId",
        ),
    ],
)
def test_users_of_a_rollout_stay(strategy: dict[str, Any], by: str) -> None:
    """The bucket from 1 to 100 is murmur3 of the group and the value."""
    client = client_of("unleash", file(flag(strategy)))
    answers = [client.is_enabled("f", **{by: user}) for user in USERS]
    assert answers == [murmur3(f"f:{user}") % 100 + 1 <= 30 for user in USERS]
    assert client.is_enabled("f") is False


def test_users_of_variants_stay() -> None:
    """The place among the weights is murmur3 with a seed of its own."""
    variants = [variant("a", 100), variant("b", 0), variant("c", 233)]
    data = file(flag({"name": "default"}, variants=variants))
    client = client_of("unleash", data)
    for user in USERS:
        place = murmur3(f"f:{user}", VARIANT_SEED) % 333 + 1
        assert client.variant("f", userId=user) == ("a" if place <= 100 else "c")
    assert client.is_enabled("f") is True
    assert client.variant("f") is True  # Unleash would choose one at random


def test_variants_of_a_strategy_come_first() -> None:
    """They are shared out by the group and the stickiness of the strategy."""
    parameters = {"rollout": "100", "groupId": "g", "stickiness": "org"}
    own = [variant("a", 1), variant("b", 1)]
    strategy = {"name": "flexibleRollout", "parameters": parameters, "variants": own}
    data = file(flag(strategy, variants=[variant("z", 1)]))
    client = client_of("unleash", data)
    for user in USERS[:50]:
        expected = "ab"[murmur3(f"g:{user}", VARIANT_SEED) % 2]
        assert client.variant("f", org=user) == expected
    assert client.is_enabled("f", userId="1") is False


def test_payloads_are_values() -> None:
    """A number and JSON are read; variants of one name may have different payloads."""
    payloads: list[tuple[dict[str, Any], Any]] = [
        ({"type": "string", "value": "1"}, "1"),
        ({"type": "number", "value": "1.5"}, 1.5),
        ({"type": "json", "value": '{"a": [1]}'}, {"a": [1]}),
        ({"type": "csv", "value": "a,b"}, "a,b"),
    ]
    strategies = [
        {
            "name": "userWithId",
            "parameters": {"userIds": f"x, {number}"},
            "variants": [variant("v", 5, payload=payload)],
        }
        for number, (payload, _) in enumerate(payloads)
    ]
    client = client_of("unleash", file(flag(*strategies)))
    for number, (_, value) in enumerate(payloads):
        assert client.variant("f", userId=str(number)) == value
    assert client.variant("f", "none", userId="9") == "none"


def test_an_override_comes_before_the_weights() -> None:
    """For the users that it names, and for no other."""
    override = [{"contextName": "plan", "values": ["pro", "team"]}]
    variants = [variant("a", 1), variant("b", 0, overrides=override)]
    client = client_of("unleash", file(flag(variants=variants)))
    assert client.variant("f", plan="team", userId="1") == "b"
    assert client.variant("f", plan="free", userId="1") == "a"


@pytest.mark.parametrize(
    ("constraint", "good", "bad"),
    [
        ({"operator": "IN", "values": ["a", "b"]}, ["b"], ["c", None]),
        ({"operator": "NOT_IN", "values": ["a"]}, ["b", None], ["a"]),
        ({"operator": "IN", "values": []}, [], ["a", None]),
        ({"operator": "STR_ENDS_WITH", "values": ["Z"]}, ["xZ"], ["xz", None]),
        (
            {"operator": "STR_CONTAINS", "values": ["Z"], "caseInsensitive": True},
            ["xzx"],
            ["x", None],
        ),
        ({"operator": "NUM_LT", "value": "5"}, ["4.5", 4], ["5", "a", None]),
        ({"operator": "SEMVER_GT", "value": "1.9.0"}, ["1.10.0"], ["v2.0.0", "2"]),
        ({"operator": "IN_CIDR", "values": ["no", "10.1.2.3/8"]}, ["10.9.9.9"], ["::"]),
        ({"operator": "IN_CIDR", "values": ["no"]}, [], ["10.9.9.9", None]),
        (
            {"operator": "REGEX", "value": "^(?i)a[[:digit:]]$"},
            ["A1"],
            ["a", "a\u0661"],
        ),
        ({"operator": "REGEX", "value": r"^\d[\w-]$"}, ["1-", "1a"], ["\u0661a", None]),
        ({"operator": "REGEX", "value": "B", "caseInsensitive": True}, ["abc"], ["a"]),
    ],
)
def test_a_constraint_and_its_opposite(
    constraint: dict[str, Any], good: list[Any], bad: list[Any]
) -> None:
    """An inverted constraint holds wherever the constraint does not."""
    for value, holds in [*((v, True) for v in good), *((v, False) for v in bad)]:
        context = {} if value is None else {"x": value}
        assert is_on(constraint, **context) is holds, value
        inverted = {**constraint, "inverted": True}
        assert is_on(inverted, **context) is not holds, value


def test_a_date_is_compared_only_if_it_is_given() -> None:
    """Unleash fills in the time of the question; without it, the flag is off."""
    after = {"operator": "DATE_AFTER", "value": "2026-01-31T12:00:00.000Z"}
    for is_inverted, moment in [(False, "2026-02-01"), (True, "2026-01-01")]:
        constraint = {**after, "inverted": is_inverted}
        assert is_on(constraint, x=moment) is True
        assert is_on(constraint) is False


def test_all_constraints_of_a_segment_have_to_hold() -> None:
    """As if the strategy had them itself."""
    plan = {"contextName": "plan", "operator": "IN", "values": ["pro"]}
    staff = {"contextName": "staff", "operator": "IN", "values": ["1"]}
    strategy = {"name": "default", "segments": [7], "constraints": [staff]}
    data = file(flag(strategy), segments=[{"id": 7, "constraints": [plan]}])
    client = client_of("unleash", data)
    assert client.is_enabled("f", plan="pro", staff="1") is True
    assert client.is_enabled("f", plan="free", staff="1") is False
    assert client.is_enabled("f", plan="pro") is False


def test_a_child_follows_its_parent() -> None:
    """Also after the parent has changed here."""
    parent = flag(name="p", variants=[variant("a", 1)])
    wanted: list[tuple[dict[str, Any], bool]] = [
        ({}, True),
        ({"enabled": False}, False),
        ({"variants": ["a", "b"]}, True),
        ({"variants": ["b"]}, False),
        ({"variants": ["disabled"]}, False),
    ]
    for dependency, answer in wanted:
        child = flag(dependencies=[{"feature": "p", **dependency}])
        client = client_of("unleash", file(child, parent))
        assert client.is_enabled("f") is answer, dependency
        client.disable("p")
        assert client.is_enabled("f") is (dependency == {"enabled": False})
    missing = file(flag(dependencies=[{"feature": "q", "enabled": False}]))
    assert client_of("unleash", missing).is_enabled("f") is False


@pytest.mark.parametrize(
    ("strategy", "problem"),
    [
        ({"name": "mine"}, "'mine' is not one"),
        ({"name": "gradualRolloutRandom", "parameters": {"percentage": 5}}, "random"),
        (
            {
                "name": "flexibleRollout",
                "parameters": {"rollout": 5, "stickiness": "random"},
            },
            "5 % of the questions at random",
        ),
        (
            {
                "name": "default",
                "constraints": [
                    {"contextName": "x", "operator": "REGEX", "value": "(?=a)"}
                ],
            },
            "lookaround",
        ),
        (
            {
                "name": "default",
                "variants": [
                    variant("a", 1, stickiness="random"),
                    variant("b", 1),
                ],
            },
            "anew for every question",
        ),
        ({"name": "default", "segments": [1]}, "does not say what its segment 1 is"),
        ({"name": "default", "segments": [9]}, "does not say what its segment 9 is"),
    ],
)
def test_what_cannot_be_said_is_reported(strategy: Any, problem: str) -> None:
    """Such a flag is off, and so is a flag that depends on it."""
    child = flag(name="c", dependencies=[{"feature": "f", "enabled": False}])
    segments = [{"id": 1, "name": "staff"}]
    data = file(flag({"name": "default"}, strategy), child, segments=segments)
    found, dependent = flags_from("unleash", data)
    assert not found.is_enabled
    assert "strategy 2" in found.problems[0]
    assert problem in found.problems[0]
    assert not dependent.is_enabled
    assert problem in dependent.problems[0]


def test_an_export_is_read_as_the_reply_of_the_client_api() -> None:
    """Its strategies are sorted, and those that are disabled do not apply."""
    rollout = {"name": "flexibleRollout", "featureName": "f", "sortOrder": 2}
    staff = {"name": "userWithId", "featureName": "f", "sortOrder": 1, "title": "Staff"}
    export = {
        "features": [{"name": "f"}, {"name": "g"}],
        "featureStrategies": [
            {**rollout, "parameters": {"rollout": 20}},
            {**staff, "parameters": {"userIds": "ann"}},
            {"name": "default", "featureName": "f", "disabled": True},
        ],
        "featureEnvironments": [{"featureName": "f", "enabled": True}],
    }
    first, second = flags_from("unleash", export)
    assert first.is_enabled
    assert first.rules is not None
    assert [rule.name for rule in first.rules] == ["Staff", None]
    assert second.is_enabled is False


def test_another_file_is_refused() -> None:
    """The error says what the file lacks."""
    for data in ([], {}, {"features": 5}, {"features": [{"enabled": True}]}, None):
        with pytest.raises(InvalidArgumentError, match="not a file of Unleash"):
            only("unleash", data)  # type: ignore[arg-type]
