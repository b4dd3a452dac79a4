# SPDX-License-Identifier: Apache-2.0
"""The reason of each answer: what `explain` returns, and the sentence that it makes."""

from __future__ import annotations

import copy
import random
from datetime import datetime
from fractions import Fraction
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore
from flipper.bucketing import (
    ConsistentHashPercentageBucketer,
    LinearRampPercentage,
    NoOpBucketer,
    Percentage,
    PercentageBucketer,
)
from flipper.bucketing.base import AbstractBucketer
from flipper.conditions.operators.operator import EqualityOperator
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.evaluation import compile_rules
from flipper.explanation import Evaluation, Reason
from flipper.rules import Rule
from support.copies import pickled
from support.custom_stores import FailingMemoryStore
from support.flag_builders import CustomWeekend

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

OTHER = object()


@pytest.fixture
def store() -> FailingMemoryStore:
    """Return an empty store."""
    return FailingMemoryStore()


@pytest.fixture
def client(store: FailingMemoryStore) -> FeatureFlagClient:
    """Return a client whose flag `x` is on."""
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    return client


# Reasons


def test_a_missing_flag_gives_the_default(client: FeatureFlagClient) -> None:
    """The answer is the default, whatever it is."""
    evaluation = client.explain("y")
    assert evaluation == Evaluation("y", False, Reason.MISSING)
    assert not evaluation
    assert str(evaluation) == (
        "Feature 'y' is off: there is no such flag, so the answer is the default."
    )
    evaluation = client.explain("y", default="blue")
    assert evaluation == Evaluation("y", "blue", Reason.MISSING)
    assert evaluation
    assert str(evaluation) == (
        "Feature 'y' is on: there is no such flag, so the answer is the default."
    )


def test_a_disabled_flag_is_off_for_all_arguments(client: FeatureFlagClient) -> None:
    """Neither conditions nor a bucketer are evaluated."""
    client.add_condition("x", Condition(a=1))
    client.disable("x")
    evaluation = client.explain("x", True, a=1)
    assert evaluation == Evaluation("x", False, Reason.DISABLED)
    assert not evaluation
    assert str(evaluation) == "Feature 'x' is off: it is disabled."


def test_a_flag_is_on_if_nothing_limits_it_for_the_arguments(
    client: FeatureFlagClient,
) -> None:
    """No condition has a check on the given arguments."""
    client.add_condition("x", Condition(a=1))
    for evaluation in (client.explain("x"), client.explain("x", b=2)):
        assert evaluation == Evaluation("x", True, Reason.ON)
        assert evaluation
        assert str(evaluation) == (
            "Feature 'x' is on: it is enabled, and no condition or bucketer limits "
            "it for these arguments."
        )


def test_a_flag_is_on_if_its_conditions_hold(client: FeatureFlagClient) -> None:
    """The bucketer does not decide, even though its percentage is 0."""
    client.set_conditions("x", [Condition(a=1), Condition(b=2)])
    client.set_bucketer("x", PercentageBucketer(0))
    evaluation = client.explain("x", a=1, c=3)
    assert evaluation == Evaluation("x", True, Reason.CONDITION_MATCHED)
    assert evaluation
    assert str(evaluation) == "Feature 'x' is on: every check on these arguments holds."


@pytest.mark.parametrize(
    ("condition", "context", "said"),
    [
        (Condition(a=1), {"a": 2}, "a=1"),
        (Condition(a__ne="b"), {"a": "b"}, "a__ne='b'"),
        (Condition(n__gte=1, n__lt=5), {"n": 5}, "n__lt=5"),
        (Condition(country__in=["CH"]), {"country": "FR"}, "country__in=['CH']"),
        (Condition(day__not_in=("Sun",)), {"day": "Sun"}, "day__not_in=('Sun',)"),
        (Condition(user__age__gt=17), {"user__age": 17}, "user__age__gt=17"),
    ],
)
def test_the_check_that_failed_is_named(
    client: FeatureFlagClient, condition: Any, context: dict[str, Any], said: str
) -> None:
    """The sentence shows the check as it was written, with its value."""
    client.set_conditions("x", [Condition(z=1), condition])
    evaluation = client.explain("x", z=1, **context)
    assert evaluation.reason is Reason.CONDITION_NOT_MATCHED
    assert evaluation.enabled is False
    assert evaluation.check is not None
    assert evaluation.check.to_dict() in next(iter(condition.to_dict().values()))
    assert evaluation.bucketer is None
    assert not evaluation
    assert str(evaluation) == f"Feature 'x' is off: the check {said} does not hold."


class Weekend(Condition):
    """A condition that overrides `check`."""

    def check(self, /, **kwargs: Any) -> bool:
        """Return whether the day is on a weekend."""
        return kwargs.get("day") in {"Sat", "Sun"}


@pytest.mark.parametrize(
    ("condition", "said"),
    [(Weekend(day=None), "<Condition day>"), (CustomWeekend(), "<Weekend>")],
)
def test_a_custom_condition_that_failed_is_named(
    client: FeatureFlagClient, condition: Any, said: str
) -> None:
    """The whole condition is named, since nobody knows which of its checks failed."""
    client.add_condition("x", condition)
    evaluation = client.explain("x", day="Mon")
    assert evaluation == Evaluation(
        "x", False, Reason.CONDITION_NOT_MATCHED, check=condition
    )
    assert str(evaluation) == f"Feature 'x' is off: the condition {said} does not hold."
    assert client.explain("x", day="Sun").reason is Reason.CONDITION_MATCHED
    assert client.explain("x").reason is Reason.ON


@pytest.mark.parametrize(
    ("user", "enabled", "said"),
    [
        (1, True, "chose bucket 0.48, within the percentage 0.5"),
        (2, False, "chose bucket 0.94, above the percentage 0.5"),
    ],
)
def test_a_consistent_bucketer_gives_bucket_and_percentage(
    client: FeatureFlagClient, user: int, enabled: bool, said: str
) -> None:
    """Bucket and percentage are the fractions that were compared."""
    bucketer = ConsistentHashPercentageBucketer(percentage=0.5)
    client.set_bucketer("x", bucketer)
    evaluation = client.explain("x", user_id=user)
    assert evaluation == Evaluation(
        *("x", enabled, Reason.BUCKETER),
        bucketer=bucketer,
        bucket=bucketer.bucket(user_id=user),
        percentage=0.5,
    )
    assert bool(evaluation) is enabled
    state = "on" if enabled else "off"
    assert str(evaluation) == (
        f"Feature 'x' is {state}: its ConsistentHashPercentageBucketer {said}."
    )


def test_a_random_bucketer_gives_the_drawn_number_as_bucket(
    client: FeatureFlagClient,
) -> None:
    """The sentence shows at most four decimal places."""
    client.set_bucketer("x", PercentageBucketer(0.25))
    evaluation = client.explain("x", randomizer=lambda: 0.123456789)
    assert evaluation.bucket == 0.123456789
    assert evaluation.percentage == 0.25
    assert str(evaluation) == (
        "Feature 'x' is on: its PercentageBucketer chose bucket 0.1235, within the "
        "percentage 0.25."
    )


def test_a_percentage_of_zero_has_no_bucket(client: FeatureFlagClient) -> None:
    """The sentence says that the bucketer lets nobody in."""
    for bucketer in (
        PercentageBucketer(0),
        ConsistentHashPercentageBucketer(percentage=0),
    ):
        client.set_bucketer("x", bucketer)
        evaluation = client.explain("x", user_id=1)
        assert (evaluation.enabled, evaluation.bucket, evaluation.percentage) == (
            False,
            None,
            0,
        )
        name = type(bucketer).__name__
        assert str(evaluation) == (
            f"Feature 'x' is off: the percentage of its {name} is 0."
        )


def test_a_ramp_gives_its_present_percentage(client: FeatureFlagClient) -> None:
    """Before and after the ramp, that is its initial and its final value."""
    for begin, percentage in ((4e9, "0.25"), (1e9, "0.75")):
        ramp = LinearRampPercentage(0.25, 0.75, 60, begin)
        client.set_bucketer("x", ConsistentHashPercentageBucketer(percentage=ramp))
        assert f"0.48, {'above' if begin == 4e9 else 'within'}" in str(
            client.explain("x", user_id=1)
        )
        assert str(client.explain("x", user_id=1)).endswith(f" {percentage}.")


def test_a_sentence_shows_numbers_of_any_kind(client: FeatureFlagClient) -> None:
    """Not every kind of number can be formatted like a float."""
    client.set_bucketer("x", PercentageBucketer(Fraction(1, 3)))
    evaluation = client.explain("x", randomizer=lambda: Fraction(1, 4))
    assert str(evaluation).endswith("chose bucket 0.25, within the percentage 0.3333.")


class Coin(AbstractBucketer):
    """A bucketer of an application."""

    def check(self, **kwargs: Any) -> Any:
        """Return whether the side is head."""
        return kwargs.get("side") == "head"

    @classmethod
    def get_type(cls) -> str:
        """Return the type."""
        return super().get_type()

    def to_dict(self) -> dict[str, Any]:
        """Show the type."""
        return super().to_dict()

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Make one."""
        return cls()


class Reluctant(PercentageBucketer):
    """A bucketer of flipper whose `check` is overridden."""

    def check(self, /, randomizer: Any = None, **kwargs: Any) -> bool:
        """Return `False`."""
        return False


@pytest.mark.parametrize(
    ("bucketer", "context", "said"),
    [
        (Coin(), {"side": "head"}, "Feature 'x' is on: its Coin decided so."),
        (Coin(), {"side": "tail"}, "Feature 'x' is off: its Coin decided so."),
        (Reluctant(), {}, "Feature 'x' is off: its Reluctant decided so."),
    ],
)
def test_a_custom_bucketer_has_no_bucket_and_no_percentage(
    client: FeatureFlagClient, bucketer: Any, context: dict[str, Any], said: str
) -> None:
    """Only its answer is known."""
    client.set_bucketer("x", bucketer)
    evaluation = client.explain("x", **context)
    assert evaluation.reason is Reason.BUCKETER
    assert evaluation.bucketer is bucketer
    assert (evaluation.bucket, evaluation.percentage) == (None, None)
    assert str(evaluation) == said


def test_a_replaced_check_of_a_bucketer_is_called(client: FeatureFlagClient) -> None:
    """Existing tests replace `check` of a bucketer by a function."""
    bucketer = PercentageBucketer(1)
    bucketer.check = lambda **_: "mine"  # type: ignore[method-assign, assignment]
    client.set_bucketer("x", bucketer)
    evaluation = client.explain("x")
    assert evaluation.enabled == client.is_enabled("x") == "mine"
    assert str(evaluation) == "Feature 'x' is on: its PercentageBucketer decided so."


class CustomItem(FeatureFlagStoreItem):
    """An item that overrides `is_enabled`."""

    def is_enabled(self, /, **kwargs: Any) -> Any:
        """Answer by more than a boolean."""
        return kwargs.get("answer")


def test_a_custom_item_decides_alone(
    client: FeatureFlagClient, store: FailingMemoryStore
) -> None:
    """Whatever its `is_enabled` returns is the answer."""
    item = CustomItem("x", True, FeatureFlagStoreMeta(0))
    store.get = lambda _: item  # type: ignore[method-assign]
    evaluation = client.explain("x", answer="maybe")
    assert evaluation == Evaluation("x", "maybe", Reason.OWN_ITEM)
    assert client.is_enabled("x", answer="maybe") == "maybe"
    assert (
        str(evaluation) == "Feature 'x' is on: the item class of the store decided so."
    )
    assert str(client.explain("x")).startswith("Feature 'x' is off: ")


def test_an_evaluation_that_fails_contains_the_error(client: FeatureFlagClient) -> None:
    """The error is an attribute and part of the sentence, and the default answers."""
    client.add_condition("x", Condition(n__gt=1))
    evaluation = client.explain("x", n="2")
    assert evaluation.reason is Reason.ERROR
    assert isinstance(evaluation.error, TypeError)
    assert evaluation.enabled is False
    assert str(evaluation) == (
        "Feature 'x' is off: TypeError: '>' not supported between instances of 'str' "
        "and 'int'; the answer is the default."
    )
    assert client.explain("x", OTHER, n="2").enabled is OTHER


def test_an_unreadable_flag_without_known_state_gives_the_error(
    client: FeatureFlagClient, store: FailingMemoryStore
) -> None:
    """The default answers, and the error of the store is the reason."""
    store.failure = ConnectionError("refused")
    evaluation = client.explain("never-seen", True)
    assert evaluation == Evaluation(
        "never-seen", True, Reason.ERROR, error=store.failure
    )
    assert str(evaluation) == (
        "Feature 'never-seen' is on: ConnectionError: refused; the answer is the "
        "default."
    )


def test_the_sentence_says_that_a_last_known_state_was_evaluated(
    client: FeatureFlagClient, store: FailingMemoryStore
) -> None:
    """The reason is that of the state, and the error of the store is an attribute."""
    store.failure = ConnectionError("refused")
    evaluation = client.explain("x")
    assert evaluation == Evaluation("x", True, Reason.ON, error=store.failure)
    assert str(evaluation) == (
        "Feature 'x' is on: it is enabled, and no condition or bucketer limits it for "
        "these arguments (last known state: the store could not be read)."
    )


# Evaluations as values


def test_every_reason_has_a_sentence() -> None:
    """`str` of an evaluation works for every reason."""
    for reason in Reason:
        error = ValueError("no") if reason is Reason.ERROR else None
        bucketer = NoOpBucketer() if reason is Reason.BUCKETER else None
        check = Condition(a=1) if reason is Reason.CONDITION_NOT_MATCHED else None
        for enabled, state in ((True, "on"), (False, "off")):
            evaluation = Evaluation(
                *("x", enabled, reason), check=check, bucketer=bucketer, error=error
            )
            assert str(evaluation).startswith(f"Feature 'x' is {state}: ")
            assert str(evaluation).endswith(".")
            assert bool(evaluation) is enabled


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "its rule 2 holds"),
        ({"rule": Rule(None, True, name="all")}, "its rule 2 ('all') holds"),
        ({"variant": "blue"}, "its rule 2 holds and serves 'blue'"),
        (
            {"variant": "blue", "bucket": 0.12345},
            "its rule 2 holds and serves 'blue' for bucket 0.1235",
        ),
        ({"bucket": 0.75}, "its rule 2 holds for bucket 0.75"),
        (
            {"bucket": 0.25, "percentage": 0.5},
            "its rule 2 holds; bucket 0.25 is within the percentage 0.5",
        ),
        (
            {"bucket": 0.5, "percentage": Fraction(1, 3), "enabled": False},
            "its rule 2 holds; bucket 0.5 is above the percentage 0.3333",
        ),
        ({"rule": None}, "none of its rules holds"),
        (
            {"rule": None, "variant": "blue"},
            "none of its rules holds, so it serves 'blue'",
        ),
        (
            {"rule": None, "variant": "blue", "bucket": 0, "percentage": 1},
            "none of its rules holds, so it serves 'blue' for bucket 0",
        ),
    ],
)
def test_the_sentence_of_rules_says_what_they_serve(
    fields: dict[str, Any], said: str
) -> None:
    """With the number and the name of the rule, the variant, and the bucket."""
    values = {"enabled": True, "rule": Rule(None, True), "rule_number": 2, **fields}
    reason = Reason.RULE if values["rule"] else Reason.NO_RULE_MATCHED
    state = "on" if values["enabled"] else "off"
    evaluation = Evaluation("x", reason=reason, **values)
    assert str(evaluation) == f"Feature 'x' is {state}: {said}."


def test_an_evaluation_can_be_unpacked_copied_andpickled(
    client: FeatureFlagClient,
) -> None:
    """It is a value like any tuple."""
    client.add_condition("x", Condition(a=1))
    evaluation = client.explain("x", a=2)
    name, enabled, reason, *_ = evaluation
    assert (name, enabled, reason) == ("x", False, Reason.CONDITION_NOT_MATCHED)
    for twin in (
        copy.copy(evaluation),
        copy.deepcopy(evaluation),
        pickled(evaluation),
    ):
        assert type(twin) is Evaluation
        assert twin.reason is reason
        assert str(twin) == str(evaluation)
    assert hash(client.explain("y")) == hash(Evaluation("y", False, Reason.MISSING))


# Random flags


def random_flag(draw: random.Random, client: FeatureFlagClient) -> None:
    """Replace the flag `x` by a random one."""
    client.create("x", is_enabled=draw.random() < 0.9)
    operators = ("", "__ne", "__gt", "__gte", "__lt", "__lte", "__in", "__not_in")
    for _ in range(draw.randrange(3)):
        checks = {
            draw.choice("abc") + draw.choice(operators): random_value(draw)
            for _ in range(draw.randrange(3))
        }
        client.add_condition("x", Condition(**checks))
    share = draw.choice([0, 0.25, 0.5, 1, LinearRampPercentage(0.2, 0.8, 60, 4e9)])
    bucketers = [
        NoOpBucketer(),
        PercentageBucketer(share),
        ConsistentHashPercentageBucketer(percentage=share),
        ConsistentHashPercentageBucketer(percentage=share, key_whitelist=["a", "d"]),
        Coin(),
    ]
    client.set_bucketer("x", draw.choice(bucketers))


def random_value(draw: random.Random) -> Any:
    """Return a random value; some cannot be compared, and some have no bucket."""
    return draw.choice(
        [0, 1, 2.5, "a", "b", None, True, [1, "a"], (2,), {1, 2}, "head"]
    )


def test_explain_and_is_enabled_agree() -> None:
    """A thousand random flags give the same answer by both methods."""
    draw = random.Random(20240229)  # noqa: S311 # repeatable
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    reasons = set()
    for number in range(1000):
        random_flag(draw, client)
        context = {
            name: random_value(draw) for name in draw.sample("abcd", draw.randrange(4))
        }
        chance = draw.random()
        context["randomizer"] = lambda chance=chance: chance
        evaluation = client.explain("x", OTHER, **context)
        answer = client.is_enabled("x", OTHER, **context)
        assert evaluation.enabled is answer, (number, str(evaluation), context)
        assert evaluation.feature_name == "x"
        assert (answer is OTHER) is (evaluation.reason is Reason.ERROR)
        assert str(evaluation).startswith(
            f"Feature 'x' is {'on' if answer else 'off'}: "
        )
        reasons.add(evaluation.reason)
    others = {Reason.MISSING, Reason.OWN_ITEM, Reason.OVERRIDDEN}
    of_rules = {Reason.RULE, Reason.NO_RULE_MATCHED}
    assert reasons == {*Reason} - others - of_rules


def test_a_bucketer_of_the_type_of_no_bucketer_is_not_asked() -> None:
    """A flag with it is on, whatever its class."""

    class Nobody(AbstractBucketer):
        def check(self, **kwargs: Any) -> bool:
            return False

        @classmethod
        def get_type(cls) -> str:
            return "NoOpBucketer"

        def to_dict(self) -> dict[str, Any]:
            return super().to_dict()

        @classmethod
        def from_dict(cls, fields: Mapping[str, Any]) -> Self:
            return cls()

    rules = FeatureFlagStoreMeta(1, conditions=[Condition(a=1)], bucketer=Nobody())
    item = FeatureFlagStoreItem("x", True, rules)
    assert item.is_enabled() is True
    assert item.decide({}) == (True, Reason.ON, None, None)
    assert item.is_enabled(a=2) is False
    assert FeatureFlagStoreMeta(1, bucketer=Nobody()).is_constant


def test_rules_are_compiled_without_reasons_unless_asked_for() -> None:
    """The function then returns the answer alone."""
    rules = FeatureFlagStoreMeta(1, conditions=[Condition(a=1)])
    assert compile_rules(rules, "x")({"a": 1}) is True
    assert compile_rules(rules, "x")({"a": 2}) is False
    assert compile_rules(rules, "x", with_reason=True)({})[1] is Reason.ON


def test_a_compiled_function_with_reasons_calls_what_is_replaced_later() -> None:
    """It gives a reason then, too."""
    condition = Condition(a=1)
    decide = compile_rules(
        FeatureFlagStoreMeta(1, conditions=[condition]), "x", with_reason=True
    )
    matched = (True, Reason.CONDITION_MATCHED, None, None)
    assert decide({"a": 1}) == matched
    with patch.object(EqualityOperator, "compare", return_value=False):
        assert decide({"a": 1}) == (False, condition.own_checks[0], None, None)
    assert decide({"a": 1}) == matched


@pytest.mark.parametrize("text", ["away", "away.", ".env MAX.", "of X"])
def test_the_sentence_of_an_error_has_one_full_stop(text: str) -> None:
    """It is the one at the end, and the rest of the text stays as it is."""
    evaluation = Evaluation("x", False, Reason.ERROR, error=OSError(text))
    assert f" OSError: {text.removesuffix('.')}; " in str(evaluation)


def test_the_values_of_the_reasons_do_not_change() -> None:
    """Applications write them to logs."""
    assert [reason.value for reason in Reason] == [
        *("missing", "disabled", "condition matched", "condition not matched"),
        *("bucketer", "on", "own item", "error", "rule", "no rule matched"),
        "overridden",
    ]


def test_an_evaluation_keeps_why_the_store_could_not_be_read() -> None:
    """Whatever decided by the last known state."""
    error = OSError("away")
    check = Condition(a=1).own_checks[0]
    bucketer = PercentageBucketer(0.5)
    for decision, rest in (
        ((True, Reason.ON, None, None), {"reason": Reason.ON}),
        (
            (False, check, None, None),
            {"reason": Reason.CONDITION_NOT_MATCHED, "check": check},
        ),
        (
            (True, bucketer, 0.25, 0.5),
            {
                "reason": Reason.BUCKETER,
                "bucketer": bucketer,
                "bucket": 0.25,
                "percentage": 0.5,
            },
        ),
    ):
        expected: Any = {"feature_name": "x", "enabled": decision[0], **rest}
        assert Evaluation.from_decision("x", decision) == Evaluation(**expected)
        assert Evaluation.from_decision("x", decision, error) == Evaluation(
            **expected, error=error
        )


# Speed


class Name(str):
    """A name whose `repr` is no literal of it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "user_id"


def bucketed(
    percentage: Any, *, names: Any = ("user_id",), bucketer: Any = None
) -> FeatureFlagStoreItem:
    """Make a flag that is on for a share of its users."""
    kind = bucketer or ConsistentHashPercentageBucketer
    made = kind(key_whitelist=names, percentage=percentage)
    return FeatureFlagStoreItem("x", True, FeatureFlagStoreMeta(1, bucketer=made))


@pytest.mark.parametrize("percentage", [0.48, 0.94, 1, 1.0, -1, 2])
def test_the_bucket_of_a_user_is_looked_up_without_a_call(percentage: Any) -> None:
    """If it depends on one argument, and the percentage is constant."""
    item = bucketed(percentage)
    with patch.object(
        ConsistentHashPercentageBucketer, "decide", side_effect=LookupError
    ):
        assert item.is_enabled(user_id=1) is (percentage >= 0.48)
        assert item.is_enabled(user_id=2, a=1) is (percentage >= 0.94)
        assert type(item.is_enabled(user_id="1")) is bool
        for call in ({}, {"user_id": 1.0}, {"user_id": True}, {"user_id": Name("1")}):
            with pytest.raises(LookupError):
                item.is_enabled(**call)


@pytest.mark.parametrize(
    "item",
    [
        bucketed(0),
        bucketed(0.0),
        bucketed(True),
        bucketed(float("nan")),
        bucketed(Fraction(1, 2)),
        bucketed(Percentage("0.5")),
        bucketed(LinearRampPercentage()),
        bucketed(SimpleNamespace(value=0.5)),
        bucketed(0.5, names=()),
        bucketed(0.5, names=("user_id", "b")),
        bucketed(0.5, names=(Name("only_here"),)),
    ],
)
def test_any_other_flag_asks_its_bucketer(item: FeatureFlagStoreItem) -> None:
    """It is asked with all arguments, and its answer is returned as it is."""
    bucketer = item.raw_meta.bucketer
    with patch.object(ConsistentHashPercentageBucketer, "decide") as decide:
        decide.return_value = ("mine", bucketer, None, None)
        assert item.is_enabled(user_id=1, a=2) == "mine"
        assert item.decide({"user_id": 1}) == decide.return_value
        assert [call.args for call in decide.call_args_list] == [
            ({"user_id": 1, "a": 2},),
            ({"user_id": 1},),
        ]


def test_a_ramp_is_read_for_every_question() -> None:
    """Also if the bucket of the user is known."""
    item = bucketed(LinearRampPercentage(0, 1, 100, 1_700_000_000))
    module = "flipper.bucketing.percentage.linear_ramp_percentage"
    answers = []
    with patch(f"{module}.datetime") as clock:
        for seconds in (0, 47, 49, 100, 47):
            now = datetime.fromtimestamp(1_700_000_000 + seconds)  # noqa: DTZ006
            clock.now.return_value = now
            answers.append(item.is_enabled(user_id=1))
    assert answers == [False, False, True, True, False]
