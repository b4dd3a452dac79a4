# SPDX-License-Identifier: Apache-2.0
"""`ReadOnlyFeatureFlagStore`, for processes that must not change flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from ..contracts.wrapper import FeatureFlagStoreWrapper
from ..exceptions import ReadOnlyStoreError

if TYPE_CHECKING:
    from ..contracts.update import Change
    from .storage import FeatureFlagStoreMeta


class ReadOnlyFeatureFlagStore(FeatureFlagStoreWrapper):
    """Reads another store, and refuses every write with a `ReadOnlyStoreError`.

    It protects flags from mistakes in a program, not from the program: for that,
    restrict the rights of its account on the server. Safe for threads.

    Args:
        store: the inner store, of any kind.
    """

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
            f"Feature {feature_name!r} was not written: the store is read-only; write "
            f"through its {type(self._store).__name__} instead",
            feature_name=feature_name,
        )
