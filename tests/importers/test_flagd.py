# SPDX-License-Identifier: Apache-2.0
"""Flag definitions of flagd become flags that serve the same variants."""

from __future__ import annotations

import math
from typing import Any

import pytest
from imported import USERS, client_of, murmur3, only

from flipper.exceptions import InvalidArgumentError
from flipper.importers import flags_from

COLOURS = {"red": "#f00", "green": "#0f0", "blue": "#00f"}
SWITCH = {"on": True, "off": False}
NAME = "banner"


def definitions(targeting: Any = None, **more: Any) -> dict[str, Any]:
    """Return a file with one flag, whose default variant is red."""
    flag = {"state": "ENABLED", "variants": COLOURS, "defaultVariant": "red", **more}
    if targeting is not None:
        flag["targeting"] = targeting
    return {"flags": {NAME: flag}}


def variant(data: dict[str, Any], origin: str = "flagd", **context: Any) -> Any:
    """Return the name of the variant that the flag serves."""
    value = client_of(origin, data).variant(NAME, "nothing", **context)
    return {value: name for name, value in COLOURS.items()}.get(value, value)


def holds(logic: Any, **context: Any) -> bool:
    """Return whether the result of an operation is true, for the flag is then blue."""
    return bool(variant(definitions({"if": [logic, "blue"]}), **context) == "blue")


def test_state_and_default_variant_are_kept() -> None:
    """A flag that is disabled leaves the answer to the code, as in flagd."""
    assert variant(definitions()) == "red"
    assert variant(definitions({})) == "red"
    client = client_of("flagd", definitions(state="DISABLED"))
    assert client.variant(NAME, "nothing") == "nothing"
    assert client.is_enabled(NAME) is False
    assert variant(definitions(defaultVariant=None)) == "nothing"
    assert variant(definitions("green")) == "green"


def test_a_flag_of_truth_values_is_on_if_its_value_is_true() -> None:
    """Also if several of its variants are false."""
    variants = {**SWITCH, "never": False}
    targeting = {"if": [{"var": "beta"}, "on", {"var": "old"}, "never"]}
    data = definitions(targeting, variants=variants, defaultVariant="off")
    client = client_of("flagd", data)
    assert client.is_enabled(NAME, beta=1) is True
    assert client.variant(NAME, beta=1) is True
    for context in ({}, {"old": True}, {"beta": 0}):
        assert client.is_enabled(NAME, **context) is False
        assert client.variant(NAME, **context) is False


def test_each_branch_of_an_if_serves_its_own_variant() -> None:
    """An `if` within a branch without an own `else` serves the default variant."""
    inner = {"if": [{"==": [{"var": "plan"}, "pro"]}, "blue"]}
    targeting = {"if": [{"var": "beta"}, inner, {"var": "old"}, "green", None]}
    data = definitions(targeting)
    assert variant(data, beta=True, plan="pro", old=True) == "blue"
    assert variant(data, beta=True, plan="free", old=True) == "red"
    assert variant(data, plan="pro", old=True) == "green"
    assert variant(data, plan="pro") == "red"


def test_a_comparison_alone_serves_true_or_false() -> None:
    """These are the names of the variants then."""
    variants = {"true": True, "false": False}
    logic = {"and": [{">=": [{"var": "age"}, 18]}, {"!": {"var": "banned"}}]}
    client = client_of(
        "flagd", definitions(logic, variants=variants, defaultVariant="false")
    )
    assert client.is_enabled(NAME, age=18) is True
    assert client.is_enabled(NAME, age=18, banned=True) is False
    assert client.is_enabled(NAME) is False
    logic["and"].append(False)
    client = client_of(
        "flagd", definitions(logic, variants=variants, defaultVariant="true")
    )
    assert client.is_enabled(NAME, age=18) is False


@pytest.mark.parametrize(
    ("logic", "holding", "others"),
    [
        ({"var": "a"}, [1, "0", [0], True], [0, "", [], None, False]),
        ({"!": {"var": "a"}}, [0, ""], [1, "x"]),
        ({"!!": [{"var": "a"}]}, ["x"], [""]),
        ({"==": [{"var": "a"}, "x"]}, ["x"], ["X", 1]),
        ({"==": ["x", {"var": "a"}]}, ["x"], ["X"]),
        ({"==": [{"var": "a"}, 5]}, [5, 5.0, "5"], [6, "x", None]),
        ({"==": [{"var": "a"}, "5"]}, [5, "5"], [6, "6"]),
        ({"===": [{"var": "a"}, 5]}, [5], ["5", 6]),
        ({"===": [{"var": ["a", None]}, 5]}, [5], ["5", 6]),
        ({"!=": [{"var": "a"}, "x"]}, ["y", None, 3], ["x"]),
        ({"!==": [{"var": "a"}, 5]}, ["5", 6], [5]),
        ({"==": [{"var": "a"}, None]}, [None], ["", 0]),
        ({">": [{"var": "a"}, 5]}, [6, "6"], [5, "x", None]),
        ({"<": [5, {"var": "a"}]}, [6], [5, 4]),
        ({"<=": [1, {"var": "a"}, 3]}, [1, 2, 3], [0, 4]),
        ({"in": [{"var": "a"}, ["x", "y"]]}, ["x", "y"], ["z", "xy"]),
        ({"in": ["x", {"var": "a"}]}, ["axb", ["x"]], ["y", ["axb"], 3]),
        ({"in": [7, {"var": "a"}]}, [[6, 7]], [[8], "x"]),
        ({"starts_with": [{"var": "a"}, "ab"]}, ["abc"], ["cab", 3]),
        ({"ends_with": [{"var": "a"}, "ab"]}, ["cab"], ["abc"]),
        ({"sem_ver": [{"var": "a"}, ">=", "1.2.0"]}, ["1.2.0", "2.0.0"], ["1.1.9", 3]),
        ({"sem_ver": [{"var": "a"}, "=", "1.2"]}, ["1.2.0"], ["1.2.1"]),
        ({"sem_ver": [{"var": "a"}, "!=", "1.2.0"]}, ["1.2.1"], ["1.2.0", "x"]),
        ({"sem_ver": [{"var": "a"}, "^", "1.2.0"]}, ["1.0.0", "1.9.9"], ["2.0.0"]),
        ({"sem_ver": [{"var": "a"}, "~", "1.2.3"]}, ["1.2.0", "1.2.9"], ["1.3.0"]),
        (
            {"or": [{"==": [{"var": "a"}, 1]}, {"if": [{"var": "a"}, False, True]}]},
            [1, 0],
            [2],
        ),
    ],
)
def test_an_operation_holds_for_the_same_values(
    logic: Any, holding: list[Any], others: list[Any]
) -> None:
    """The values are those of the descriptions of JsonLogic and flagd."""
    for value in holding:
        assert holds(logic, a=value), value
    for value in others:
        assert not holds(logic, a=value), value
    # An argument that is not given is null.
    assert holds(logic) is holds(logic, a=None)


def test_an_argument_may_be_nested_and_an_evaluator_shared() -> None:
    """Evaluators may refer to each other."""
    data = definitions({"if": [{"$ref": "staff"}, "blue"]})
    data["$evaluators"] = {
        "staff": {"and": [{"$ref": "mail"}, {"var": "user.is_active"}]},
        "mail": {"ends_with": [{"var": ["user.email"]}, "@example.org"]},
    }
    user = {"email": "a@example.org", "is_active": True}
    assert variant(data, user=user) == "blue"
    assert variant(data, user={**user, "is_active": False}) == "red"
    assert variant(data) == "red"


def expected(text: str, origin: str) -> str:
    """Return the colour of a hashed text for the weights 10, 30 and 8 of 48."""
    if origin == "flagd":
        place: float = murmur3(text) * 48 >> 32
    else:
        number = murmur3(text)
        signed = number if number < 2**31 else number - 2**32
        place = abs(signed) / (2**31 - 1) * 48
    return "red" if place < 10 else "green" if place < 40 else "blue"


WEIGHTS = [["red", 10], ["green", 30], ["blue", 8]]


@pytest.mark.parametrize("origin", ["flagd", "flagd-v1"])
def test_a_fractional_operation_serves_every_user_the_same(origin: str) -> None:
    """For each way to say what is hashed, and for both forms of the operation."""
    own = definitions({"fractional": WEIGHTS})
    mail = definitions({"fractional": [{"var": "email"}, *WEIGHTS]})
    joined = {"cat": [{"var": "$flagd.flagKey"}, "-", {"var": "user.id"}]}
    both = definitions({"fractional": [joined, *WEIGHTS]})
    clients = [client_of(origin, data) for data in (own, mail, both)]
    served = set()
    for user in USERS:
        found = [
            clients[0].variant(NAME, targetingKey=user),
            clients[1].variant(NAME, email=user),
            clients[2].variant(NAME, user={"id": user}),
        ]
        texts = [f"{NAME}{user}", user, f"{NAME}-{user}"]
        assert found == [COLOURS[expected(text, origin)] for text in texts]
        served.update(found)
    assert served == {*COLOURS.values()}
    assert (
        clients[2].variant(NAME, user={"id": 7})
        == (COLOURS[expected(f"{NAME}-7", origin)])
    )


def test_without_a_value_to_hash_the_default_variant_is_served() -> None:
    """Only a joined value is still hashed, without its last part."""
    data = definitions({"fractional": WEIGHTS}, defaultVariant="blue")
    for context in ({}, {"targetingKey": None}, {"targetingKey": ""}):
        assert variant(data, **context) == "blue"
    data = definitions({"fractional": [{"var": "n"}, *WEIGHTS]}, defaultVariant="blue")
    assert variant(data) == variant(data, n=5) == "blue"
    for seed in ("a", "b", "c", "d", "e", "f"):
        joined = {"cat": [seed, {"var": "n"}]}
        data = definitions({"fractional": [joined, *WEIGHTS]})
        assert variant(data) == expected(seed, "flagd")


def test_a_weight_may_be_left_out_and_a_variant_come_twice() -> None:
    """A weight that is left out is 1."""
    data = definitions({"fractional": [["red"], ["blue", 2], ["red", 1]]})
    client = client_of("flagd", data)
    for user in USERS:
        place = murmur3(f"{NAME}{user}") * 4 >> 32
        wanted = "blue" if place in (1, 2) else "red"
        assert client.variant(NAME, targetingKey=user) == COLOURS[wanted]


def test_a_variant_of_a_fractional_operation_may_be_computed() -> None:
    """Also by another one; null is the default variant."""
    inner = {"fractional": [{"var": "team"}, ["green", 1], ["blue", 1]]}
    plan = {"if": [{"==": [{"var": "plan"}, "pro"]}, inner, "green"]}
    joined = {"cat": ["x", {"var": "id"}]}
    data = definitions({"fractional": [joined, [plan, 1], [None, 2], ["blue", 1]]})
    client = client_of("flagd", data)
    for user in USERS:
        for plan_name in ("pro", "free"):
            context = {"id": user, "team": f"t{user}", "plan": plan_name}
            place = murmur3(f"x{user}") * 4 >> 32
            team = ("green", "blue")[murmur3(f"t{user}") * 2 >> 32]
            first = team if plan_name == "pro" else "green"
            wanted = (first, "red", "red", "blue")[place]
            assert client.variant(NAME, **context) == COLOURS[wanted]
    place = murmur3("x") * 4 >> 32
    assert variant(data) == ("green", "red", "red", "blue")[place]


def test_large_weights_are_exact_to_the_bucket() -> None:
    """The ends of shares are whole buckets of the hash, whatever the weights are."""
    weights = [["red", 1_000_003], ["blue", 2_147_483_647 - 1_000_003]]
    data = definitions({"fractional": [{"var": "n"}, *weights]})
    rules = only("flagd", data).rules
    assert rules is not None
    [(_, end)] = rules[0].serve.ranges["red"]  # type: ignore[union-attr]  # a split
    after = math.ceil(end * 2**32)
    assert (after - 1) * 2_147_483_647 >> 32 < 1_000_003
    assert after * 2_147_483_647 >> 32 >= 1_000_003


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (definitions({"if": [{"some": [{"var": "a"}]}, "blue"]}), "'some'"),
        (definitions({"if": [{"==": [{"var": "a"}, {"var": "b"}]}, "blue"]}), "two"),
        (definitions({"if": [{"<": [{"var": "a"}, "x"]}, "blue"]}), "with a number"),
        (definitions({"if": [{"in": [{"var": "a"}, "text"]}, "blue"]}), "'in'"),
        (definitions({"if": [{"var": ["a", 1]}, "blue"]}), "default value"),
        (
            definitions({"if": [{"var": "$flagd.timestamp"}, "blue"]}),
            "$flagd.timestamp",
        ),
        (definitions({"if": [{"var": ""}, "blue"]}), "variable ''"),
        (definitions({"if": [{"==": [{"var": "a"}, [1]]}, "blue"]}), "a list"),
        (
            definitions({"if": [{"sem_ver": [{"var": "a"}, "!", "1.0.0"]}, "red"]}),
            "'!'",
        ),
        (definitions({"if": [{"sem_ver": [{"var": "a"}, "=", "x"]}, "red"]}), "'x'"),
        (definitions({"if": [{"sem_ver": [{"var": "a"}, "=", 1]}, "red"]}), "version"),
        (definitions({"if": [{"==": [{"cat": ["a"]}, "a"]}, "blue"]}), "'cat'"),
        (definitions({"if": [{"!": [1], "!!": [1]}, "blue"]}), "2 operations"),
        (definitions({"var": "colour"}), "'var'"),
        (definitions(5), "gives 5"),
        (definitions("purple"), "'purple'"),
        (definitions({"==": [{"var": "a"}, 1]}), "'true'"),
        (definitions({"if": [{"$ref": "x"}, "blue"]}), "'x' is not in $evaluators"),
        (definitions({"fractional": [["red", 0.5], ["blue", 0.5]]}), "whole number"),
        (definitions({"fractional": [["red", 0]]}), "ZeroDivisionError"),
        (definitions({"fractional": [[{"var": "a"}, 1]]}), "'var'"),
        (definitions({"fractional": [["red", {"var": "a"}]]}), "whole number"),
        (
            definitions({"fractional": [{"cat": [{"var": "a"}, "b", {"var": "c"}]}]}),
            "joined of more",
        ),
        (
            definitions(variants=SWITCH, defaultVariant=None),
            "default of the code",
        ),
        (definitions(state="ON"), "'ON'"),
        (definitions(variants=None), "another form"),
        ({"flags": {NAME: None}}, "another form"),
        ({"flags": {NAME: {"state": "ENABLED"}}}, "another form"),
    ],
)
def test_what_cannot_be_said_is_a_problem_of_the_flag(
    data: dict[str, Any], problem: str
) -> None:
    """The flag is then off, also if somebody enables it."""
    flag = only("flagd", data)
    assert len(flag.problems) == 1
    assert problem in flag.problems[0]
    assert flag.is_enabled is False
    assert flag.rules is not None
    assert (len(flag.rules), flag.rules.otherwise) == (0, False)


def test_an_evaluator_that_refers_to_itself_is_a_problem() -> None:
    """It would be read without end."""
    data = definitions({"if": [{"$ref": "a"}, "blue"]})
    data["$evaluators"] = {"a": {"!": {"$ref": "b"}}, "b": {"!": {"$ref": "a"}}}
    assert only("flagd", data).problems == ("the evaluator 'a' refers to itself",)


@pytest.mark.parametrize("data", [None, [], {}, {"flags": []}])
def test_another_file_is_refused(data: Any) -> None:
    """It would seem to be a file without flags."""
    with pytest.raises(InvalidArgumentError, match="not a file of flagd"):
        list(flags_from("flagd", data))
