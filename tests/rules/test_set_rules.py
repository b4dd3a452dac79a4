# SPDX-License-Identifier: Apache-2.0
"""Rules of flags through a client: how they are set, what they serve, and events."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from flipper import FeatureFlagClient, MemoryFeatureFlagStore
from flipper.bucketing import NoOpBucketer, Percentage, PercentageBucketer
from flipper.conditions import Condition
from flipper.contrib.storage import FeatureFlagStoreItem
from flipper.events import EventType
from flipper.exceptions import FlagDoesNotExistError, InvalidArgumentError
from flipper.explanation import Reason
from flipper.rules import Rollout, Rule, Rules, Split
from support.copies import every_copy
from support.custom_stores import CustomStore, FailingMemoryStore, RemoteStore

if TYPE_CHECKING:
    from collections.abc import Callable

SWEDEN = Rule(Condition(country="SE"), "blue", name="Sweden")
ADULTS = Rule(Condition(age__gte=18), True)
COLOURS = Rules([SWEDEN, ADULTS], variants={"blue": {"rgb": [0, 0, 255]}, "grey": 0})


@pytest.fixture(params=[MemoryFeatureFlagStore, CustomStore])
def store(request: pytest.FixtureRequest) -> Any:
    """Give a store of flipper, and one of an application."""
    return request.param()


@pytest.fixture
def client(store: Any) -> FeatureFlagClient:
    """Give a client with a flag `f` that is on, with client data and a bucketer."""
    client = FeatureFlagClient(store, on_error="raise")
    client.create("f", is_enabled=True, client_data={"a": 1})
    client.set_bucketer("f", PercentageBucketer(Percentage(0)))
    return client


# Setting


def test_rules_take_the_place_of_the_bucketer(client: FeatureFlagClient) -> None:
    """They are set, read, replaced and removed; without rules the flag is just on."""
    assert client.get_rules("f") is None
    client.set_rules("f", COLOURS)
    assert client.get_rules("f") == COLOURS
    assert client.get_meta("f")["bucketer"] == {"type": "NoOpBucketer"}
    assert client.is_enabled("f", age=20) is True
    assert client.is_enabled("f", age=17) is False
    client.set_rules("f", [ADULTS])
    assert client.get_rules("f") == Rules([ADULTS])
    client.set_rules("f", [])
    assert client.get_rules("f") == Rules()
    assert client.is_enabled("f", age=20) is False
    client.set_rules("f", None)
    assert client.get_rules("f") is None
    assert client.is_enabled("f", age=17) is True


def test_none_for_a_flag_without_rules_keeps_its_bucketer(
    client: FeatureFlagClient,
) -> None:
    """There is nothing to remove."""
    client.set_rules("f", None)
    assert client.is_enabled("f") is False


def test_a_handle_has_the_same_methods(client: FeatureFlagClient) -> None:
    """`FeatureFlag` calls the client with its name."""
    flag = client.get("f")
    flag.set_rules(COLOURS)
    assert flag.get_rules() == COLOURS
    assert flag.variant(country="SE") == {"rgb": [0, 0, 255]}
    assert flag.variant("none", country="CH") == "none"
    assert flag.is_enabled(age=20) is True
    assert flag.explain(country="SE").variant == "blue"
    assert "__rules__" not in flag.get_client_data()


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (ADULTS, "The rules of feature 'f': .* is not a list of rules; use a list"),
        ([Condition(a=1)], "The rules of feature 'f': .* is not a rule; use Rule"),
        ("ab", "The rules of feature 'f': 'a' is not a rule"),
        (1, "The rules of feature 'f': 1 is not a list of rules"),
    ],
)
def test_what_is_no_rules_is_refused(
    client: FeatureFlagClient, rules: Any, message: str
) -> None:
    """The error names the flag, and nothing changes."""
    client.set_rules("f", COLOURS)
    with pytest.raises(InvalidArgumentError, match=message) as raised:
        client.set_rules("f", rules)
    assert raised.value.feature_name == "f"
    assert client.get_rules("f") == COLOURS


def test_a_value_that_cannot_be_stored_is_refused() -> None:
    """JSON cannot express a set, so a store of documents keeps the flag as it was."""
    client = FeatureFlagClient(CustomStore())
    client.create("f", is_enabled=True)
    with pytest.raises(InvalidArgumentError, match="'f' cannot be stored"):
        client.set_rules("f", [Rule(Condition(a__in={1, 2}))])
    assert client.is_enabled("f") is True
    assert client.get_rules("f") is None


@pytest.mark.parametrize("method", ["get_rules", "set_rules"])
def test_a_missing_flag_is_an_error(client: FeatureFlagClient, method: str) -> None:
    """Also if the rules are wrong, too."""
    arguments: list[Any] = [1] if method == "set_rules" else []
    with pytest.raises(FlagDoesNotExistError):
        getattr(client, method)("missing", *arguments)
    assert not client.exists("missing")


def test_the_key_of_rules_is_reserved(client: FeatureFlagClient) -> None:
    """Client data cannot have it, neither of a new flag nor of an old one."""
    for write in (
        lambda: client.create("new", client_data={"__rules__": 1}),
        lambda: client.set_client_data("f", {"b": 2, "__rules__": {}}),
    ):
        with pytest.raises(InvalidArgumentError, match=r"use set_rules\(\)") as raised:
            write()
        assert raised.value.value == "__rules__"
    assert not client.exists("new")
    assert client.get_client_data("f") == {"a": 1}


def test_the_key_of_rules_is_hidden(client: FeatureFlagClient) -> None:
    """An application sees its own client data alone, and can write it back."""
    client.set_rules("f", COLOURS)
    assert client.get_client_data("f") == {"a": 1}
    assert client.get_meta("f")["client_data"] == {"a": 1}
    client.set_client_data("f", {**client.get_client_data("f"), "b": 2})
    assert client.get_client_data("f") == {"a": 1, "b": 2}
    assert client.get_rules("f") == COLOURS


def test_a_bucketer_is_refused_for_a_flag_with_rules(
    client: FeatureFlagClient,
) -> None:
    """The error says what to do instead; `None` changes nothing, as ever."""
    client.set_rules("f", COLOURS)
    for bucketer in (PercentageBucketer(Percentage(0.5)), NoOpBucketer()):
        with pytest.raises(InvalidArgumentError, match="use a Rollout in its rules"):
            client.set_bucketer("f", bucketer)
    client.set_bucketer("f", None)
    assert client.get_rules("f") == COLOURS


def test_a_new_flag_has_no_rules(client: FeatureFlagClient) -> None:
    """`create` replaces all of a flag."""
    client.set_rules("f", COLOURS)
    client.create("f", is_enabled=True)
    assert client.get_rules("f") is None
    assert client.is_enabled("f") is True


def test_a_write_moves_only_the_users_that_must_move(
    client: FeatureFlagClient,
) -> None:
    """`set_rules` keeps the users of a split that is stored."""
    users = range(2000)

    def serve(shares: dict[str, float]) -> list[Any]:
        client.set_rules("f", [Rule(None, Split(shares, by="user"))])
        return [client.variant("f", user=user) for user in users]

    before = serve({"blue": 0.2, "green": 0.3, "red": 0.1})
    after = serve({"blue": 0.3, "green": 0.3, "red": 0.1})
    moved = {(b, a) for b, a in zip(before, after, strict=True) if b != a}
    assert moved == {(None, "blue")}
    assert serve({"blue": 0.3, "green": 0.3, "red": 0.1}) == after
    shrunk = serve({"blue": 0.3, "green": 0.1, "red": 0.1})
    moved = {(b, a) for b, a in zip(after, shrunk, strict=True) if b != a}
    assert moved == {("green", None)}


def test_a_split_of_explicit_ranges_is_stored_as_it_is(
    client: FeatureFlagClient,
) -> None:
    """Who writes ranges means these."""
    client.set_rules("f", [Rule(None, Split({"blue": 0.5}, by="user"))])
    ranges = Rules([Rule(None, Split({"blue": [(0.5, 1)]}, by="user"))])
    client.set_rules("f", ranges)
    assert client.get_rules("f") == ranges


# Events


def test_the_write_is_announced_as_client_data(client: FeatureFlagClient) -> None:
    """Before and after, with the rules under the reserved key, and by nothing else."""
    events: list[tuple[Any, ...]] = []
    for event in EventType:
        client.events.on(event, lambda *told, e=event: events.append((e, *told)))
    client.set_rules("f", COLOURS)
    data = {"a": 1, "__rules__": COLOURS.to_dict()}
    pre, post = EventType.PRE_SET_CLIENT_DATA, EventType.POST_SET_CLIENT_DATA
    assert events == [(pre, "f", data), (post, "f", data)]
    events.clear()
    client.set_client_data("f", {"b": 2})
    assert [event[2] for event in events] == [{"a": 1, "b": 2}] * 2
    events.clear()
    client.set_rules("f", None)
    assert [event[2] for event in events] == [{"a": 1, "b": 2}] * 2
    events.clear()
    client.set_rules("f", [])
    client.disable("f")
    client.enable("f")
    assert [event[0].value for event in events[2:]] == [
        *("pre_disable", "post_disable", "pre_enable", "post_enable")
    ]
    assert client.get_rules("f") == Rules()
    with pytest.raises(InvalidArgumentError):
        client.set_rules("f", [1])  # type: ignore[list-item]
    assert len(events) == 6


# Answers


def test_conditions_are_a_gate_before_the_rules(client: FeatureFlagClient) -> None:
    """All of them have to hold; a check on an argument that is not given does not fail.

    An argument of a condition lets nobody in, as it does without rules.
    """
    client.set_rules("f", COLOURS)
    client.add_condition("f", Condition(plan="pro"))
    assert client.is_enabled("f", plan="pro", age=20) is True
    assert client.is_enabled("f", plan="pro") is False
    assert client.is_enabled("f", plan="free", age=20) is False
    assert client.is_enabled("f", age=20) is True
    told = client.explain("f", plan="free", country="SE")
    assert told.reason is Reason.CONDITION_NOT_MATCHED
    assert client.variant("f", "none", plan="free", country="SE") == "none"
    client.set_conditions("f", [])
    assert client.is_enabled("f", plan="free", age=20) is True


def test_the_variant_off_is_served_whenever_a_flag_is_off(
    client: FeatureFlagClient,
) -> None:
    """By a rule, by no rule, by a condition, and while the flag is disabled."""
    rules = Rules(
        [Rule(Condition(a=1), False), SWEDEN, Rule(Condition(a=2), "grey")],
        variants={"blue": 1, "grey": {"is": "off"}},
        off="grey",
    )
    client.set_rules("f", rules)
    client.add_condition("f", Condition(plan="pro"))
    grey = {"is": "off"}
    for call in ({"a": 1}, {"a": 2}, {}, {"country": "SE", "plan": "free"}):
        assert client.variant("f", "none", **call) == grey
        assert client.is_enabled("f", **call) is False
        assert client.evaluate_all(**call) == {"f": grey}
    assert client.variant("f", country="SE") == 1
    client.disable("f")
    assert client.variant("f", "none", country="SE") == grey
    assert client.evaluate_all(country="SE") == {"f": grey}
    assert client.explain("f", country="SE").reason is Reason.DISABLED


def test_a_variant_is_a_copy(client: FeatureFlagClient) -> None:
    """Nobody can change what the next question gets."""
    client.set_rules("f", COLOURS)
    client.variant("f", country="SE")["rgb"].clear()
    client.evaluate_all(country="SE")["f"].clear()
    assert client.variant("f", country="SE") == {"rgb": [0, 0, 255]}


def test_explain_names_the_rule_the_variant_and_the_bucket(
    client: FeatureFlagClient,
) -> None:
    """Its sentence does, too."""
    client.set_rules("f", Rules([SWEDEN, Rule(None, Rollout(0.25, by="user"))]))
    told = client.explain("f", country="SE")
    assert (told.reason, told.rule, told.rule_number) == (Reason.RULE, SWEDEN, 1)
    assert (told.variant, told.bucket, told.percentage) == ("blue", None, None)
    assert str(told) == (
        "Feature 'f' is on: its rule 1 ('Sweden') holds and serves 'blue'."
    )
    told = client.explain("f", user=7)
    assert (told.rule_number, told.percentage) == (2, 0.25)
    assert told.bucket is not None
    assert told.enabled is (told.bucket < 0.25)
    assert "percentage 0.25" in str(told)
    assert client.explain("f").bucket is None  # without the argument
    client.set_rules("f", Rules([SWEDEN], otherwise=Rollout(1, by="user")))
    told = client.explain("f", user=7)
    assert (told.reason, told.rule, told.rule_number) == (
        Reason.NO_RULE_MATCHED,
        None,
        None,
    )
    assert told.enabled is True


def test_a_variant_of_a_flag_without_rules_is_its_answer(
    client: FeatureFlagClient,
) -> None:
    """`True` if it is on, and the default if it is off, missing or broken."""
    client.create("on", is_enabled=True)
    client.create("old", is_enabled=True)
    client.add_condition("old", Condition(a__gt=1))
    kind = FeatureFlagClient(client._store)
    assert client.variant("on", "none") is True
    assert client.variant("f", "none") == "none"
    assert client.variant("missing", "none") == "none"
    assert client.variant("missing") is None
    assert kind.variant("old", "none", a="text") == "none"
    with pytest.raises(TypeError):
        client.variant("old", "none", a="text")
    assert kind.evaluate_all(a="text") == {"f": False, "on": True, "old": False}


def test_any_name_can_be_an_argument(client: FeatureFlagClient) -> None:
    """`variant` and `evaluate_all` take the names of their own parameters."""
    call: dict[str, Any] = {"self": 1, "default": 2, "feature_name": 3, "context": 4}
    client.set_rules("f", [Rule(Condition(**call))])
    assert client.variant("f", **call) is True
    assert client.evaluate_all(**call) == {"f": True}
    assert client.get("f").variant(**call) is True
    assert client.variant(feature_name="f") is None


def test_names_choose_the_flags_of_evaluate_all(client: FeatureFlagClient) -> None:
    """A name without a flag gives `False`, and the answers are JSON."""
    client.set_rules("f", COLOURS)
    client.create("g", is_enabled=True)
    every = client.evaluate_all(country="SE")
    assert every == {"f": {"rgb": [0, 0, 255]}, "g": True}
    assert json.loads(json.dumps(every)) == every
    assert client.evaluate_all(names=["g", "missing"]) == {"g": True, "missing": False}
    assert client.evaluate_all(names=[], country="SE") == {}


@every_copy
def test_a_copied_flag_answers_as_the_flag(
    client: FeatureFlagClient, duplicate: Callable[[Any], Any]
) -> None:
    """Its rules come along, and its compiled function is made again."""
    rules = Rules([SWEDEN, Rule(None, Rollout(0.5, by="user"))])
    client.set_rules("f", rules)
    item: Any = client._store.get("f")
    expected = [item.is_enabled(user=user) for user in range(50)]
    item.decide({"country": "SE"})
    copied = duplicate(item)
    assert type(copied) is FeatureFlagStoreItem
    assert copied.rules == rules
    assert copied.to_dict() == item.to_dict()
    assert [copied.is_enabled(user=user) for user in range(50)] == expected
    assert copied.decide({"country": "SE"})[0] is True


# Outages


def test_evaluate_all_gives_the_last_known_states_while_the_store_fails() -> None:
    """Flags that were never read are left out."""
    store = FailingMemoryStore()
    client = FeatureFlagClient(store)
    client.create("f", is_enabled=True)
    client.set_rules("f", COLOURS)
    client.create("g", is_enabled=True)
    assert client.evaluate_all(country="SE") == {"f": {"rgb": [0, 0, 255]}, "g": True}

    def fail(limit: int | None = None, offset: int = 0) -> Any:
        raise ConnectionError

    store.list = fail  # type: ignore[method-assign]
    store.failure = ConnectionError("down")
    assert client.evaluate_all(country="SE") == {"f": {"rgb": [0, 0, 255]}, "g": True}
    assert client.variant("f", country="SE") == {"rgb": [0, 0, 255]}
    raising = FeatureFlagClient(store, on_error="raise")
    with pytest.raises(ConnectionError):
        raising.evaluate_all()
    with pytest.raises(ConnectionError):
        raising.variant("f")


def test_evaluate_all_asks_no_server_while_the_circuit_breaker_is_open() -> None:
    """A request would take too long for each of many flags."""
    store = RemoteStore()
    client = FeatureFlagClient(store)
    client.create("f", is_enabled=True)
    client.set_rules("f", COLOURS)
    client.is_enabled("f")
    store.failure = ConnectionError("down")
    client.is_enabled("f")
    listed: list[object] = []
    store.list = lambda *_, **__: listed.append(1)  # type: ignore[assignment,method-assign]
    try:
        assert client.evaluate_all(country="SE") == {"f": {"rgb": [0, 0, 255]}}
        assert not listed
    finally:
        store.failure = None
