# SPDX-License-Identifier: Apache-2.0
"""Flags of LaunchDarkly become flags that serve the same variations."""

from __future__ import annotations

from typing import Any

import pytest
from imported import USERS, client_of, launchdarkly_bucket, only

from flipper.exceptions import InvalidArgumentError
from flipper.importers import flags_from

NAME = "checkout"
KINDS = ["old", "new", "newest"]
OLD, NEW, NEWEST = range(3)


def payload(**more: Any) -> dict[str, Any]:
    """Return a payload with one flag, which serves "old" if nothing else is said."""
    flag = {
        "key": NAME,
        "on": True,
        "variations": KINDS,
        "offVariation": OLD,
        "fallthrough": {"variation": OLD},
        "salt": "pepper",
    }
    return {"flags": {NAME: {**flag, **more}}, "segments": {}}


def serve(data: dict[str, Any], **context: Any) -> Any:
    """Return the value that the flag serves."""
    return client_of("launchdarkly", data).variant(NAME, "nothing", **context)


def clause(attribute: str, operator: str, *values: Any, **more: Any) -> dict[str, Any]:
    """Return a clause."""
    return {"attribute": attribute, "op": operator, "values": list(values), **more}


def matches(*clauses: dict[str, Any], **context: Any) -> bool:
    """Return whether a rule with these clauses decides."""
    rule = {"clauses": list(clauses), "variation": NEW}
    return bool(serve(payload(rules=[rule]), **context) == "new")


def weighted(*weights: int, **more: Any) -> dict[str, Any]:
    """Return a rollout over the variations, in order."""
    entries = [{"variation": n, "weight": each} for n, each in enumerate(weights)]
    return {"rollout": {"variations": entries, **more}}


def test_a_flag_that_is_off_serves_its_off_variation() -> None:
    """Its rules are kept for when it is switched on."""
    data = payload(on=False, offVariation=NEW, fallthrough={"variation": NEWEST})
    client = client_of("launchdarkly", data)
    assert client.variant(NAME, "nothing") == "new"
    assert client.is_enabled(NAME) is False
    client.enable(NAME)
    assert client.variant(NAME, "nothing") == "newest"
    assert client.is_enabled(NAME) is True
    assert serve(payload(on=False, offVariation=None)) == "nothing"


def test_a_flag_of_truth_values_is_on_if_its_value_is_true() -> None:
    """Whatever its off variation is."""
    for off in (0, 1, None):
        more = {"variations": [True, False], "offVariation": off}
        for index, value in enumerate([True, False]):
            data = payload(**more, fallthrough={"variation": index})
            client = client_of("launchdarkly", data)
            assert client.is_enabled(NAME) is value
            assert client.variant(NAME) is value


def test_values_that_are_no_different_texts_are_numbered() -> None:
    """Variants need names."""
    for values in ([{"a": 1}, None, 3], ["x", "x", "y"], ["", "a", "b"]):
        flag = only("launchdarkly", payload(variations=values))
        assert flag.rules is not None
        numbers = [f"variation-{n}" for n in range(3)]
        assert flag.rules.variants == dict(zip(numbers, values, strict=True))
        assert serve(payload(variations=values)) == values[0]


def test_targets_come_before_rules_in_their_order() -> None:
    """An entry of `contextTargets` without users stands for one of `targets`."""
    rule = {"clauses": [clause("key", "in", "u1", "u2", "u3")], "variation": OLD}
    targets = [{"values": ["u1", "u2"], "variation": NEW}]
    data = payload(rules=[rule], targets=targets, fallthrough={"variation": NEWEST})
    served = [serve(data, key=key) for key in ("u1", "u2", "u3", "u4")]
    assert served == ["new", "new", "old", "newest"]
    data["flags"][NAME]["contextTargets"] = [
        {"contextKind": "org", "values": ["acme"], "variation": OLD},
        {"contextKind": "user", "values": [], "variation": NEW},
    ]
    assert serve(data, key="u1") == "new"
    assert serve(data, key="u1", org={"key": "acme"}) == "old"
    assert serve(data, key="u9", org={"key": "other"}) == "newest"


@pytest.mark.parametrize(
    ("operator", "values", "holding", "others"),
    [
        ("in", ["a", 3], ["a", 3, ["x", "a"]], ["b", "3", ["x"]]),
        ("startsWith", ["a", "b"], ["ax", "bx"], ["xa", 3]),
        ("endsWith", ["a"], ["xa"], ["ax"]),
        ("contains", ["a"], ["xax"], ["x"]),
        ("matches", ["^a.c$", "x"], ["abc", "x"], ["abcd"]),
        ("lessThan", [5], [4, 4.5], [5, "4", True]),
        ("lessThanOrEqual", [5], [5], [6]),
        ("greaterThan", [5, 3], [4, 6], [3, "4"]),
        ("greaterThanOrEqual", [5], [5], [4]),
        ("semVerEqual", ["2.0"], ["2.0.0"], ["2.0.1", 2]),
        ("semVerLessThan", ["2.0.0"], ["2.0.0-beta", "1.9.9"], ["2.0.0"]),
        ("semVerGreaterThan", ["2"], ["2.0.1"], ["2.0.0"]),
        (
            "before",
            ["2026-01-01T00:00:00Z"],
            ["2025-12-31T23:59:59Z", 1_767_225_599_999],
            ["2026-01-01T00:00:00Z", 1_767_225_600_000, "1", True],
        ),
        (
            "after",
            [1_767_225_600_000],
            ["2026-01-01T00:00:01Z", 1_767_225_600_001],
            ["2026-01-01T00:00:00Z", 1_767_225_600_000, "9999999999999"],
        ),
    ],
)
def test_a_clause_matches_the_same_values(
    operator: str, values: list[Any], holding: list[Any], others: list[Any]
) -> None:
    """A negated one matches all others, but nobody without the attribute."""
    plain = clause("a", operator, *values)
    negated = {**plain, "negate": True}
    for value in holding:
        assert matches(plain, a=value), value
        assert not matches(negated, a=value), value
    for value in others:
        assert not matches(plain, a=value), value
        assert matches(negated, a=value), value
    for context in ({}, {"a": None}):
        assert not matches(plain, **context)
        assert not matches(negated, **context)


def test_all_clauses_of_a_rule_have_to_match() -> None:
    """A rule without clauses matches everybody."""
    both = (clause("a", "in", 1), clause("b", "in", 2))
    assert matches(*both, a=1, b=2)
    assert not matches(*both, a=1)
    assert matches()


def test_attributes_are_found_by_kind_and_path() -> None:
    """Without a kind, the attribute is a name, also with a slash."""
    context = {
        "address": {"city": "Oslo"},
        "/address/city": "Rome",
        "org": {"key": "acme", "a/b": {"n": 1}},
    }
    user = {"contextKind": "user"}
    org = {"contextKind": "org"}
    assert matches(clause("/address/city", "in", "Oslo", **user), **context)
    assert matches(clause("/address/city", "in", "Rome"), **context)
    assert matches(clause("key", "in", "acme", **org), **context)
    assert matches(clause("/a~1b/n", "in", 1, **org), **context)
    assert not matches(clause("key", "in", "acme"), **context)


def segment(**more: Any) -> dict[str, Any]:
    """Return the segments of a payload."""
    return {"staff": {"key": "staff", "salt": "s", **more}}


def test_a_segment_has_the_same_members() -> None:
    """Who is listed is in; of the others, who is excluded is out; then rules decide."""
    rules = [{"clauses": [clause("plan", "in", "pro")]}]
    more = {"included": ["u1"], "excluded": ["u1", "u2"], "rules": rules}
    more["includedContexts"] = [{"contextKind": "org", "values": ["acme"]}]
    data = payload(
        rules=[{"clauses": [clause("", "segmentMatch", "staff")], "variation": NEW}]
    )
    data["segments"] = segment(**more)
    pro = {"plan": "pro"}
    assert serve(data, key="u1") == serve(data, key="u3", **pro) == "new"
    assert serve(data, key="u2", org={"key": "acme"}) == "new"
    assert serve(data, key="u2", **pro) == serve(data, key="u3") == "old"
    data["flags"][NAME]["rules"][0]["clauses"][0]["negate"] = True
    assert serve(data, key="u1") == "old"
    assert serve(data, key="u2", **pro) == serve(data, key="u3") == "new"


def test_a_segment_without_members_matches_nobody() -> None:
    """No list and no rule."""
    data = payload(
        rules=[{"clauses": [clause("", "segmentMatch", "staff")], "variation": NEW}]
    )
    data["segments"] = segment()
    assert serve(data, key="u1") == "old"


@pytest.mark.parametrize("by", [None, "team"])
def test_a_share_of_a_segment_has_the_same_members(by: str | None) -> None:
    """Without the attribute, a context is in the first bucket."""
    rule = {"clauses": [], "weight": 30_000, "bucketBy": by}
    data = payload(
        rules=[{"clauses": [clause("", "segmentMatch", "staff")], "variation": NEW}]
    )
    data["segments"] = segment(rules=[rule])
    client = client_of("launchdarkly", data)
    for user in USERS:
        is_in = launchdarkly_bucket(f"staff.s.{user}") < 0.3
        found = client.variant(NAME, **{by or "key": user})
        assert found == ("new" if is_in else "old")
    assert client.variant(NAME) == ("old" if by is None else "new")


def test_a_share_of_a_segment_has_contexts_of_its_kind_only() -> None:
    """Without a context of this kind, nobody is in."""
    rule = {"clauses": [], "weight": 1, "bucketBy": "n", "rolloutContextKind": "org"}
    data = payload(
        rules=[{"clauses": [clause("", "segmentMatch", "staff")], "variation": NEW}]
    )
    data["segments"] = segment(rules=[rule])
    assert serve(data, key="u1", n=5) == "old"
    assert serve(data, key="u1", org={"key": "acme", "n": True}) == "new"
    assert launchdarkly_bucket("staff.s.x") > 0.00001
    assert serve(data, key="u1", org={"key": "acme", "n": "x"}) == "old"


@pytest.mark.parametrize(
    ("more", "argument", "start"),
    [
        ({}, "key", f"{NAME}.pepper"),
        ({"seed": 61}, "key", "61"),
        ({"bucketBy": "team"}, "team", f"{NAME}.pepper"),
        ({"bucketBy": "team", "kind": "experiment", "seed": 61}, "key", "61"),
        ({"contextKind": "org"}, "org.key", f"{NAME}.pepper"),
        ({"contextKind": "org", "bucketBy": "/a/b"}, "org.a.b", f"{NAME}.pepper"),
    ],
)
def test_a_rollout_serves_every_user_the_same(
    more: dict[str, Any], argument: str, start: str
) -> None:
    """By the key or another attribute, with the salt of the flag or a seed."""
    data = payload(fallthrough=weighted(10_000, 30_000, 60_000, **more))
    client = client_of("launchdarkly", data)
    served = set()
    for user in USERS:
        bucket = launchdarkly_bucket(f"{start}.{user}")
        wanted = "old" if bucket < 0.1 else "new" if bucket < 0.4 else "newest"
        context: Any = user
        for part in reversed(argument.split(".")):
            context = {part: context}
        assert client.variant(NAME, **context) == wanted
        served.add(wanted)
    assert served == {*KINDS}


def test_what_cannot_be_hashed_is_in_the_first_bucket() -> None:
    """Of the first variation with a weight; a user without a key is no user."""
    data = payload(fallthrough=weighted(0, 1, 99_999, bucketBy="team"))
    client = client_of("launchdarkly", data)
    for context in ({}, {"team": None}, {"team": True}, {"team": ["a"]}):
        assert client.variant(NAME, key="u1", **context) == "new"
    number = launchdarkly_bucket(f"{NAME}.pepper.7")
    assert client.variant(NAME, team=7) == ("new" if number < 0.00001 else "newest")


def test_weights_that_are_left_over_belong_to_the_last_variation() -> None:
    """Such as by rounding; and all of them, if no variation has a weight."""
    client = client_of("launchdarkly", payload(fallthrough=weighted(1, 1, 1)))
    found = [client.variant(NAME, key=user) for user in USERS]
    wanted = []
    for user in USERS:
        bucket = launchdarkly_bucket(f"{NAME}.pepper.{user}")
        wanted.append(KINDS[min(2, int(bucket * 100_000))])
    assert found == wanted
    none = weighted(0, 0, bucketBy="team")
    assert serve(payload(fallthrough=none), team="a") == "new"
    assert serve(payload(fallthrough=none)) == "new"


def with_other(index: int, **more: Any) -> dict[str, Any]:
    """Return a payload whose flag needs another one to serve a variation."""
    data = payload(
        prerequisites=[{"key": "other", "variation": index}],
        fallthrough={"variation": NEWEST},
    )
    other = {"key": "other", "on": True, "variations": [True, False], "salt": "x"}
    other |= {"offVariation": 1, "fallthrough": {"variation": 0}}
    data["flags"]["other"] = {**other, **more}
    return data


def test_a_prerequisite_has_to_serve_its_variation() -> None:
    """Else the flag serves its off variation."""
    assert serve(with_other(0)) == "newest"
    assert serve(with_other(0, on=False)) == "old"
    rules = [{"clauses": [clause("beta", "in", True)], "variation": 0}]
    data = with_other(0, rules=rules, fallthrough={"variation": 1})
    assert serve(data, beta=True) == "newest"
    assert serve(data, beta=False) == serve(data) == "old"
    texts = with_other(1, variations=KINDS, offVariation=None)
    assert serve(texts) == "old"
    texts["flags"]["other"]["fallthrough"] = {"variation": 1}
    assert serve(texts) == "newest"


def test_a_flag_whose_prerequisite_cannot_be_said_is_off() -> None:
    """It would serve its off variation to everybody."""
    data = with_other(0, fallthrough={"variation": 5})
    data["flags"]["last"] = {
        **payload()["flags"][NAME],
        "prerequisites": [{"key": NAME, "variation": NEWEST}],
    }
    problems = {flag.feature_name: flag for flag in flags_from("launchdarkly", data)}
    assert problems["other"].problems == (
        "fallthrough: it serves the variation 5, which it does not have",
    )
    assert problems[NAME].problems == ("its prerequisite 'other' cannot be said",)
    assert problems["last"].problems == (f"its prerequisite {NAME!r} cannot be said",)
    assert not any(flag.is_enabled for flag in problems.values())


def test_a_payload_of_the_stream_and_fixed_values_are_read() -> None:
    """The stream has the flags under `data`; a file may have values only."""
    assert serve({"path": "/", "data": payload()}) == "old"
    values = {"yes": True, "no": False, "limit": 5}
    client = client_of("launchdarkly", {"flagValues": values})
    assert client.evaluate_all() == values
    assert client.is_enabled("limit") is True


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        (
            {"variations": [True, False], "on": False, "offVariation": 0},
            "it is off and serves true",
        ),
        ({"fallthrough": {}}, "fallthrough: its definition has another form"),
        ({"fallthrough": {"variation": -1}}, "the variation -1"),
        ({"offVariation": 8}, "IndexError"),
        ({"variations": None}, "another form"),
        ({"prerequisites": [{"key": "x", "variation": 0}]}, "'x' is not in the file"),
        ({"rules": [{"clauses": [clause("a", "newOp", 1)]}]}, "rule 1: the operator"),
        ({"rules": [{"clauses": [clause("kind", "in", "user")]}]}, "kind of a context"),
        ({"rules": [{"clauses": [clause("a", "matches", "(")]}]}, "flipper refuses"),
        ({"rules": [{"clauses": [clause("a", "before", "soon")]}]}, "flipper refuses"),
        ({"rules": [{"clauses": [clause("a", "lessThan", "5")]}]}, "with a number"),
        ({"rules": [{"clauses": [clause("", "segmentMatch", "x")]}]}, "'x' is not in"),
        (
            {"rules": [{"clauses": [clause("/a//b", "in", 1, contextKind="user")]}]},
            "'/a",
        ),
        ({"rules": [{"variation": 0}]}, "rule 1: its definition"),
    ],
)
def test_what_cannot_be_said_is_a_problem_of_the_flag(
    more: dict[str, Any], problem: str
) -> None:
    """The flag is then off, also if somebody enables it."""
    flag = only("launchdarkly", payload(**more))
    assert len(flag.problems) == 1
    assert problem in flag.problems[0]
    assert flag.is_enabled is False
    assert flag.rules is not None
    assert (len(flag.rules), flag.rules.otherwise) == (0, False)


def test_every_part_that_cannot_be_said_is_a_problem() -> None:
    """So that nobody has to import once for each of them."""
    odd = {"clauses": [clause("a", "newOp", 1)], "variation": NEW}
    flag = only("launchdarkly", payload(rules=[odd, odd], fallthrough={"variation": 9}))
    places = [problem.partition(":")[0] for problem in flag.problems]
    assert places == ["rule 1", "rule 2", "fallthrough"]


def test_a_prerequisite_on_the_off_variation_is_a_problem() -> None:
    """A flag that is off serves it too, but does not meet the prerequisite."""
    [flag, _] = flags_from("launchdarkly", with_other(1))
    assert "has to be on and serve what it serves if off" in flag.problems[0]


@pytest.mark.parametrize(
    ("segments", "problem"),
    [
        (segment(unbounded=True), "the members of the big segment 'staff'"),
        (
            segment(rules=[{"clauses": [clause("", "segmentMatch", "staff")]}]),
            "the segment 'staff' refers to itself",
        ),
    ],
)
def test_a_segment_that_cannot_be_said_is_a_problem(
    segments: dict[str, Any], problem: str
) -> None:
    """Of every flag that uses it."""
    rule = {"clauses": [clause("", "segmentMatch", "staff")], "variation": NEW}
    data = {**payload(rules=[rule]), "segments": segments}
    assert problem in only("launchdarkly", data).problems[0]


@pytest.mark.parametrize("data", [None, [], {"features": {}}, {"flags": []}])
def test_another_file_is_refused(data: Any) -> None:
    """It would seem to be a file without flags."""
    with pytest.raises(InvalidArgumentError, match="not a file of LaunchDarkly"):
        list(flags_from("launchdarkly", data))
