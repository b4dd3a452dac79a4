# SPDX-License-Identifier: Apache-2.0
"""The bucketer that always gives the same answer for the same arguments."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from flipper.bucketing import ConsistentHashPercentageBucketer, Percentage
from flipper.bucketing import consistent_hash_percentage_bucketer as module
from flipper.bucketing.consistent_hash_percentage_bucketer import KnownBuckets
from support.copies import every_copy


def documented_bucket(**arguments: Any) -> int:
    """Return the bucket (0 to 99) of these arguments as the README defines it."""
    text = json.dumps(sorted(arguments.items()))
    digest = hashlib.sha1(text.encode()).hexdigest()  # noqa: S324  (no secret)
    return int(digest, 16) % 100


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> dict[str, KnownBuckets]:
    """Give the tables that bucketers share, empty and with room for three."""
    made: dict[str, KnownBuckets] = {}
    monkeypatch.setattr(module, "_tables", made)
    monkeypatch.setattr(module, "_TABLES_KEPT", 3)
    return made


@pytest.mark.parametrize("value", ["", "a", "é", "\ud800", '"\\', 0, 7, -1, 10**30])
def test_a_table_has_the_documented_buckets(value: Any) -> None:
    """A bucket is computed when it is first read, and is kept."""
    table = KnownBuckets('user "id"')
    assert value not in table
    for _ in range(2):
        assert table[value] == documented_bucket(**{'user "id"': value})
    assert list(table) == [value]


def test_a_table_never_exceeds_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full table is emptied before the next bucket is kept."""
    monkeypatch.setattr(module, "_BUCKETS_KEPT", 3)
    table = KnownBuckets("a")
    sizes = []
    for user in range(7):
        assert table[user] == documented_bucket(a=user)
        sizes.append(len(table))
    assert sizes == [1, 2, 3, 1, 2, 3, 1]


@pytest.mark.parametrize(
    ("share", "count"),
    [
        *((-1, 0), (0, 1), (0.009, 1), (0.01, 2), (0.28, 29), (0.29, 30), (0.5, 51)),
        *((0.57, 58), (0.58, 59), (0.989, 99), (0.99, 100), (1, 100), (2, 100)),
    ],
)
def test_the_buckets_up_to_a_share_are_counted(share: float, count: int) -> None:
    """The bucket that equals the share counts."""
    assert KnownBuckets.count_up_to(share) == count
    assert count == sum(number / 100 <= share for number in range(100))


def test_bucketers_with_one_name_share_its_table(
    tables: dict[str, KnownBuckets],
) -> None:
    """A bucket that one flag has computed is known to the others."""
    one, other = (
        ConsistentHashPercentageBucketer(key_whitelist=["a"]) for _ in range(2)
    )
    assert one.known_buckets is not None
    assert one.known_buckets is other.known_buckets is tables["a"]
    assert one.known_buckets.name == "a"
    assert one.bucket(a="x", b=1) == documented_bucket(a="x") / 100
    assert dict(tables["a"]) == {"x": documented_bucket(a="x")}


def test_only_so_many_tables_are_shared(tables: dict[str, KnownBuckets]) -> None:
    """A bucketer with another name has a table of its own then."""
    shared = {
        name: ConsistentHashPercentageBucketer(key_whitelist=[name]).known_buckets
        for name in "abc"
    }
    assert list(tables) == ["a", "b", "c"]
    extra = ConsistentHashPercentageBucketer(key_whitelist=["d"]).known_buckets
    assert extra is not None
    assert extra.name == "d"
    assert list(tables) == ["a", "b", "c"]
    again = ConsistentHashPercentageBucketer(key_whitelist=["a"])
    assert again.known_buckets is shared["a"]


@pytest.mark.parametrize("names", [None, [], ["a", "b"], ["randomizer"]])
def test_there_is_no_table_without_exactly_one_name_to_hash(names: Any) -> None:
    """A bucketer that hashes several arguments, or none, looks nothing up."""
    assert ConsistentHashPercentageBucketer(key_whitelist=names).known_buckets is None


@every_copy
def test_a_copy_of_a_bucketer_has_the_shared_table(duplicate: Any) -> None:
    """Copies and pickles carry no table of their own."""
    bucketer = ConsistentHashPercentageBucketer(key_whitelist=["a"], percentage=0.5)
    again = duplicate(bucketer)
    assert again.known_buckets is bucketer.known_buckets
    assert again.to_dict() == bucketer.to_dict()


def test_the_white_list_has_each_name_once_in_order_of_mention() -> None:
    """A single name may be given as text."""
    bucketer = ConsistentHashPercentageBucketer(key_whitelist=["b", "a", "b"])
    assert bucketer.key_whitelist == ["b", "a"]
    bucketer = ConsistentHashPercentageBucketer(key_whitelist="user_id")
    assert bucketer.key_whitelist == ["user_id"]
    assert ConsistentHashPercentageBucketer(key_whitelist=None).key_whitelist == []


def test_decide_explains_what_check_answers() -> None:
    """It returns the answer, the bucketer, the bucket and the percentage."""
    bucketer = ConsistentHashPercentageBucketer(percentage=0.48)
    assert bucketer.decide({"user_id": 1}) == (True, bucketer, 0.48, 0.48)
    assert bucketer.decide({"user_id": 2}) == (False, bucketer, 0.94, 0.48)
    assert bucketer.check(user_id=1) is True
    assert bucketer.check(user_id=2) is False
    nobody = ConsistentHashPercentageBucketer(percentage=0)
    assert nobody.decide({"user_id": {1}}) == (False, nobody, None, 0)


def test_a_randomizer_is_never_hashed() -> None:
    """Whatever it is, the bucket is that of the other arguments."""
    for names in ([], ["user_id", "randomizer"]):
        bucketer = ConsistentHashPercentageBucketer(key_whitelist=names)
        assert bucketer.bucket(user_id=1, randomizer={1}) == 0.48
        assert bucketer.check(randomizer=object(), user_id=1) is True


def test_plain_data_makes_an_equal_bucketer() -> None:
    """Missing fields are an empty white list and a percentage of 1."""
    bucketer = ConsistentHashPercentageBucketer(
        key_whitelist=["a", "b"], percentage=Percentage(0.25)
    )
    fields = bucketer.to_dict()
    assert fields == {
        "type": "ConsistentHashPercentageBucketer",
        "percentage": {"type": "Percentage", "value": 0.25},
        "key_whitelist": ["a", "b"],
    }
    assert ConsistentHashPercentageBucketer.from_dict(fields).to_dict() == fields
    bare = ConsistentHashPercentageBucketer.from_dict({})
    assert (bare.key_whitelist, bare.percentage) == ([], 1.0)
