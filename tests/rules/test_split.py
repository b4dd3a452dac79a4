# SPDX-License-Identifier: Apache-2.0
"""Splits: which variant a user is served, and who moves when the shares change."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flipper import FeatureFlagClient, MemoryFeatureFlagStore
from flipper.exceptions import InvalidArgumentError
from flipper.rules import Rule
from flipper.rules.hashing import find_hash
from flipper.rules.split import Split
from support.fuzz import PHASES

USERS = [f"user-{number}" for number in range(500)]
COLORS = {"blue": 0.5, "green": 0.3, "red": 0.2}
SPLITS = [
    Split(COLORS, by="user_id"),
    Split({"red": 0.2, "green": 0.3, "blue": 0.5}, by="user_id"),
    Split({"a": 0.1, "b": 0.2, "c": 0}, by=("user_id", "session.id"), seed=""),
    Split({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}, by="user_id"),
    Split({"b": [(0.5, 0.75)], "a": [(0, 0.25), (0.75, 1)], "c": []}, by="user_id"),
    Split({"x": 0.5, "y": 0.5}, by="id", seed="f", hash="unleash-variants:2"),
    Split({"x": [(0, 0.25)], "y": [(0.5, 0.75)]}, by="id", hash="growthbook"),
]


def variants(split: Split) -> list[str | None]:
    """Return what users are served; `explain` says the same."""
    choose = split.compile("X")
    served = [choose(user) for user in USERS]
    assert served == [split.explain("X", user).served for user in USERS]
    return served


def by_bucket(split: Split) -> list[str | None]:
    """Return what each bucket is served, as another flag system compares."""
    total = find_hash(split.hash).buckets
    found: list[str | None] = [None] * total
    for bucket in range(total):
        for name, ranges in split.ranges.items():
            if any(start <= bucket / total < end for start, end in ranges):
                found[bucket] = name
    return found


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_survives_every_copy(split: Split) -> None:
    """As code, as JSON, as a pickle and as a copy, everybody is served the same."""
    copies = [
        eval(repr(split), {"Split": Split}),  # noqa: S307  (what is tested)
        Split.from_dict(json.loads(json.dumps(split.to_dict()))),
        pickle.loads(pickle.dumps(split)),  # noqa: S301  (its own pickle)
        copy.deepcopy(split),
    ]
    for made in copies:
        assert made == split
        assert hash(made) == hash(split)
        assert variants(made) == variants(split)
    assert [other for other in SPLITS if other == split] == [split]


@pytest.mark.parametrize("split", SPLITS)
def test_the_order_of_keys_in_plain_data_does_not_matter(split: Split) -> None:
    """A JSON object has no order, and some databases and tools change it."""
    text = json.dumps(split.to_dict(), sort_keys=True)
    assert variants(Split.from_dict(json.loads(text))) == variants(split)


@pytest.mark.parametrize(
    "shares", [{"green": 0.5, "blue": 0.25}, {"c": 0.0, "b": 0.5, "a": 0.25, "d": 0.0}]
)
def test_the_plain_data_of_equal_splits_is_the_same_text(shares: Any) -> None:
    """A store, and an export of it, keep the same bytes, whatever the order was."""
    split = Split(shares, by="id")
    read = Split.from_dict(split.to_dict())
    assert json.dumps(read.to_dict()) == json.dumps(split.to_dict())
    assert variants(read) == variants(split)


def test_the_explanation_of_a_split_has_no_percentage() -> None:
    """It would be that of one variant, and read as that of the flag."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("X", is_enabled=True)
    for shares in (COLORS, {"blue": 0}):
        client.set_rules("X", [Rule(None, Split(shares, by="id"))])
        told = client.explain("X", id=1)
        assert (told.bucket is None, told.percentage) == (False, None)
        assert "percentage" not in str(told)
    assert str(told).startswith("Feature 'X' is off: its rule 1 holds for bucket 0.")


def test_numbers_are_written_as_numbers_where_they_say_all() -> None:
    """Ranges that are not those of the numbers, in order of the names, are written."""
    assert Split(COLORS, "id").to_dict() == {"split": COLORS, "by": "id"}
    assert repr(Split({"b": 0.25, "a": 0.5}, "id")) == (
        "Split({'b': 0.25, 'a': 0.5}, by='id')"
    )
    assert Split({"b": 0.25, "a": 0.5}, "id").to_dict()["split"] == {
        "b": [[0, 0.25]],
        "a": [[0.25, 0.75]],
    }
    ranges = {"a": [(0, 0.5)], "b": [(0.5, 1)]}
    assert Split(ranges, "id") == Split({"a": 0.5, "b": 0.5}, "id")
    assert repr(Split({"a": [(0.5, 1)]}, "id")) == "Split({'a': [(0.5, 1)]}, by='id')"


def test_each_user_is_served_the_variant_of_the_bucket() -> None:
    """The users behind the last range, or between two, are served nothing."""
    # SHA-1 of "new-checkout:split:ada", and so on, modulo 100,000.
    split = Split({"x": 0.1, "y": 0.4}, by="id", seed="new-checkout")
    assert split.explain("X", "ada") == ("y", 0.34485, 0.4)
    assert split.explain("X", "") == (None, 0.84768, 0.5)
    assert split.explain("X", True) == ("x", 0.03106, 0.1)
    gaps = Split({"x": [(0, 0.1)], "y": [(0.4, 0.45)]}, by="id", seed="new-checkout")
    assert gaps.explain("X", "ada") == (None, 0.34485, 0.85)
    assert gaps.explain("X", 1) == ("y", 0.43924, 0.05)


shares_of_a_split = st.dictionaries(
    st.sampled_from("abcde"), st.integers(0, 1000), min_size=1
).flatmap(
    lambda weights: st.floats(0.3, 1).map(
        lambda total: {
            name: total * weight / (sum(weights.values()) or 1)
            for name, weight in weights.items()
        }
    )
)
small_hashes = st.sampled_from(
    ["unleash", *(f"unleash-variants:{n}" for n in (2, 7, 31))]
)


@settings(deadline=None, phases=PHASES)
@given(name=small_hashes, changes=st.lists(shares_of_a_split, min_size=2, max_size=5))
def test_new_shares_move_as_few_users_as_possible(
    name: str, changes: list[dict[str, float]]
) -> None:
    """As few as the total variation distance, for every one of a row of changes."""
    old = Split(changes[0], by="id", hash=name)
    for shares in changes[1:]:
        wanted = Split(shares, by="id", hash=name)
        new = wanted.keeping(old)
        before, after, plain = by_bucket(old), by_bucket(new), by_bucket(wanted)
        moves = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
        growth = {
            each: plain.count(each) - before.count(each)
            for each in {*before, *plain, *after}
        }
        assert all(after.count(each) == plain.count(each) for each in growth)
        assert len(moves) == sum(change for change in growth.values() if change > 0)
        assert not any(growth[source] > 0 or growth[end] < 0 for source, end in moves)
        assert new.keeping(old) == new.keeping(new) == new
        assert set(new.ranges) == set(shares)
        old = new


def test_raising_one_share_moves_only_users_to_it() -> None:
    """With flipper's own hash, by users."""
    old = Split({"blue": 0.2, "green": 0.3, "red": 0.2}, by="id")
    new = Split({"blue": 0.4, "green": 0.3, "red": 0.2}, by="id").keeping(old)
    assert new.shares == {"blue": 0.4, "green": 0.3, "red": 0.2}
    moves = {p for p in zip(variants(old), variants(new), strict=True) if p[0] != p[1]}
    assert moves == {(None, "blue")}
    assert repr(new) == (
        "Split({'blue': [(0, 0.2), (0.7, 0.9)], 'green': [(0.2, 0.5)], "
        "'red': [(0.5, 0.7)]}, by='id')"
    )
    back = old.keeping(new)
    assert back == old


def test_a_removed_variant_gives_its_users_to_a_new_one() -> None:
    """Nobody else moves."""
    old = Split({"blue": 0.5, "green": 0.5}, by="id")
    new = Split({"blue": 0.5, "red": 0.5}, by="id").keeping(old)
    moves = set(zip(variants(old), variants(new), strict=True))
    assert moves == {("blue", "blue"), ("green", "red")}


def test_equal_shares_keep_everybody() -> None:
    """Also where they are in another order."""
    old = Split({"green": 0.3, "blue": 0.5}, by="id")
    assert variants(Split(COLORS, by="id").keeping(old)).count("red") > 0
    assert Split({"blue": 0.5, "green": 0.3}, by="id").keeping(old) == old


@pytest.mark.parametrize(
    "other",
    [
        Split(COLORS, by="session_id"),
        Split(COLORS, by="id", seed="X"),
        Split(COLORS, by="id", hash="unleash"),
        None,
    ],
)
def test_users_of_other_buckets_cannot_be_kept(other: Any) -> None:
    """All of them move; the error names the difference."""
    with pytest.raises(InvalidArgumentError) as caught:
        Split(COLORS, by="id").keeping(other)
    assert "; use " in str(caught.value)
    assert caught.value.value is other


def test_a_split_cannot_be_changed() -> None:
    """What its properties return is a copy."""
    split = Split(COLORS, by="id")
    split.shares["blue"] = 0
    split.ranges.clear()
    assert split.shares == COLORS
    assert split.ranges == {
        "blue": ((0, 0.5),),
        "green": ((0.5, 0.8),),
        "red": ((0.8, 1),),
    }
    with pytest.raises(AttributeError, match="cannot be changed"):
        split.by = "other"


def test_shares_with_noise_of_floats_are_accepted() -> None:
    """Ten shares of 0.1, and seven of 1/7, have a sum of about 1."""
    for count in (3, 6, 7, 10, 13):
        shares = {f"{number:02}": 1 / count for number in range(count)}
        assert None not in variants(Split(shares, by="id"))


REFUSED: list[tuple[Any, str]] = [
    ({"a": 50, "b": 50}, "share of 'a' of the Split is 50; use a number from 0 to 1"),
    ({"a": 0.7, "b": 0.4}, "have the sum 1.1; use a sum of at most 1"),
    (
        {"a": True},
        "is True; use a number from 0 to 1, as Split({'blue': 0.5, ...}, ...)",
    ),
    ({"a": "0.5"}, "is '0.5'; use a number"),
    ({"a": 0.5, "b": [(0.5, 1)]}, "share of 'a' of the Split is 0.5; use"),
    ({"a": [(0, 0.5)], "b": [(0.4, 1)]}, "'a' and 'b' of the Split overlap from 0.4"),
    ({"a": [(0.5, 0.4)]}, "ends before it starts; use (0.4, 0.5)"),
    ({"a": [(0, 40)]}, "is 40; use a number from 0 to 1"),
    ({}, "use a dict of variants"),
    ([("a", 0.5)], "use a dict of variants"),
    (0.5, "use a dict of variants"),
    ({5: 0.5}, "5 is not the name of a variant of a Split; use text"),
    ({"": 0.5}, "'' is not the name of a variant of a Split; use text"),
]


@pytest.mark.parametrize(("shares", "message"), REFUSED)
def test_what_cannot_be_used_is_refused(shares: Any, message: str) -> None:
    """The error names the value and the remedy; plain data is checked, too."""
    with pytest.raises(InvalidArgumentError) as caught:
        Split(shares, by="id")
    assert message in str(caught.value)
    with pytest.raises(InvalidArgumentError):
        Split.from_dict({"split": shares, "by": "id"})


@pytest.mark.parametrize(
    "fields", [None, {}, {"split": COLORS}, {"split": COLORS, "by": "id", "rollout": 1}]
)
def test_broken_plain_data_is_refused(fields: Any) -> None:
    """A flag with it is a broken document, so the default is answered."""
    with pytest.raises(InvalidArgumentError, match="; use what its to_dict"):
        Split.from_dict(fields)
