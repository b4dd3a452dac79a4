# SPDX-License-Identifier: Apache-2.0
"""Stored flags: copies, pickles, and reading them from bytes and text."""

from __future__ import annotations

import copy
import json
from typing import Any
from unittest.mock import MagicMock

import pytest

from flipper import FeatureFlagClient, MemoryFeatureFlagStore
from flipper.conditions import Condition
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.exceptions import InvalidFlagDataError
from flipper.explanation import Reason
from support.copies import every_copy, pickled
from support.flag_builders import consistent, make_item


@pytest.fixture
def client() -> FeatureFlagClient:
    """Return a client whose flag `x` is on, and was read before."""
    client = FeatureFlagClient(MemoryFeatureFlagStore(), on_error="raise")
    client.create("x", is_enabled=True)
    assert client.is_enabled("x") is True
    return client


@every_copy
def test_a_compiled_flag_can_be_copied_and_pickled(duplicate: Any) -> None:
    """The copy compiles its rules anew, and gives the same answers."""
    condition = Condition(a=1, b__gt=2)
    item = make_item(condition, bucketer=consistent())
    asked = [({"a": 1}, True), ({"a": 1, "b": 2}, False), ({"user_id": 2}, False)]
    for context, answer in asked:
        assert item.is_enabled(**context) is answer
    condition.check(a=1)
    again, other = duplicate(item), duplicate(condition)
    for context, answer in asked:
        assert again.is_enabled(**context) is answer
    assert other.check(a=1) is True
    assert other.check(a=2) is False
    assert (again.to_dict(), other.to_dict()) == (item.to_dict(), condition.to_dict())


class ConditionWithNote(Condition):
    """A condition with an attribute in a private slot."""

    __slots__ = ("__note",)

    def __init__(self, note: str, **checks: Any) -> None:
        super().__init__(**checks)
        self.__note = note

    def note(self) -> str:
        """Return what was noted."""
        return self.__note


@every_copy
def test_a_custom_condition_is_copied_with_its_attributes(duplicate: Any) -> None:
    """The copy has the slots of the subclass too."""
    again = duplicate(ConditionWithNote("why", a=1))
    assert again.note() == "why"
    assert again.check(a=2) is False


def test_metadata_may_be_a_mock() -> None:
    """A mock with conditions and a bucketer decides like real metadata."""
    meta = MagicMock(spec=FeatureFlagStoreMeta)
    meta.conditions = [Condition(a=1)]
    meta.bucketer = consistent(0)
    double = FeatureFlagStoreItem.__new__(FeatureFlagStoreItem)
    double._set_fields("x", True, meta)
    assert double.is_enabled(a=1) is True
    assert double.is_enabled(a=2) is False
    assert double.is_enabled() is False


def test_a_flag_keeps_its_rules_when_it_is_switched(client: FeatureFlagClient) -> None:
    """A flag that is off ignores its rules, and has them again when it is on."""
    client.add_condition("x", Condition(a=1))
    for _ in range(2):
        assert client.is_enabled("x", a=1) is True
        assert client.is_enabled("x", a=2) is False
        client.disable("x")
        assert client.is_enabled("x", a=1) is False
        assert client.explain("x", a=1).reason is Reason.DISABLED
        client.enable("x")
    client.add_condition("x", Condition(b=1))
    assert client.is_enabled("x", a=1, b=2) is False


DATES = [0, 1, 1795395905, 10**15, 10**16, -1, 1.5, None, "today"]
NAMES = ["x", "", "feature one", "a.b/c:d", 'quo"te', "back\\slash", "tab\t", "é", "😀"]


@pytest.mark.parametrize("is_enabled", [True, False, None, 1])
@pytest.mark.parametrize("date", DATES)
@pytest.mark.parametrize("name", NAMES)
def test_bytes_and_text_give_the_same_flag(
    name: str, date: Any, is_enabled: Any
) -> None:
    """Bytes of a flag without rules are read without JSON, and text is parsed."""
    document = FeatureFlagStoreItem(
        name, is_enabled, FeatureFlagStoreMeta(date)
    ).serialize()
    raw = json.dumps(json.loads(document), ensure_ascii=False).encode()
    for variant in (document, raw, bytearray(document), memoryview(document)):
        item = FeatureFlagStoreItem.deserialize(variant)
        parsed = FeatureFlagStoreItem.deserialize(bytes(variant).decode())
        assert item.to_dict() == parsed.to_dict()
        assert (item.feature_name, item.raw_is_enabled) == (name, is_enabled)
        assert item.raw_meta.created_date == date
        assert type(item.raw_is_enabled) is type(parsed.raw_is_enabled)
        assert item.is_enabled(user_id=1) is parsed.is_enabled(user_id=1)
        assert item.with_state(True).is_enabled() is True


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"true", b"True"),
        (b"true", b"nul"),
        (b"17", b"017"),
        (b"17", b"1_7"),
        (b"17", b""),
        (b"NoOpBucketer", b"NoOpBucketers"),
        (b'"x"', b'"\xff"'),
        (b'"x"', b'"\n"'),
        (b'"x"', b'"\\q"'),
        (b"}}}", b"}}}x"),
        (b"}}}", b"}}"),
    ],
)
def test_broken_bytes_are_refused(old: bytes, new: bytes) -> None:
    """Bytes that look almost like a flag without rules are refused."""
    document = FeatureFlagStoreItem("x", True, FeatureFlagStoreMeta(17)).serialize()
    assert old in document
    for broken in (document.replace(old, new), document.replace(old, new, 1)):
        with pytest.raises(InvalidFlagDataError):
            FeatureFlagStoreItem.deserialize(broken)


def test_containers_of_metadata_are_not_shared() -> None:
    """Client data and conditions are created at the first access, for each flag."""
    meta, other = FeatureFlagStoreMeta(1), FeatureFlagStoreMeta(1)
    meta.client_data["a"] = 1
    meta.conditions.append(Condition(a=1))
    assert meta.client_data == {"a": 1}
    assert len(meta.copy().conditions) == 1
    assert (other.client_data, other.conditions) == ({}, [])
    for copied in (
        copy.copy(meta),
        copy.deepcopy(meta),
        pickled(meta),
    ):
        assert copied.to_dict() == meta.to_dict()


@pytest.mark.parametrize("read", [lambda item: item, pickled, copy.copy])
def test_a_plain_flag_that_was_read_has_all_its_metadata(read: Any) -> None:
    """It is made of the document when it is asked for, and nobody can change it."""
    written = FeatureFlagStoreItem("x", True, FeatureFlagStoreMeta(1_700_000_000))
    item = read(FeatureFlagStoreItem.deserialize(written.serialize()))
    item.raw_meta.client_data["a"] = 1
    item.raw_meta.created_date = 2
    assert item.to_dict() == written.to_dict()
    assert item.serialize() == written.serialize()
    off = item.with_state(False)
    assert off.shares_meta_with(item)
    assert off.meta == written.meta
    assert item.with_name("y").meta == written.meta
    limited = item.with_condition(Condition(a=1))
    assert limited.meta["created_date"] == 1_700_000_000
    assert (limited.is_enabled(a=1), limited.is_enabled(a=2)) == (True, False)
    assert item.decide({})[:2] == (True, Reason.ON)
