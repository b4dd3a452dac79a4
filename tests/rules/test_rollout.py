# SPDX-License-Identifier: Apache-2.0
"""Rollouts: whom they let in, how they are written, and what they refuse."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import datetime, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flipper.bucketing import (
    LinearRampPercentage,
    Percentage,
    PercentageFactory,
    Schedule,
)
from flipper.exceptions import InvalidArgumentError
from flipper.rules.hashing import HASHES, bucket_function, find_hash
from flipper.rules.rollout import Rollout
from support.fuzz import PHASES

USERS = [f"user-{number}" for number in range(300)]
RAMP = LinearRampPercentage(0, 1, 3600, 1_500_000_000)
NAMES = {
    "LinearRampPercentage": LinearRampPercentage,
    "PercentageFactory": PercentageFactory,
    "Rollout": Rollout,
    "Schedule": Schedule,
}
ROLLOUTS = [
    Rollout(0, by="user_id"),
    Rollout(1, by="user_id"),
    Rollout(0.125, by="user_id"),
    Rollout(0.125, by=("user_id", "session.id"), seed="", hash="unleash"),
    Rollout([(0.1, 0.2), (0.5, 1)], by="user_id", seed='it\'s "new"'),
    Rollout([(0.4, 1)], by="user_id", seed="__ns", hash="growthbook-v1"),
    Rollout(RAMP, by="user_id", hash="launchdarkly"),
    Rollout(Schedule([(5, 0.5), (9, RAMP)]), by="user_id"),
]
fractions = st.floats(0, 1) | st.integers(0, 100_000).map(lambda n: n / 100_000)
hashes = st.sampled_from([None, *HASHES, "unleash-variants:7"])


def admitted(rollout: Rollout, feature_name: str = "X") -> set[str]:
    """Return the users that a rollout lets in, of whom `explain` says the same."""
    is_in = rollout.compile(feature_name)
    found = {user for user in USERS if is_in(user)}
    explained = {u for u in USERS if rollout.explain(feature_name, u).served}
    assert found == explained
    return found


@settings(deadline=None, phases=PHASES)
@given(shares=st.tuples(fractions, fractions), name=hashes)
def test_raising_a_share_lets_in_the_buckets_between(
    shares: tuple[float, float], name: str | None
) -> None:
    """Nobody who is in goes out, and nobody else comes in."""
    first, last = sorted(shares)
    own, bucket_of = find_hash(name), bucket_function(name, "X")
    low, high = own.count_up_to(first), own.count_up_to(last)
    before = admitted(Rollout(first, by="id", hash=name))
    after = admitted(Rollout(last, by="id", hash=name))
    assert before <= after
    assert after - before == {u for u in USERS if low <= bucket_of(u) < high}


@settings(deadline=None, phases=PHASES)
@given(name=hashes, bounds=st.lists(fractions, min_size=2, max_size=6))
def test_ranges_let_in_the_buckets_in_them(
    name: str | None, bounds: list[float]
) -> None:
    """Their order does not matter; ranges that touch or overlap are one."""
    ranges = [tuple(sorted(bounds[n : n + 2])) for n in range(len(bounds) - 1)]
    own, bucket_of = find_hash(name), bucket_function(name, "X")
    counts = [(own.count_up_to(start), own.count_up_to(end)) for start, end in ranges]
    expected = {u for u in USERS if any(s <= bucket_of(u) < e for s, e in counts)}
    assert admitted(Rollout(ranges, by="id", hash=name)) == expected


def test_a_share_of_0_lets_nobody_in_and_of_1_everybody() -> None:
    """Whatever the hash; only the first of flagd leaves out two of 2**31 buckets."""
    for name in (None, *HASHES):
        assert not admitted(Rollout(0, by="id", hash=name))
        assert admitted(Rollout(1, by="id", hash=name)) == set(USERS)


def test_the_seed_is_the_name_of_the_flag_unless_one_is_given() -> None:
    """Flags choose other users than each other; a common seed makes them the same."""
    own, shared = Rollout(0.5, by="id"), Rollout(0.5, by="id", seed="X")
    assert admitted(own, "X") == admitted(shared, "Y") == admitted(shared, "X")
    assert admitted(own, "Y") != admitted(own, "X")
    assert admitted(Rollout(0.5, by="id", seed=""), "X") != admitted(own, "X")


def test_a_changing_percentage_is_read_at_each_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A compiled rollout follows a schedule and a ramp."""
    clock = [0.0]
    monkeypatch.setattr("flipper.bucketing.percentage.schedule.time", lambda: clock[0])
    rollout = Rollout(Schedule([(10, 0.5), (20, 1), (30, 0)]), by="id")
    half = admitted(Rollout(0.5, by="id"))
    is_in = rollout.compile("X")
    for now, users in [(9.9, set()), (10, half), (20, set(USERS)), (30, set())]:
        clock[0] = now
        assert {user for user in USERS if is_in(user)} == users == admitted(rollout)
    clock[0] = 15
    assert rollout.percentage == rollout.explain("X", "ada").percentage == 0.5
    ramp = LinearRampPercentage(0.25, 0.75, 100, 1)
    is_in = Rollout(ramp, by="id").compile("X")
    for value in (0.25, 0.75):
        monkeypatch.setattr(LinearRampPercentage, "value", value)
        expected = admitted(Rollout(value, by="id"))
        assert {user for user in USERS if is_in(user)} == expected


def test_explain_says_bucket_and_percentage() -> None:
    """Both are fractions, and the user is in if the bucket is below the percentage."""
    rollout = Rollout(0.5, by="id", seed="new-checkout")
    assert rollout.explain("X", "ada") == (True, 0.10691, 0.5)
    assert rollout.explain("X", 1) == (True, 0.47406, 0.5)
    ranges = Rollout([(0.1, 0.4), (0.5, 1)], by="id", seed="new-checkout")
    assert ranges.explain("X", 1) == (False, 0.47406, 0.8)
    unleash = Rollout(0.73, by="id", seed="gr1", hash="unleash")
    assert unleash.explain("X", 123) == (True, 0.72, 0.73)


@pytest.mark.parametrize("rollout", ROLLOUTS)
def test_a_rollout_survives_every_copy(rollout: Rollout) -> None:
    """As code, as JSON, as a pickle and as a copy, it lets the same users in."""
    copies = [
        eval(repr(rollout), NAMES),  # noqa: S307  (what is tested)
        Rollout.from_dict(json.loads(json.dumps(rollout.to_dict()))),
        pickle.loads(pickle.dumps(rollout)),  # noqa: S301  (its own pickle)
        copy.deepcopy(rollout),
    ]
    for made in copies:
        assert made == rollout
        assert hash(made) == hash(rollout)
        assert repr(made) == repr(rollout)
        assert admitted(made) == admitted(rollout)
    assert [other for other in ROLLOUTS if other == rollout] == [rollout]


def test_the_plain_data_leaves_defaults_out() -> None:
    """It is the form of flag files and of stored rules."""
    assert Rollout(0.125, "user_id").to_dict() == {"rollout": 0.125, "by": "user_id"}
    assert Rollout([(0.5, 1)], ["a", "b"], "s", "unleash").to_dict() == {
        "rollout": [[0.5, 1]],
        "by": ["a", "b"],
        "seed": "s",
        "hash": "unleash",
    }
    assert Rollout(RAMP, "user_id").to_dict()["rollout"] == RAMP.to_dict()


def test_one_share_has_one_form() -> None:
    """Equal shares are equal, however they are written."""
    half = Rollout(0.5, by="id")
    for share in (
        *(
            Percentage(0.5),
            [(0, 0.5)],
            [(0.25, 0.5), (0, 0.25)],
            [(0, 0.5), (0.1, 0.2)],
        ),
        *(Fraction(1, 2), [(0, 0.5), (0.7, 0.7)]),
    ):
        assert Rollout(share, by=["id"]) == half
        assert repr(Rollout(share, by=("id",))) == "Rollout(0.5, by='id')"
    assert Rollout([(0.7, 0.7)], by="id") == Rollout([], by="id") == Rollout(0, by="id")
    assert half != Rollout(0.5, by="id", seed="X")
    assert half != 0.5


def test_a_rollout_cannot_be_changed() -> None:
    """Flags share it, and threads do."""
    rollout = Rollout(0.5, by="id")
    for name in ("share", "by", "new"):
        with pytest.raises(AttributeError, match="cannot be changed"):
            setattr(rollout, name, 1)
    with pytest.raises(AttributeError, match="cannot be changed"):
        del rollout.share
    assert rollout.argument_names == ("id",)
    assert Rollout(0.5, by=("a", "b")).argument_names == ("a", "b")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"share": 50}, "is 50; use a number from 0 to 1, as Rollout(0.5, ...)"),
    ({"share": 12.5}, "is 12.5; use a number from 0 to 1, as Rollout(0.125, ...)"),
    ({"share": Percentage(50)}, "is 50; use a number from 0 to 1"),
    *(
        ({"share": share}, "use a number from 0 to 1")
        for share in (
            -0.1,
            101,
            float("nan"),
            True,
            None,
            "0.5",
            {"a": 1},
            Decimal("0.5"),
        )
    ),
    ({"share": LinearRampPercentage(0, 50, 60)}, "The final_value 50 of the Rollout"),
    ({"share": LinearRampPercentage(0, 1, -1)}, "The ramp_duration -1 of the Rollout"),
    ({"share": [0.1, 0.2]}, "or a list of ranges, as Rollout([(0, 0.25), (0.5, 0.75)]"),
    ({"share": [(0.1, 0.2, 0.3)]}, "or a list of ranges"),
    ({"share": [(0.2, 0.1)]}, "ends before it starts; use (0.1, 0.2)"),
    ({"share": [(0, 25)]}, "in (0, 25) is 25; use a number from 0 to 1"),
    *(({"by": by}, f"by={by!r} of the Rollout") for by in ("", None, 5, (), ["a", 5])),
    *(({"by": by}, "of which the first given") for by in ({"id": 1}, {"id"})),
    ({"by": ("a", "a")}, "names an argument twice; use a name, as by='user_id'"),
    ({"seed": 5}, "The seed 5 of the Rollout is not text; use text"),
    ({"hash": "md5"}, "hash='md5' is unknown; use 'flagd'"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_what_cannot_be_used_is_refused(
    arguments: dict[str, Any], message: str
) -> None:
    """The error names the value and the remedy."""
    with pytest.raises(InvalidArgumentError) as caught:
        Rollout(**{"share": 0.5, "by": "id", **arguments})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        *(None, [], {}, {"rollout": 0.5}, {"by": "id"}, {"rollout": None, "by": "id"}),
        *({"rollout": 0.5, "by": "id", "sed": "x"}, {"rollout": 50, "by": "id"}),
        *({"rollout": [[0, "1"]], "by": "id"}, {"rollout": 0.5, "by": [["id"]]}),
    ],
)
def test_broken_plain_data_is_refused(fields: Any) -> None:
    """A flag with it is a broken document, so the default is answered."""
    with pytest.raises(InvalidArgumentError):
        Rollout.from_dict(fields)


def test_an_unknown_percentage_is_refused() -> None:
    """It may be one of a newer version, or of another application."""
    with pytest.raises(PercentageFactory.InvalidPercentageTypeError):
        Rollout.from_dict({"rollout": {"type": "Unknown"}, "by": "id"})


def test_a_time_zone_does_not_matter() -> None:
    """A schedule keeps seconds since the epoch."""
    when = datetime(2030, 1, 1, tzinfo=timezone.utc)
    rollout = Rollout(Schedule([(when, 0.5)]), by="id")
    assert rollout == Rollout(Schedule([(when.timestamp(), 0.5)]), by="id")
