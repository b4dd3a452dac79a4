# SPDX-License-Identifier: Apache-2.0
"""`RefusesWrites`: the part of a store that refuses every write."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, NoReturn

from ..exceptions import ReadOnlyStoreError
from .update import SupportsUpdate

if TYPE_CHECKING:
    from ..contrib.storage import FeatureFlagStoreMeta
    from .update import Change


class RefusesWrites(SupportsUpdate):
    """Raises a `ReadOnlyStoreError` for every write. Name it before other bases."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let `update` refuse at once; it bypasses no write, since it makes none."""
        super().__init_subclass__(**kwargs)
        cls.update_bypasses = tuple(
            getattr(cls, name, None) for name in ("get", "set", "set_meta")
        )

    @property
    @abstractmethod
    def _remedy(self) -> str:
        """Why the store only reads, and where to write instead."""

    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,  # noqa: ARG002
        client_data: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> NoReturn:
        """Raise a `ReadOnlyStoreError`."""
        self._refuse(feature_name)

    def set(self, feature_name: str, is_enabled: bool) -> NoReturn:  # noqa: ARG002
        """Raise a `ReadOnlyStoreError`."""
        self._refuse(feature_name)

    def delete(self, feature_name: str) -> NoReturn:
        """Raise a `ReadOnlyStoreError`."""
        self._refuse(feature_name)

    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> NoReturn:  # noqa: ARG002
        """Raise a `ReadOnlyStoreError`."""
        self._refuse(feature_name)

    def update(self, feature_name: str, change: Change) -> NoReturn:  # noqa: ARG002
        """Raise a `ReadOnlyStoreError`."""
        self._refuse(feature_name)

    def delete_existing(self, feature_name: str) -> NoReturn:
        """Raise a `ReadOnlyStoreError`."""
        self._refuse(feature_name)

    def _refuse(self, feature_name: str) -> NoReturn:
        raise ReadOnlyStoreError(
            f"Feature {feature_name!r} was not written: {self._remedy}",
            feature_name=feature_name,
        )
