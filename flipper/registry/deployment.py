# SPDX-License-Identifier: Apache-2.0
"""What a deployment checks: whether the store has the flags of a registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..client import FeatureFlagClient, store_of
from ..contracts.update import get_uncached
from ..contracts.whole_flags import create_whole
from ..contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from ..contrib.util.date import now
from ..events.types import EventType
from ..exceptions import ConcurrentUpdateError, InvalidFlagDataError

if TYPE_CHECKING:
    from .declared_flags import DeclaredFlag


def sync_client_of(client: Any) -> FeatureFlagClient:
    """Return the client itself, or the one that an async client asks."""
    if isinstance(client, FeatureFlagClient):
        return client
    sync_client: FeatureFlagClient = client.sync_client
    return sync_client


def flag_exists(client: FeatureFlagClient, feature_name: str) -> bool:
    """Return whether the store that is written to has a flag, past every cache.

    Raises:
        InvalidFlagDataError: the stored document is not a flag.
        Exception: any error of the store.
    """
    try:
        return get_uncached(store_of(client), feature_name) is not None
    except InvalidFlagDataError as error:
        error.feature_name = feature_name
        raise


def create_flag(client: FeatureFlagClient, flag: DeclaredFlag) -> bool:
    """Create a flag unless it exists by now; return whether that was done.

    Raises:
        Exception: any error of the store.
    """
    name, state = flag.feature_name, flag.state_if_missing
    item = FeatureFlagStoreItem(name, state, FeatureFlagStoreMeta(now()))
    announced = {"is_enabled": state, "client_data": None}
    client.events.emit(EventType.PRE_CREATE, name, **announced)
    try:
        create_whole(store_of(client), item)
    except ConcurrentUpdateError:
        return False
    client.events.emit(EventType.POST_CREATE, name, **announced)
    return True
