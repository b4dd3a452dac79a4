# SPDX-License-Identifier: Apache-2.0
"""Golden cases: the exact text of stored flags, and reading it back."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from golden import Case, agree, cases, decode, make_meta, meta_fields, outcome

from flipper.bucketing import BucketerFactory, PercentageFactory
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta

if TYPE_CHECKING:
    from collections.abc import Callable


def item(given: Any) -> Any:
    """Write an item."""
    meta = make_meta(given["meta"])
    made = FeatureFlagStoreItem(given["feature_name"], given["is_enabled"], meta)
    return {"text": made.serialize().decode()}


def reserialize(given: Any) -> Any:
    """Read a document and write it again."""
    read = FeatureFlagStoreItem.deserialize(given["text"].encode())
    return {
        "text": read.serialize().decode(),
        "feature_name": read.feature_name,
        "raw_is_enabled": read.raw_is_enabled,
        "meta": read.meta,
    }


def meta_from_dict(given: Any) -> Any:
    """Read metadata, complete or not."""
    return FeatureFlagStoreMeta.from_dict(decode(given)).to_dict()


def meta_update(given: Any) -> Any:
    """Apply updates one after the other."""
    meta = make_meta(given["meta"])
    states = []
    for update in given["updates"]:
        fields = meta_fields(update)
        if "created_date" in update:
            fields["created_date"] = update["created_date"]
        meta.update(**fields)
        states.append(copy.deepcopy(meta.to_dict()))
    return states


def described(made: Any) -> dict[str, Any]:
    """Return the attributes that bucketers and percentages share."""
    return {
        "class": type(made).__name__,
        "get_type": made.get_type(),
        "to_dict": made.to_dict(),
    }


def bucketer(given: Any) -> Any:
    """Make a bucketer of its stored form."""
    made = BucketerFactory.create(decode(given))
    result = described(made)
    if result["to_dict"].get("percentage", {}).get("type") == "Percentage":
        result["percentage"] = made.percentage
    return result


def percentage(given: Any) -> Any:
    """Make a percentage of its stored form."""
    made = PercentageFactory.create(decode(given))
    result = described(made)
    if result["class"] == "Percentage":
        result["value"] = made.value
    return result


KINDS: dict[str, Callable[[Any], Any]] = {
    "item": item,
    "reserialize": reserialize,
    "meta_from_dict": meta_from_dict,
    "meta_update": meta_update,
    "bucketer": bucketer,
    "percentage": percentage,
}


@pytest.mark.parametrize("case", cases("serialization"))
def test_documents_are_those_of_flipper_client(case: Case) -> None:
    """Documents have the same bytes as in flipper-client, and are read alike."""
    agree(case["expect"], outcome(lambda: KINDS[case["kind"]](case["given"])))
