# SPDX-License-Identifier: Apache-2.0
"""GrowthBook's own cases of its hash, its ranges and its namespaces."""

from __future__ import annotations

from typing import Any

import pytest

from flipper.exceptions import InvalidArgumentError
from flipper.importers.growthbook_ranges import equal_weights, variation_ranges
from flipper.rules.hashing import find_hash
from flipper.rules.rollout import Rollout
from flipper.rules.split import Split
from suites import read_suite

HASHES = {1: "growthbook-v1", 2: "growthbook"}


def cases(topic: str) -> list[Any]:
    """Return the cases of a topic."""
    found = read_suite("growthbook/cases.json")[topic]
    assert found
    return list(found)


def test_the_hash_agrees() -> None:
    """Every case of a known version has the same bucket; another version is refused."""
    for seed, value, version, expected in cases("hash"):
        if version not in HASHES:
            assert expected is None
            with pytest.raises(InvalidArgumentError):
                find_hash(f"growthbook-v{version}")
            continue
        own = find_hash(HASHES[version])
        assert own.bucket(seed, value) / own.buckets == expected, (seed, value)


def test_the_ranges_agree() -> None:
    """Every case of coverage and weights has the same ranges."""
    for name, arguments, expected in cases("getBucketRange"):
        ranges = [list(pair) for pair in variation_ranges(*arguments)]
        assert ranges == [pytest.approx(pair, abs=1e-6) for pair in expected], name


def test_the_equal_weights_agree() -> None:
    """Every number of variations has the same weights."""
    for count, expected in cases("getEqualWeights"):
        assert equal_weights(count) == pytest.approx(expected, abs=1e-6)


def test_the_chosen_variations_agree() -> None:
    """A value with the bucket of the case is served the variation of the case."""
    own = find_hash("growthbook")
    wanted = {round(n * own.buckets) for _, n, _, _ in cases("chooseVariation")}
    texts: dict[int, str] = {}
    number = 0
    while wanted - texts.keys():
        number += 1
        texts[own.bucket("s", str(number))] = str(number)
    for name, n, ranges, expected in cases("chooseVariation"):
        shares = {str(index): [pair] for index, pair in enumerate(ranges)}
        choose = Split(shares, by="id", seed="s", hash="growthbook").compile("f")
        served = choose(texts[round(n * own.buckets)])
        assert served == (None if expected == -1 else str(expected)), name


def test_the_namespaces_agree() -> None:
    """Every user is in the same namespaces."""
    for name, user, (namespace, start, end), expected in cases("inNamespace"):
        share, seed = [(start, end)], f"__{namespace}"
        rollout = Rollout(share, by="id", seed=seed, hash="growthbook-v1")
        assert rollout.compile("f")(user) is expected, name
        assert rollout.explain("f", user).served is expected, name
