# SPDX-License-Identifier: Apache-2.0
"""How a client changes client data and rules, which are stored in client data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .arguments import RESERVED_KEY, check_client_data
from .contracts.update import get_uncached
from .contrib.storage import FeatureFlagStoreItem
from .events.types import EventType
from .exceptions import (
    FlagDoesNotExistError,
    InvalidArgumentError,
    InvalidFlagDataError,
)
from .prerequisites import expressions_of, refuse_cycle
from .rules.rules_bucketer import without_rules
from .runtime.containers import copy_containers
from .writing import WritingClient

if TYPE_CHECKING:
    from .conditions.condition import Condition
    from .rules.rule import Rule
    from .rules.rules import Rules


class RulesClient(WritingClient):
    """The part of `FeatureFlagClient` for client data and rules. Thread-safe."""

    if TYPE_CHECKING:

        def _read(self, feature_name: str) -> Any:
            """Return what the store has; the client provides it."""

    def set_client_data(
        self, feature_name: str, client_data: dict[str, Any] | None
    ) -> None:
        """Merge data into the application's own data of a flag.

        Args:
            feature_name: the flag.
            client_data: replaces values of the same names; `None` changes nothing.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            InvalidArgumentError: the data is not a dict, or cannot be stored.
        """
        before, _ = self._prepare_write(feature_name, check_client_data, client_data)
        given = copy_containers(client_data)
        if before is not None:
            merged = without_rules(before.meta["client_data"])
            merged = {**merged, **copy_containers(given or {})}
            self._events.emit(EventType.PRE_SET_CLIENT_DATA, feature_name, merged)
        after = self._update_meta(feature_name, client_data=given)
        data = without_rules(after.meta["client_data"])
        self._events.emit(EventType.POST_SET_CLIENT_DATA, feature_name, data)

    def get_rules(self, feature_name: str) -> Rules | None:
        """Return the rules of a flag, or `None` if it has none.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            InvalidFlagDataError: the stored document is not a flag.
        """
        item = self._read(feature_name)
        if item is None:
            raise FlagDoesNotExistError.for_flag(feature_name)
        return FeatureFlagStoreItem.from_item(item).rules

    def set_rules(
        self, feature_name: str, rules: Rules | Iterable[Rule] | None
    ) -> None:
        """Replace the rules of a flag, which decide in the place of a bucketer.

        Conditions of the flag go on limiting it; its bucketer is removed. A split whose
        shares have changed keeps all users in their variants who need not move. The
        write is announced by the events of client data, with the rules under
        `"__rules__"`.

        Args:
            feature_name: the flag.
            rules: `None` removes the rules: without conditions, an enabled flag is then
                on for everybody. Rules without a rule serve nobody.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            InvalidArgumentError: they are not rules, or cannot be stored.
        """
        before, new = self._prepare_write(feature_name, _check_rules, rules)
        refuse_cycle(feature_name, expressions_of(new), self._get_or_none)
        if before is not None:
            announced = without_rules(before.meta["client_data"])
            if new is not None:
                announced[RESERVED_KEY] = new.to_dict()
            self._events.emit(EventType.PRE_SET_CLIENT_DATA, feature_name, announced)

        def changed(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
            meta = item.raw_meta
            meta.set_rules(new)
            return item.replace(meta=meta)

        after = self._update(feature_name, changed)
        stored = without_rules(after.meta["client_data"])
        if after.rules is not None:
            stored[RESERVED_KEY] = after.rules.to_dict()
        self._events.emit(EventType.POST_SET_CLIENT_DATA, feature_name, stored)

    def set_conditions(
        self, feature_name: str, conditions: Iterable[Condition]
    ) -> None:
        """Replace all conditions of a flag.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            InvalidArgumentError: one is not a condition, or they cannot be stored; or
                the flag would depend on itself.
        """
        if isinstance(conditions, Iterator):
            conditions = list(conditions)
        if isinstance(conditions, Iterable):
            refuse_cycle(feature_name, conditions, self._get_or_none)
        super().set_conditions(feature_name, conditions)

    def _refuse_cycle(self, feature_name: str, condition: Condition) -> None:
        refuse_cycle(feature_name, [condition], self._get_or_none)

    def _get_or_none(self, feature_name: str) -> Any:
        try:
            return get_uncached(self._store, feature_name)
        except InvalidFlagDataError:
            return None


def _check_rules(feature_name: str, rules: Any) -> Rules | None:
    """Return rules, made of a list if need be."""
    from .rules.rules import Rules

    if rules is None or isinstance(rules, Rules):
        return rules
    try:
        return Rules(rules)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(
            f"The rules of feature {feature_name!r}: {error}",
            feature_name=feature_name,
            value=error.value,
        ) from error
