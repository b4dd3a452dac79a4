# SPDX-License-Identifier: Apache-2.0
"""Broken documents of flags with rules: none is on, and none raises.

`FLIPPER_FUZZ_CASES=1000` tries all 500 of them, and more.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from flipper import FeatureFlagClient
from flipper.contrib.storage import FeatureFlagStoreItem
from flipper.exceptions import InvalidFlagDataError
from support.broken_rules import EXPRESSIONS, SERVED, hostile_rules
from support.custom_stores import CustomStore
from support.fuzz import CASES

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLS: list[dict[str, Any]] = [{}, {"user_id": 1}, {"user_id": "u", "a": 1, "age": 20}]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Log nothing: hundreds of tracebacks take seconds."""
    log = logging.getLogger("flipper")
    level = log.level
    log.setLevel(logging.CRITICAL)
    yield
    log.setLevel(level)


def test_no_broken_document_with_rules_is_on() -> None:
    """Every way to ask gives the default, and every broken document is an error."""
    store = CustomStore()
    store.documents = hostile_rules(CASES // 2)
    client = FeatureFlagClient(store)
    for name, document in store.documents.items():
        with pytest.raises(InvalidFlagDataError):
            FeatureFlagStoreItem.deserialize(document)
        for call in CALLS:
            assert client.is_enabled(name, **call) is False, document
            assert client.variant(name, "none", **call) == "none"
            assert client.explain(name, **call).enabled is False
    every = client.evaluate_all(names=[*store.documents], user_id=1)
    assert every == dict.fromkeys(store.documents, False)


@pytest.mark.parametrize("part", ["when", "serve", "otherwise"])
def test_no_part_that_cannot_be_read_is_on(part: str) -> None:
    """Whatever the one part is that this version does not understand."""
    for value in EXPRESSIONS if part == "when" else SERVED:
        rule: dict[str, Any] = {"serve": True}
        rules: dict[str, Any] = {"version": 1, "is_enabled": True, "rules": [rule]}
        (rules if part == "otherwise" else rule)[part] = value
        rules["variants"] = {"blue": 1, "green": 2}
        document = {
            "feature_name": "x",
            "is_enabled": False,
            "meta": {
                "client_data": {"__rules__": rules},
                "created_date": 1,
                "bucketer": {"type": "NoOpBucketer", "rules": 1},
            },
        }
        with pytest.raises(InvalidFlagDataError):
            FeatureFlagStoreItem.deserialize(json.dumps(document))


def test_the_documents_are_those_of_flags_that_are_on() -> None:
    """Without their defect, all of the flags would be on, so that the defect counts."""
    from random import Random

    from support.broken_rules import _flag

    flag = _flag(Random(1), "x")  # noqa: S311
    item = FeatureFlagStoreItem.deserialize(json.dumps(flag))
    assert all(item.is_enabled(**call) for call in CALLS)
