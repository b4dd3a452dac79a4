# SPDX-License-Identifier: Apache-2.0
"""What has to change in a store so that it has the flags of a file or another store.

A change is computed from what the store has and from what is wanted. It is applied only
if the flag still is what it was then.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from ..arguments import RESERVED_KEY
from ..bucketing import NoOpBucketer
from ..client import store_of
from ..contracts.update import get_uncached
from ..contracts.whole_flags import create_whole, is_same_flag, replace_whole
from ..contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from ..events.types import EventType
from ..exceptions import ConcurrentUpdateError
from ..prerequisites import expressions_of, refuse_cycle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..client import FeatureFlagClient

    Announcement = tuple[str, tuple[Any, ...], dict[str, Any]]


class Change(NamedTuple):
    """One flag that is to be created, changed or deleted.

    Attributes:
        feature_name: the flag.
        before: the flag as the store has it; `None` if it is to be created.
        after: the flag as it shall be; `None` if it is to be deleted.
    """

    feature_name: str
    before: FeatureFlagStoreItem | None
    after: FeatureFlagStoreItem | None

    @property
    def kind(self) -> str:
        """What is done: "create", "change" or "delete"."""
        if self.before is None:
            return "create"
        return "delete" if self.after is None else "change"

    def apply(self, client: FeatureFlagClient) -> None:
        """Make the change in the client's store, and emit the client's events.

        Raises:
            ConcurrentUpdateError: the flag is not what it was; nothing was written.
        """
        store = store_of(client)
        if self.after is None:
            self._delete(client)
            return
        announcements = list(_announcements(self.before, self.after))
        for name, arguments, named in announcements:
            client.events.emit(
                EventType[f"PRE_{name}"], self.feature_name, *arguments, **named
            )
        if self.before is None:
            create_whole(store, self.after)
        else:
            replace_whole(store, self.after, self.before)
        for name, arguments, named in announcements:
            client.events.emit(
                EventType[f"POST_{name}"], self.feature_name, *arguments, **named
            )

    def _delete(self, client: FeatureFlagClient) -> None:
        found = get_uncached(store_of(client), self.feature_name)
        if found is None:
            return
        found = FeatureFlagStoreItem.from_item(found)
        if self.before is None or not is_same_flag(found, self.before):
            raise ConcurrentUpdateError(
                f"Feature {self.feature_name!r} was changed by somebody else "
                f"meanwhile; it was not deleted",
                feature_name=self.feature_name,
            )
        client.destroy(self.feature_name)


def _announcements(
    before: FeatureFlagStoreItem | None, after: FeatureFlagStoreItem
) -> Iterator[Announcement]:
    """Yield the name and the arguments of each event that belongs to a change."""
    new = after.raw_meta
    if before is None:
        state = {"is_enabled": after.raw_is_enabled, "client_data": new.client_data}
        yield "CREATE", (), state
        before = FeatureFlagStoreItem(
            after.feature_name,
            after.raw_is_enabled,
            FeatureFlagStoreMeta(new.created_date, new.client_data),
        )
    old = before.raw_meta
    client_data = _announced_data(new)
    if client_data != _announced_data(old):
        yield "SET_CLIENT_DATA", (client_data,), {}
    if [c.to_dict() for c in new.conditions] != [c.to_dict() for c in old.conditions]:
        yield "SET_CONDITIONS", (new.conditions,), {}
    # Rules take the place of a bucketer, and are announced with the client data.
    if new.rules is None and new.bucketer.to_dict() != _announced_bucketer(old):
        yield "SET_BUCKETER", (new.bucketer,), {}
    if bool(before.raw_is_enabled) != bool(after.raw_is_enabled):
        yield ("ENABLE" if after.raw_is_enabled else "DISABLE"), (), {}


def _announced_data(meta: FeatureFlagStoreMeta) -> dict[str, Any]:
    """Return the client data with the rules, as `set_rules` announces them."""
    if meta.rules is None:
        return meta.client_data
    return {**meta.client_data, RESERVED_KEY: meta.rules.to_dict()}


def _announced_bucketer(meta: FeatureFlagStoreMeta) -> Any:
    bucketer = meta.bucketer if meta.rules is None else NoOpBucketer()
    return bucketer.to_dict()


def with_dates(
    items: Iterable[FeatureFlagStoreItem], others: Mapping[str, FeatureFlagStoreItem]
) -> Iterator[FeatureFlagStoreItem]:
    """Yield items; one without a creation date gets that of the other of its name."""
    for item in items:
        meta = item.raw_meta
        other = others.get(item.feature_name)
        if meta.created_date is None and other is not None:
            meta.created_date = other.raw_meta.created_date
            yield item.replace(meta=meta)
        else:
            yield item


def flags_of(store: Any) -> dict[str, FeatureFlagStoreItem]:
    """Return all flags of a store, by name."""
    found = (item for item in store.list() if item is not None)
    return {item.feature_name: FeatureFlagStoreItem.from_item(item) for item in found}


def compare(
    current: Mapping[str, FeatureFlagStoreItem],
    wanted: Iterable[FeatureFlagStoreItem],
    *,
    prune: bool = False,
    keeps_users: bool = False,
) -> list[Change]:
    """Return what has to change for a store to have the wanted flags, sorted by name.

    Args:
        current: the flags of the store.
        wanted: the flags that it shall have. One without a creation date keeps the date
            of the present flag, or gets the present time.
        prune: whether flags that are not wanted are deleted.
        keeps_users: whether splits whose shares change keep all users in their variants
            who need not move, and flags that would depend on themselves are refused,
            as `set_rules` does. Otherwise the flags will be exactly those that are
            wanted.

    Raises:
        InvalidArgumentError: a flag would depend on itself.
    """
    changes = []
    names = set()
    for each in with_dates(wanted, current):
        names.add(each.feature_name)
        before = current.get(each.feature_name)
        after = _complete(each, before if keeps_users else None)
        if before is None or not is_same_flag(before, after):
            changes.append(Change(each.feature_name, before, after))
    if prune:
        changes += [Change(n, i, None) for n, i in current.items() if n not in names]
    if keeps_users:
        _refuse_cycles(current, changes)
    return sorted(changes, key=lambda change: change.feature_name)


def _refuse_cycles(
    current: Mapping[str, FeatureFlagStoreItem], changes: Iterable[Change]
) -> None:
    after = {**current, **{change.feature_name: change.after for change in changes}}
    for change in changes:
        if change.after is not None:
            meta = change.after.raw_meta
            expressions = [*expressions_of(meta.rules), *meta.conditions]
            refuse_cycle(change.feature_name, expressions, after.get)


def _complete(
    wanted: FeatureFlagStoreItem, before: FeatureFlagStoreItem | None
) -> FeatureFlagStoreItem:
    """Return a new item with a creation date, for any store.

    Args:
        wanted: the flag.
        before: the present flag, if the users of its splits shall be kept.
    """
    meta = wanted.raw_meta
    if before is not None and before.rules is not None and meta.rules is not None:
        meta.set_rules(meta.rules.keeping(before.rules))
    if meta.created_date is None:
        meta.created_date = int(time.time())
    return FeatureFlagStoreItem(wanted.feature_name, wanted.raw_is_enabled, meta)
