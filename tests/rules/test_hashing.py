# SPDX-License-Identifier: Apache-2.0
"""The hashes agree with published values, so no user changes sides."""

from __future__ import annotations

import hashlib
import json
from enum import IntEnum
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flipper.exceptions import InvalidArgumentError
from flipper.rules.hashing import (
    HASHES,
    bucket_function,
    find_hash,
    fnv1a_32,
    murmur3_32,
    own_check,
    own_choice,
    text_of,
)

FOX = b"The quick brown fox jumps over the lazy dog"
SURROGATE = "\ud800"


class Level(IntEnum):
    """An integer that is written as a name."""

    HIGH = 3


class Name(str):
    """A text that is written as another one."""

    __slots__ = ()

    def __str__(self) -> str:
        return "other"


def own_bucket(seed: str, text: str) -> int:
    """Compute a bucket of flipper's hash in the way its documentation describes."""
    encoded = f"{seed}:{text}".encode("utf-8", "surrogatepass")
    digest = hashlib.sha1(encoded, usedforsecurity=False).hexdigest()
    return int(digest, 16) % 100_000


@pytest.mark.parametrize(
    ("data", "seed", "expected"),
    [
        *((b"", 0, 0), (b"", 1, 0x514E28B7), (b"", 0xFFFFFFFF, 0x81F16F39)),
        *((b"\xff" * 4, 0, 0x76293B50), (b"!Ce\x87", 0, 0xF55B516B)),
        *((b"!Ce", 0, 0x7E4A8634), (b"!C", 0, 0xA0F7B07A), (b"!", 0, 0x72661CF4)),
        *((b"test", 0, 0xBA6BD213), (b"test", 0x9747B28C, 0x704B81DC)),
        *(
            (b"Hello, world!", 0, 0xC0363E43),
            (b"Hello, world!", 0x9747B28C, 0x24884CBA),
        ),
        *((FOX, 0, 0x2E4FF723), (FOX, 0x9747B28C, 0x2FA826CD)),
    ],
)
def test_murmur3_has_the_published_values(
    data: bytes, seed: int, expected: int
) -> None:
    """They cover whole blocks, each length of a last block, and seeds."""
    assert murmur3_32(data, seed) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0x811C9DC5),
        (b"a", 0xE40C292C),
        (b"b", 0xE70C2DE5),
        (b"foobar", 0xBF9CF968),
    ],
)
def test_fnv_has_the_published_values(data: bytes, expected: int) -> None:
    """They are those of the authors of the hash."""
    assert fnv1a_32(data) == expected


@pytest.mark.parametrize(
    ("name", "seed", "text", "expected"),
    [
        ("unleash", "gr1", "123", 73 - 1),
        ("unleash", "groupX", "999", 25 - 1),
        ("unleash-variants:100", "gr1", "123", 96 - 1),
        ("unleash-variants:100", "groupX", "999", 60 - 1),
        ("flipper-rb", "", "123456789", 0xCBF43926 % 100_000),
        ("flipper-rb", "12345", "6789", 0xCBF43926 % 100_000),
    ],
)
def test_a_hash_has_the_published_buckets(
    name: str, seed: str, text: str, expected: int
) -> None:
    """Unleash publishes buckets from 1 on; CRC-32 has a well-known check value."""
    assert find_hash(name).bucket(seed, text) == expected


@pytest.mark.parametrize(
    ("seed", "user", "expected"),
    [
        *(("hashKey.saltyA", "userKeyA", 0.42157587), ("61", "userKeyA", 0.09801207)),
        *(("hashKey.saltyA", "userKeyB", 0.6708485), ("61", "userKeyB", 0.14483777)),
        *(("hashKey.saltyA", "userKeyC", 0.10343106), ("61", "userKeyC", 0.9242641)),
    ],
)
def test_the_hash_of_launchdarkly_has_the_published_buckets(
    seed: str, user: str, expected: float
) -> None:
    """With key and salt of a flag, and with the seed of a rollout."""
    own = find_hash("launchdarkly")
    assert own.bucket(seed, user) / own.buckets == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("name", "quarters"),
    [
        ("flagd", {"jack": 2, "queen": 3, "ten": 0, "nine": 1, "3": 0}),
        ("flagd-v1", {"jack": 3, "queen": 0, "ten": 1, "nine": 2, "3": 1}),
    ],
)
def test_the_hash_of_flagd_has_the_published_quarters(
    name: str, quarters: dict[str, int]
) -> None:
    """Both forms of the operation, for a flag of four variants of the same weight."""
    own = find_hash(name)
    ends = [own.count_up_to(n / 4) for n in (1, 2, 3, 4)]
    for text, quarter in quarters.items():
        bucket = own.bucket("fractional-flag", text)
        assert sum(end <= bucket for end in ends) == quarter


@pytest.mark.parametrize(
    "name", ["growthbook", "growthbook-v1", "flagd", "launchdarkly"]
)
@settings(deadline=None)
@given(numbers=st.tuples(st.integers(0, 10**6), st.integers(1, 10**6)))
def test_a_share_has_the_buckets_that_the_other_system_compares(
    name: str, numbers: tuple[int, int]
) -> None:
    """A bucket is in exactly if its fraction is less than the share, as floats."""
    own = find_hash(name)
    share = min(numbers) / max(numbers)
    count = own.count_up_to(share)
    assert count == 0 or (count - 1) / own.buckets < share
    assert count / own.buckets >= share


@settings(deadline=None)
@given(share=st.floats(0, 1))
def test_a_share_is_rounded_to_the_nearest_bucket(share: float) -> None:
    """Flipper's own hash has 100,000 of them."""
    count = find_hash(None).count_up_to(share)
    assert abs(count - Fraction(share) * 100_000) <= Fraction(1, 2)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *(
            ("a", "a"),
            ("", ""),
            ("é\n", "é\n"),
            (Name("a"), "a"),
            (SURROGATE, SURROGATE),
        ),
        *((7, "7"), (-7, "-7"), (2**70, str(2**70)), (Level.HIGH, "3")),
        *((True, "true"), (False, "false"), (1.5, "1.5"), (1.0, "1.0")),
        *(([1, "a"], '[1, "a"]'), ({"b": 1, "a": 2}, '{"a": 2, "b": 1}')),
    ],
)
def test_a_value_is_hashed_as_its_text(value: Any, text: str) -> None:
    """The two fast functions, and the one that explains, use the same bucket."""
    assert text_of(value) == text
    bucket = own_bucket("seed", text)
    assert bucket_function(None, "seed")(value) == bucket
    assert own_check("seed", bucket + 1)(value) is True
    assert own_check("seed", bucket)(value) is False
    ends = [end for end in (bucket, bucket + 1) if end]
    names = ["before", "own", None][-len(ends) - 1 :]
    assert own_choice("seed", ends, names)(value) == "own"


@settings(deadline=None)
@given(seed=st.text(), text=st.text())
def test_the_own_hash_is_as_documented(seed: str, text: str) -> None:
    """Another program can compute it with any library for SHA-1."""
    assert find_hash(None).bucket(seed, text) == own_bucket(seed, text)


def test_the_buckets_of_known_users_never_change() -> None:
    """A release that changed them would turn flags on and off for users."""
    bucket_of = bucket_function(None, "new-checkout")
    buckets = [bucket_of(value) for value in ("ada", "", 1, True)]
    assert buckets == [10691, 27431, 47406, 35194]


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes"])
@pytest.mark.parametrize("name", [None, "unleash"])
def test_a_value_that_json_cannot_express_is_an_error(
    value: Any, name: str | None
) -> None:
    """A bucket of its address or its order would change from process to process."""
    with pytest.raises(TypeError):
        bucket_function(name, "seed")(value)
    with pytest.raises(TypeError):
        own_check("seed", 1)(value)


@pytest.mark.parametrize(
    "name",
    [
        *("", "sha1", "unleash-variants:", "unleash-variants:0", "unleash-variants:-1"),
        *("unleash-variants:01", "unleash-variants:1.5", f"unleash-variants:{10**10}"),
        *(
            f"unleash-variants:{'9' * 9999}",
            "unleash-variants:²",
            "unleash:5",
            5,
            ["x"],
        ),
    ],
)
def test_an_unknown_hash_is_refused(name: Any) -> None:
    """The error lists all names."""
    with pytest.raises(
        InvalidArgumentError, match="is unknown; use 'flagd', "
    ) as caught:
        find_hash(name)
    assert caught.value.value is name
    assert all(repr(known) in str(caught.value) for known in HASHES)


@pytest.mark.parametrize("name", [*HASHES, "unleash-variants:7"])
def test_every_bucket_is_one_of_its_hash(name: str) -> None:
    """Only the first hash of flagd has two buckets that are in no share."""
    own = find_hash(name)
    above = 2 if name == "flagd-v1" else 0
    buckets = {own.bucket("é", json.dumps(number)) for number in range(500)}
    assert all(0 <= bucket < own.buckets + above for bucket in buckets)
    assert len(buckets) > min(own.buckets, 400) * 0.8
