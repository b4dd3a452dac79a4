# SPDX-License-Identifier: Apache-2.0
"""The copies that a replica gets of a flag, instead of single writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flipper import MemoryFeatureFlagStore, ReplicatedFeatureFlagStore
from flipper.contrib.storage import FeatureFlagStoreMeta
from flipper.exceptions import InvalidFlagDataError
from flipper.testing.contract import eventually
from support.replicas import ADMIN, TIMEOUT, Backup, flags_of, nothing_is_pending

if TYPE_CHECKING:
    from flipper.contrib.storage import FeatureFlagStoreItem


class BrokenReplica(MemoryFeatureFlagStore):
    """A replica whose documents are broken until a flag is created."""

    is_broken = True

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Raise, as for a broken document."""
        if self.is_broken:
            raise InvalidFlagDataError("on purpose")
        return super().get(feature_name)

    def create(self, *args: Any, **kwargs: Any) -> FeatureFlagStoreItem:
        """Replace the document by a flag."""
        self.is_broken = False
        return super().create(*args, **kwargs)


def test_a_broken_document_is_replaced_by_a_copy(
    primary: MemoryFeatureFlagStore,
) -> None:
    """A broken document of a replica is replaced by the primary's flag."""
    replica = BrokenReplica()
    store = ReplicatedFeatureFlagStore(primary, replica)
    primary.create("x", True, {"a": 1})
    assert store.resync(TIMEOUT)
    assert flags_of(replica) == flags_of(primary)
    assert store.status()[0].failures == 0


@pytest.mark.usefixtures("_short_pauses")
@pytest.mark.parametrize("before", [None, False, True], ids=["missing", "off", "on"])
def test_a_copy_is_never_on_without_its_conditions(
    before: bool | None,
    store: ReplicatedFeatureFlagStore,
    primary: MemoryFeatureFlagStore,
    backup: Backup,
) -> None:
    """A flag that is copied never is on without its conditions in between."""
    if before is not None:
        store.create("x", before)
        store.set_meta("x", FeatureFlagStoreMeta(1, None, [ADMIN]), asynch=False)
        if not before:
            store.set_meta("x", FeatureFlagStoreMeta(1), asynch=False)
    backup.states.clear()
    backup.error = OSError()
    store.create("x", True)
    store.set_meta("x", FeatureFlagStoreMeta(1, None, [ADMIN, ADMIN]))
    eventually(lambda: store.status()[0].failures > 2)
    backup.recover()
    eventually(lambda: nothing_is_pending(store))
    assert flags_of(backup) == flags_of(primary)
    assert backup.states[-1] == (True, 2)
    assert (True, 0) not in backup.states


def test_a_copy_switches_a_flag_off_first(
    store: ReplicatedFeatureFlagStore, primary: MemoryFeatureFlagStore, backup: Backup
) -> None:
    """A flag that lost its conditions and is off never is on for all in between."""
    store.create("x", True)
    store.set_meta("x", FeatureFlagStoreMeta(1, None, [ADMIN]), asynch=False)
    primary.create("x", False)
    backup.states.clear()
    assert store.resync(TIMEOUT)
    assert flags_of(backup) == flags_of(primary)
    assert (True, 0) not in backup.states
