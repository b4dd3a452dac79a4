# SPDX-License-Identifier: Apache-2.0
"""The promise that every store keeps, and all that a store of one's own needs."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import TYPE_CHECKING, Any

from ..exceptions import FlagDoesNotExistError as FlagDoesNotExistError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .storage import FeatureFlagStoreItem, FeatureFlagStoreMeta


class AbstractFeatureFlagStore(metaclass=ABCMeta):
    """Keeps flags by name.

    Derive from it, or offer the same six methods, to keep flags in another place.
    Methods are called from several threads at once. `AtomicFeatureFlagStore` asks for
    less and gives more: writes that never undo each other.
    """

    # Drop-in: six methods and not one more. A store written for flipper-client may have
    # methods of its own under any other name.

    @abstractmethod
    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlagStoreItem:
        """Write a new flag over whatever was there, and return it.

        It is created now, and has no conditions and no bucketer.
        """

    @abstractmethod
    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag, or `None` if there is none."""

    @abstractmethod
    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Change the state and keep the metadata; create the flag if it is missing."""

    @abstractmethod
    def delete(self, feature_name: str) -> None:
        """Remove the flag, if it is there."""

    @abstractmethod
    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem]:
        """Return an iterator of the flags: `offset` are skipped, `limit` given."""

    @abstractmethod
    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Replace the metadata and keep the state.

        Raises:
            FlagDoesNotExistError: there is no such flag; `meta` is not looked at then.
        """
