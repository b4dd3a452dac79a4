# SPDX-License-Identifier: Apache-2.0
"""`ReadOnlyFeatureFlagStore`, for processes that must not change flags."""

from __future__ import annotations

from ..contracts.read_only import RefusesWrites
from ..contracts.wrapper import FeatureFlagStoreWrapper


class ReadOnlyFeatureFlagStore(RefusesWrites, FeatureFlagStoreWrapper):
    """Reads another store, and refuses every write with a `ReadOnlyStoreError`.

    It protects flags from mistakes in a program, not from the program: for that,
    restrict the rights of its account on the server. Safe for threads.

    Args:
        store: the inner store, of any kind.
    """

    @property
    def _remedy(self) -> str:
        return (
            f"the store is read-only; write through its "
            f"{type(self._store).__name__} instead"
        )
