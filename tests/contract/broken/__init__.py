# SPDX-License-Identifier: Apache-2.0
"""Stores that each break one promise, and the rules of the contract that catch them.

The modules are named after those of `flipper.testing.contract`; `caches` has caches
that break several of them. `broken_stores.py` runs the contract on the stores, and
`test_contract_catches.py` wants the rules to fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import Phase, settings
from stores import Documents, OldStyle, Rows, Table

from flipper.testing import StoreContract

if TYPE_CHECKING:
    from collections.abc import Callable

RULES: dict[str, tuple[str, ...]] = {}
"""The rules that have to fail, by the name of the class of tests."""
TESTS: dict[str, type[Any]] = {}
"""The classes of tests, by their names."""


def breaks(*rules: str) -> Callable[[type[Any]], type[Any]]:
    """Make a class of tests for the decorated store, which the rules have to catch."""

    def add(kind: type[Any]) -> type[Any]:
        base = Documents if issubclass(kind, Rows) else OldStyle
        _add(kind, base, rules, kind=kind, repetitions=20, seed=1)
        return kind

    return add


def cache_breaks(cache: type[Any], *rules: str) -> None:
    """Make a class of tests for a cache in front of a store that breaks no rule."""

    def make_store(self: Any) -> Any:
        return cache(Rows(Table()))

    _add(cache, Documents, rules, make_store=make_store, atomic=None)


def _add(
    cls: type[Any], base: type[Any], rules: tuple[str, ...], **attributes: Any
) -> None:
    name = f"Test{cls.__name__}"
    attributes["__module__"] = "broken_stores"
    TESTS[name] = type(name, (base, StoreContract), attributes)
    RULES[name] = rules


def settings_without_shrinking(**options: Any) -> settings:
    """Return settings of hypothesis that do not search for the shortest failure."""
    return settings(**{**options, "phases": [Phase.generate]})
