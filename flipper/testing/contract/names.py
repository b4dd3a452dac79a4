# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: S101  (these are tests)
"""Rules about the names of flags."""

from __future__ import annotations

from typing import Any

import pytest

from ...contracts.update import update
from ...contrib.storage import FeatureFlagStoreMeta
from ...exceptions import FlagDoesNotExistError
from ..items import adding, names
from ..samples import for_each
from .base import ContractBase


class NameRules(ContractBase):
    """Which names a store has to accept, and to keep apart."""

    def test_any_text_names_a_flag(self, store: Any) -> None:
        """A name may hold any characters, also those special to a database."""
        possible = self._possible_names()
        for_each(possible, lambda _, name: self._use_name(store, name))

    def test_a_long_name_names_a_flag(self, store: Any) -> None:
        """A store must not shorten names: another flag may have the short one."""
        characters = self.longest_name // 3
        self._use_name(store, "f" * self.longest_name)
        self._use_name(store, "能" * characters)
        store.create("f" * (self.longest_name - 1))
        assert store.get("f" * self.longest_name) is None

    def test_names_that_look_alike_are_different_flags(self, store: Any) -> None:
        """A store changes no name, so two names never mean one flag."""
        every = list(self._possible_names().values())
        for name in every:
            store.create(name, client_data={"name": name})
        assert sorted(names(store.list())) == sorted(every)
        for name in every:
            assert store.get(name).feature_name == name
            assert store.get(name).meta["client_data"] == {"name": name}

    def _use_name(self, store: Any, name: str) -> None:
        store.create(name)
        store.set(name, True)
        update(store, name, adding(data={"a": 1}))
        item = store.get(name)
        assert (item.feature_name, item.raw_is_enabled) == (name, True)
        assert item.meta["client_data"] == {"a": 1}
        assert names(store.list()).count(name) == 1
        store.delete(name)
        assert store.get(name) is None
        with pytest.raises(FlagDoesNotExistError):
            store.set_meta(name, FeatureFlagStoreMeta(1))
