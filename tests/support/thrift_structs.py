# SPDX-License-Identifier: Apache-2.0
"""Structs of the Thrift service, and a Thrift store whose client is a mock."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

from flipper import Condition, ThriftRPCFeatureFlagStore
from flipper.bucketing import (
    ConsistentHashPercentageBucketer,
    LinearRampPercentage,
    NoOpBucketer,
    Percentage,
    PercentageBucketer,
)
from flipper.contrib.storage import FeatureFlagStoreMeta
from flipper_thrift.python.feature_flag_store import ttypes

NOT_FOUND = ttypes.FlipperException(ttypes.ErrorCode.NOT_FOUND, "gone")
OTHER_ERROR = ttypes.FlipperException(7, "no entry")


def struct(name: str | None = "f", **fields: Any) -> Any:
    """Return the struct of a flag that is on, with this metadata."""
    meta = ttypes.FeatureFlagStoreMeta(**{"created_date": 5, **fields})
    return ttypes.FeatureFlagStoreItem(name, True, meta)


def check(variable: str | None, value: str | None, symbol: str | None = None) -> Any:
    """Return the struct of a check."""
    return ttypes.ConditionCheck(variable, value, ttypes.ConditionOperator(symbol))


def store_answering(answer: Any) -> ThriftRPCFeatureFlagStore:
    """Return a store whose client answers every call so, or raises it."""
    given = {"side_effect": answer} if isinstance(answer, Exception) else {}
    methods = ("Create", "Get", "Set", "Delete", "List", "SetMeta")
    client = Mock(**{name: Mock(return_value=answer, **given) for name in methods})
    return ThriftRPCFeatureFlagStore(client)


METAS = [
    FeatureFlagStoreMeta(0),
    FeatureFlagStoreMeta(2**40, client_data={"ключ": ["\ud800", None, 1.5, {"": {}}]}),
    *(
        FeatureFlagStoreMeta(1, conditions=[Condition(**{f"größe{suffix}": value})])
        for suffix, value in {
            "": "🐎",
            "__ne": None,
            "__gt": 9000,
            "__gte": 1.5,
            "__lt": -1,
            "__lte": True,
            "__in": ["a", "ß"],
            "__not_in": [],
            "__x__in": {"k": 1},
        }.items()
    ),
    *(
        FeatureFlagStoreMeta(1, bucketer=bucketer)
        for bucketer in (
            NoOpBucketer(),
            PercentageBucketer(Percentage(0.25)),
            PercentageBucketer(LinearRampPercentage(0.1, 0.9, 60, 1500000000)),
            ConsistentHashPercentageBucketer(
                key_whitelist=["b", "a"], percentage=Percentage(0.5)
            ),
            ConsistentHashPercentageBucketer(
                percentage=LinearRampPercentage(1, 0, 5, 1500000000)
            ),
        )
    ),
]
"""Metadata with every kind of condition and bucketer."""

BROKEN = [
    None,
    struct(client_data="{"),
    struct(client_data="5"),
    struct(client_data="[" * 100_000),
    struct(bucketer="x"),
    struct(bucketer="[1]"),
    struct(bucketer='{"type": "Unheard"}'),
    struct(bucketer='{"type": "PercentageBucketer", "percentage": 5}'),
    struct(conditions=[{"a": [check("a", "1", "like")]}]),
    struct(conditions=[{"a": [check("a", "1", "")]}]),
    struct(conditions=[{"a": [check("a", "")]}]),
    struct(conditions=[{"a": [None]}]),
    struct(conditions=[None]),
    struct(conditions=5),
]
"""Answers that are no flag."""
