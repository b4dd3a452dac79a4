# SPDX-License-Identifier: Apache-2.0
"""Every answer has a reason and a sentence, from the code that decides."""

from __future__ import annotations

import copy
import pickle
import random
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

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
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.evaluation import Evaluation, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

OTHER = object()


class FailingStore(MemoryFeatureFlagStore):
    """A store whose `get` fails on request."""

    failure: Exception | None = None

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read a flag."""
        if self.failure is not None:
            raise self.failure
        return super().get(feature_name)


@pytest.fixture
def store() -> FailingStore:
    """Give an empty store."""
    return FailingStore()


@pytest.fixture
def client(store: FailingStore) -> FeatureFlagClient:
    """Give a client whose flag `x` is on."""
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    return client


# Reasons


def test_a_missing_flag(client: FeatureFlagClient) -> None:
    """The default counts, whatever it is."""
    told = client.explain("y")
    assert told == Evaluation("y", False, Reason.MISSING)
    assert not told
    assert str(told) == (
        "Feature 'y' is off: there is no such flag, so the answer is the default."
    )
    told = client.explain("y", default="blue")
    assert told == Evaluation("y", "blue", Reason.MISSING)
    assert told
    assert str(told) == (
        "Feature 'y' is on: there is no such flag, so the answer is the default."
    )


def test_a_disabled_flag(client: FeatureFlagClient) -> None:
    """Neither conditions nor bucketers matter."""
    client.add_condition("x", Condition(a=1))
    client.disable("x")
    told = client.explain("x", True, a=1)
    assert told == Evaluation("x", False, Reason.DISABLED)
    assert not told
    assert str(told) == "Feature 'x' is off: it is disabled."


def test_a_flag_that_is_on(client: FeatureFlagClient) -> None:
    """Nothing limits it for these arguments; it may for others."""
    client.add_condition("x", Condition(a=1))
    for told in (client.explain("x"), client.explain("x", b=2)):
        assert told == Evaluation("x", True, Reason.ON)
        assert told
        assert str(told) == (
            "Feature 'x' is on: it is enabled, and no condition or bucketer "
            "limits it for these arguments."
        )


def test_conditions_that_hold(client: FeatureFlagClient) -> None:
    """The bucketer is not asked, though it lets nobody in."""
    client.set_conditions("x", [Condition(a=1), Condition(b=2)])
    client.set_bucketer("x", PercentageBucketer(0))
    told = client.explain("x", a=1, c=3)
    assert told == Evaluation("x", True, Reason.CONDITION_MATCHED)
    assert told
    assert str(told) == ("Feature 'x' is on: every check on these arguments holds.")


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
def test_a_check_that_says_no(
    client: FeatureFlagClient, condition: Any, context: dict[str, Any], said: str
) -> None:
    """It is named as it was written, with the value that it asks for."""
    client.set_conditions("x", [Condition(z=1), condition])
    told = client.explain("x", z=1, **context)
    assert told.reason is Reason.CONDITION_NOT_MATCHED
    assert told.enabled is False
    assert told.check is not None
    assert told.check.to_dict() in next(iter(condition.to_dict().values()))
    assert told.bucketer is None
    assert not told
    assert str(told) == f"Feature 'x' is off: the check {said} does not hold."


class Weekend(Condition):
    """A condition with a `check` of its own."""

    def check(self, /, **kwargs: Any) -> bool:
        """Look at the day."""
        return kwargs.get("day") in {"Sat", "Sun"}


class DuckWeekend:
    """A condition that is no subclass."""

    checks = MappingProxyType({"day": ()})

    def check(self, **kwargs: Any) -> bool:
        """Look at the day."""
        return kwargs.get("day") in {"Sat", "Sun"}

    def to_dict(self) -> dict[str, Any]:
        """Show nothing."""
        return {}

    def __repr__(self) -> str:
        return "<Weekend>"


@pytest.mark.parametrize(
    ("condition", "said"),
    [(Weekend(day=None), "<Condition day>"), (DuckWeekend(), "<Weekend>")],
)
def test_a_condition_of_ones_own_says_no(
    client: FeatureFlagClient, condition: Any, said: str
) -> None:
    """Which of its checks it was is its own secret; that it was is not."""
    client.add_condition("x", condition)
    told = client.explain("x", day="Mon")
    assert told == Evaluation("x", False, Reason.CONDITION_NOT_MATCHED, check=condition)
    assert str(told) == f"Feature 'x' is off: the condition {said} does not hold."
    assert client.explain("x", day="Sun").reason is Reason.CONDITION_MATCHED
    assert client.explain("x").reason is Reason.ON


@pytest.mark.parametrize(
    ("user", "enabled", "said"),
    [
        (1, True, "chose bucket 0.48, within the percentage 0.5"),
        (2, False, "chose bucket 0.94, above the percentage 0.5"),
    ],
)
def test_a_consistent_bucketer(
    client: FeatureFlagClient, user: int, enabled: bool, said: str
) -> None:
    """Bucket and percentage are the fractions that were compared."""
    bucketer = ConsistentHashPercentageBucketer(percentage=0.5)
    client.set_bucketer("x", bucketer)
    told = client.explain("x", user_id=user)
    assert told == Evaluation(
        *("x", enabled, Reason.BUCKETER),
        bucketer=bucketer,
        bucket=bucketer.bucket(user_id=user),
        percentage=0.5,
    )
    assert bool(told) is enabled
    state = "on" if enabled else "off"
    assert str(told) == (
        f"Feature 'x' is {state}: its ConsistentHashPercentageBucketer {said}."
    )


def test_a_random_bucketer(client: FeatureFlagClient) -> None:
    """The draw is told as the bucket; long ones are shortened."""
    client.set_bucketer("x", PercentageBucketer(0.25))
    told = client.explain("x", randomizer=lambda: 0.123456789)
    assert told.bucket == 0.123456789
    assert told.percentage == 0.25
    assert str(told) == (
        "Feature 'x' is on: its PercentageBucketer chose bucket 0.1235, within the "
        "percentage 0.25."
    )


def test_a_bucketer_that_lets_nobody_in(client: FeatureFlagClient) -> None:
    """Nothing is drawn for nobody."""
    for bucketer in (PercentageBucketer(0), ConsistentHashPercentageBucketer()):
        bucketer._percentage = Percentage(0)
        client.set_bucketer("x", bucketer)
        told = client.explain("x", user_id=1)
        assert (told.enabled, told.bucket, told.percentage) == (False, None, 0)
        assert str(told) == (
            f"Feature 'x' is off: the percentage of its {type(bucketer).__name__} is 0."
        )


def test_a_ramp_tells_its_percentage_of_the_moment(client: FeatureFlagClient) -> None:
    """Long before, long after: the fractions of its two ends."""
    for begin, percentage in ((4e9, "0.25"), (1e9, "0.75")):
        ramp = LinearRampPercentage(0.25, 0.75, 60, begin)
        client.set_bucketer("x", ConsistentHashPercentageBucketer(percentage=ramp))
        assert f"0.48, {'above' if begin == 4e9 else 'within'}" in str(
            client.explain("x", user_id=1)
        )
        assert str(client.explain("x", user_id=1)).endswith(f" {percentage}.")


def test_numbers_of_all_kinds_can_be_told(client: FeatureFlagClient) -> None:
    """Not every number knows how to be formatted; fractions learnt it late."""
    client.set_bucketer("x", PercentageBucketer(Fraction(1, 3)))
    told = client.explain("x", randomizer=lambda: Fraction(1, 4))
    assert str(told).endswith("chose bucket 0.25, within the percentage 0.3333.")


class Coin(AbstractBucketer):
    """A bucketer of one's own, which the flag's name does not matter to."""

    def check(self, **kwargs: Any) -> Any:
        """Look at one side."""
        return kwargs.get("side") == "head"

    @classmethod
    def get_type(cls) -> str:
        """Give the name."""
        return super().get_type()

    def to_dict(self) -> dict[str, Any]:
        """Show the type."""
        return super().to_dict()

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Make one."""
        return cls()


class Reluctant(PercentageBucketer):
    """A bucketer of the library with a `check` of one's own."""

    def check(self, /, randomizer: Any = None, **kwargs: Any) -> bool:
        """Decline."""
        return False


@pytest.mark.parametrize(
    ("bucketer", "context", "said"),
    [
        (Coin(), {"side": "head"}, "Feature 'x' is on: its Coin decided so."),
        (Coin(), {"side": "tail"}, "Feature 'x' is off: its Coin decided so."),
        (Reluctant(), {}, "Feature 'x' is off: its Reluctant decided so."),
    ],
)
def test_a_bucketer_of_ones_own(
    client: FeatureFlagClient, bucketer: Any, context: dict[str, Any], said: str
) -> None:
    """It answers, and tells no bucket."""
    client.set_bucketer("x", bucketer)
    told = client.explain("x", **context)
    assert told.reason is Reason.BUCKETER
    assert told.bucketer is bucketer
    assert (told.bucket, told.percentage) == (None, None)
    assert str(told) == said


def test_a_check_that_was_replaced_is_asked(client: FeatureFlagClient) -> None:
    """Existing tests put a function of theirs in its place."""
    bucketer = PercentageBucketer(1)
    bucketer.check = lambda **_: "mine"  # type: ignore[method-assign, assignment]
    client.set_bucketer("x", bucketer)
    told = client.explain("x")
    assert told.enabled == client.is_enabled("x") == "mine"
    assert str(told) == "Feature 'x' is on: its PercentageBucketer decided so."


class OwnItem(FeatureFlagStoreItem):
    """An item with an `is_enabled` of its own."""

    def is_enabled(self, /, **kwargs: Any) -> Any:
        """Answer by more than a boolean."""
        return kwargs.get("answer")


def test_an_item_of_ones_own(client: FeatureFlagClient, store: FailingStore) -> None:
    """Its answer is the answer."""
    store._items["x"] = OwnItem("x", True, FeatureFlagStoreMeta(0))
    told = client.explain("x", answer="maybe")
    assert told == Evaluation("x", "maybe", Reason.OWN_ITEM)
    assert client.is_enabled("x", answer="maybe") == "maybe"
    assert str(told) == "Feature 'x' is on: the item class of the store decided so."
    assert str(client.explain("x")).startswith("Feature 'x' is off: ")


def test_what_cannot_be_evaluated(client: FeatureFlagClient) -> None:
    """The error is there, as a fact and in the sentence."""
    client.add_condition("x", Condition(n__gt=1))
    told = client.explain("x", n="2")
    assert told.reason is Reason.ERROR
    assert isinstance(told.error, TypeError)
    assert told.enabled is False
    assert str(told) == (
        "Feature 'x' is off: TypeError: '>' not supported between instances of 'str' "
        "and 'int'; the answer is the default."
    )
    assert client.explain("x", OTHER, n="2").enabled is OTHER


def test_what_cannot_be_read(client: FeatureFlagClient, store: FailingStore) -> None:
    """Of a flag that nobody knows there is only the error to tell."""
    store.failure = ConnectionError("nobody home")
    told = client.explain("never-seen", True)
    assert told == Evaluation("never-seen", True, Reason.ERROR, error=store.failure)
    assert str(told) == (
        "Feature 'never-seen' is on: ConnectionError: nobody home; the answer is "
        "the default."
    )


def test_a_last_known_state_says_that_it_is_one(
    client: FeatureFlagClient, store: FailingStore
) -> None:
    """The reason is that of the state; the error comes along."""
    store.failure = ConnectionError("nobody home")
    told = client.explain("x")
    assert told == Evaluation("x", True, Reason.ON, error=store.failure)
    assert str(told) == (
        "Feature 'x' is on: it is enabled, and no condition or bucketer limits it "
        "for these arguments (last known state: the store could not be read)."
    )


# The record


def test_every_reason_has_a_sentence() -> None:
    """A reason without one could not be printed."""
    for reason in Reason:
        error = ValueError("no") if reason is Reason.ERROR else None
        bucketer = NoOpBucketer() if reason is Reason.BUCKETER else None
        check = Condition(a=1) if reason is Reason.CONDITION_NOT_MATCHED else None
        for enabled, state in ((True, "on"), (False, "off")):
            told = Evaluation(
                *("x", enabled, reason), check=check, bucketer=bucketer, error=error
            )
            assert str(told).startswith(f"Feature 'x' is {state}: ")
            assert str(told).endswith(".")
            assert bool(told) is enabled


def test_the_record_can_be_unpacked_copied_and_pickled(
    client: FeatureFlagClient,
) -> None:
    """It is a value, and goes wherever values go."""
    client.add_condition("x", Condition(a=1))
    told = client.explain("x", a=2)
    name, enabled, reason, *_ = told
    assert (name, enabled, reason) == ("x", False, Reason.CONDITION_NOT_MATCHED)
    for twin in (
        copy.copy(told),
        copy.deepcopy(told),
        _pickled(told),
    ):
        assert type(twin) is Evaluation
        assert twin.reason is reason
        assert str(twin) == str(told)
    assert hash(client.explain("y")) == hash(Evaluation("y", False, Reason.MISSING))


def _pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))  # noqa: S301 # our own


# Agreement


def random_flag(draw: random.Random, client: FeatureFlagClient) -> None:
    """Make the flag `x` anew, of any kind."""
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
    """Draw a value; some cannot be compared, and some have no bucket."""
    return draw.choice(
        [0, 1, 2.5, "a", "b", None, True, [1, "a"], (2,), {1, 2}, "head"]
    )


def test_explain_and_is_enabled_agree() -> None:
    """A thousand flags of all kinds, asked with arguments of all kinds."""
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
        told = client.explain("x", OTHER, **context)
        answer = client.is_enabled("x", OTHER, **context)
        assert told.enabled is answer, (number, str(told), context)
        assert told.feature_name == "x"
        assert (answer is OTHER) is (told.reason is Reason.ERROR)
        assert str(told).startswith(f"Feature 'x' is {'on' if answer else 'off'}: ")
        reasons.add(told.reason)
    assert reasons == {*Reason} - {Reason.MISSING, Reason.OWN_ITEM}
