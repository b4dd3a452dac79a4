# SPDX-License-Identifier: Apache-2.0
"""Prefixes of S3 stores: each has its own flags, and no name leads out of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flipper import FeatureFlagClient
from flipper.contrib.s3 import S3FeatureFlagStore
from flipper.contrib.s3.keys import Keys
from flipper.exceptions import InvalidArgumentError
from support.fuzz import CASES

names = st.text(st.sampled_from([*"/%.2FE5ab", "ü"]), min_size=1, max_size=8)
prefixes = st.text(st.sampled_from([*"/ab%."]), min_size=1, max_size=4).filter(
    lambda prefix: prefix.strip("/")
)


@settings(max_examples=2 * CASES, deadline=None)
@given(first=prefixes, second=prefixes, name=names, other=names)
def test_keys_of_different_prefixes_or_names_differ(
    first: str, second: str, name: str, other: str
) -> None:
    """A key names one flag of one prefix, and is found by listing that prefix only."""
    keys, others = Keys(first), Keys(second)
    key = keys.key_of(name)
    assert keys.name_of(key) == name
    assert key.startswith(f"{first.strip('/')}/")
    assert "/" not in key.removeprefix(keys.start)
    if keys.start != others.start or name != other:
        assert key != others.key_of(other)


def test_a_key_that_no_flag_can_have_is_no_flags() -> None:
    """Other programs may keep objects there, and two keys must not be one flag."""
    keys = Keys("p")
    assert [keys.name_of(f"p/{end}") for end in ("a%2fb", "%41", "%", "")] == [
        *(None, None, None, "")
    ]
    assert keys.name_of("p/a%2Fb%25") == "a/b%"


@pytest.mark.parametrize("prefix", ["", "/", "//"])
def test_without_a_prefix_a_key_is_the_name(prefix: str) -> None:
    """As in flipper-client."""
    keys = Keys(prefix)
    assert keys.key_of("a/%2F..") == "a/%2F.."
    assert keys.name_of("a/%2F..") == "a/%2F.."
    assert keys.listing == {}


@pytest.mark.parametrize("prefix", [None, 5, b"p", "p" * 1025])
def test_a_prefix_that_cannot_be_one_is_refused(prefix: Any) -> None:
    """When the store is made, and not at its first write."""
    with pytest.raises(InvalidArgumentError, match="prefix="):
        Keys(prefix)


@pytest.mark.s3
def test_stores_with_different_prefixes_do_not_see_each_other(
    s3_client: Any, s3_bucket: str
) -> None:
    """Also where one prefix begins with the other."""
    prefixes = ["a", "a/b", "ab", "a%2Fb", "a/b/c", ".."]
    stores = {
        prefix: S3FeatureFlagStore(s3_client, s3_bucket, page_size=2, prefix=prefix)
        for prefix in prefixes
    }
    names = ["x", "b/x", "../x", "..", "/", "b", "c/x", "%2F", "b/c"]
    for prefix, store in stores.items():
        for name in names:
            store.create(name, client_data={"prefix": prefix})
    for prefix, store in stores.items():
        found = {item.feature_name: item for item in store.list()}
        assert found.keys() == set(names)
        for name in names:
            item = store.get(name)
            assert item is not None
            assert item.meta["client_data"] == {"prefix": prefix}
        # Again: what has not changed is not fetched.
        assert [item.feature_name for item in store.list()] == [*found]
        assert len([*store.list(limit=3, offset=2)]) == 3
    stores["a"].set("b/x", True)
    stores["a"].delete("x")
    for prefix in prefixes[1:]:
        item = stores[prefix].get("b/x")
        assert item is not None
        assert item.raw_is_enabled is False
        assert stores[prefix].get("x") is not None
    assert stores["a"].get("x") is None


@pytest.mark.s3
def test_a_flag_lies_below_its_prefix(s3_client: Any, s3_bucket: str) -> None:
    """Other programs and people find it there; slashes at the ends do not count."""
    store = S3FeatureFlagStore(s3_client, s3_bucket, prefix="/team/flags/")
    item = store.create("eu/x y")
    (found,) = s3_client.list_objects_v2(Bucket=s3_bucket)["Contents"]
    assert found["Key"] == "team/flags/eu%2Fx y"
    stored = s3_client.get_object(Bucket=s3_bucket, Key=found["Key"])["Body"].read()
    assert stored == item.serialize()
    s3_client.put_object(Bucket=s3_bucket, Key="team/flags/%78", Body=stored)
    s3_client.put_object(Bucket=s3_bucket, Key="team/flags/", Body=stored)
    assert [item.feature_name for item in store.list()] == ["eu/x y"]


@pytest.mark.s3
def test_a_key_that_is_too_long_is_refused(s3_client: Any, s3_bucket: str) -> None:
    """S3 would refuse it with an error about keys, which users do not know of."""
    store = S3FeatureFlagStore(s3_client, s3_bucket, prefix="p" * 30)
    flags = FeatureFlagClient(store)
    fits, too_long = "n" * (1024 - 31), "n" * (1024 - 30)
    flags.create(fits)
    assert flags.exists(fits) is True
    for name in (too_long, "/" * 500):
        with pytest.raises(InvalidArgumentError, match="use a shorter name or prefix"):
            flags.create(name)
        assert flags.exists(name) is False
        store.delete(name)
    assert [flag.name for flag in flags.list()] == [fits]
