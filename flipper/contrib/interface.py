# SPDX-License-Identifier: Apache-2.0
"""`AbstractFeatureFlagStore`: the six methods that every store has."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import TYPE_CHECKING, Any

from ..exceptions import FlagDoesNotExistError as FlagDoesNotExistError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .storage import FeatureFlagStoreItem, FeatureFlagStoreMeta


class AbstractFeatureFlagStore(metaclass=ABCMeta):
    """A store that keeps flags by name.

    To keep flags in another place, derive from this class or define the same six
    methods. They are called from several threads at once. `AtomicFeatureFlagStore`
    needs a few hooks instead, and its writes never undo each other.
    """

    # Drop-in: there are exactly six methods. A store written for flipper-client may use
    # any other name for methods of its own.

    @abstractmethod
    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlagStoreItem:
        """Write a new flag, replacing any flag of that name, and return it.

        Its creation date is the present time. It has no conditions and no bucketer.
        """

    @abstractmethod
    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag, or `None` if there is none."""

    @abstractmethod
    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Change the state and keep the metadata; create the flag if it is missing."""

    @abstractmethod
    def delete(self, feature_name: str) -> None:
        """Remove the flag if it exists."""

    @abstractmethod
    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem]:
        """Return an iterator of at most `limit` flags, from number `offset` on."""

    @abstractmethod
    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Replace the metadata and keep the state.

        Metadata with rules may have a state, which the item takes that is made of it.

        Raises:
            FlagDoesNotExistError: there is no such flag; then `meta` is not checked.
        """
