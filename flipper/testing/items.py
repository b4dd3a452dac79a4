# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: SLF001  (these are tests)
"""Functions on flags that the contract and the random operations share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..bucketing import Percentage, PercentageBucketer
from ..conditions import Condition
from ..contracts.wrapper import FeatureFlagStoreWrapper
from ..contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from ..runtime.containers import copy_containers
from .samples import CONTEXTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def plain(item: Any) -> dict[str, Any]:
    """Return all that a flag holds, as plain data.

    The conditions become one list of checks: a store may keep one condition with two
    checks as two conditions, which means the same.
    """
    meta = copy_containers(item.meta)  # the store may return what it keeps
    conditions = meta.pop("conditions")
    return {
        "feature_name": item.feature_name,
        "is_enabled": item.raw_is_enabled,
        **meta,
        "checks": [check for condition in conditions for check in checks(condition)],
    }


def checks(condition: dict[str, Any]) -> list[tuple[str, str | None, Any]]:
    """Return the checks of a condition that is plain data."""
    return [
        (check["variable"], check["operator"], check["value"])
        for each in condition.values()
        for check in each
    ]


def names(items: Iterable[Any]) -> list[str]:
    """Return the names of items, in their order."""
    return [item.feature_name for item in items]


def answers(item: Any) -> list[Any]:
    """Return the answers of a flag to all of `CONTEXTS`; a type of error is one too."""
    found: list[Any] = []
    for context in CONTEXTS:
        try:
            found.append(item.is_enabled(**context))
        except TypeError as error:
            found.append(type(error))
    return found


def fill(store: Any, name: str, *, is_enabled: bool = True) -> Any:
    """Create a flag with client data, conditions and a bucketer."""
    item = store.create(name, is_enabled, {"list": [1], "dict": {"a": [1]}})
    meta = FeatureFlagStoreMeta(
        1,
        {"list": [1], "dict": {"a": [1]}},
        [Condition(a=1), Condition(age__gt=18)],
        PercentageBucketer(Percentage(0.5)),
    )
    store.set_meta(name, meta)
    return item


def adding(
    *, data: dict[str, Any] | None = None, condition: Condition | None = None
) -> Callable[[FeatureFlagStoreItem], FeatureFlagStoreItem]:
    """Return a change, as `update` takes it, that adds data or a condition."""

    def change(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        meta = item.raw_meta
        meta.client_data = {**meta.client_data, **(data or {})}
        meta.conditions += [] if condition is None else [condition]
        return item.replace(meta=meta)

    return change


def innermost(store: Any) -> Any:
    """Return the store that keeps the flags, without its wrappers."""
    while isinstance(store, FeatureFlagStoreWrapper):
        store = store._store
    return store
