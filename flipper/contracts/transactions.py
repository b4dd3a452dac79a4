# SPDX-License-Identifier: Apache-2.0
"""Stores whose writes may be part of a transaction that the application rolls back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable


class SupportsTransactions:
    """A store that may write in a transaction of the application.

    Until the end of such a transaction, its writes must not be cached where others read
    them. Flipper recognises the store by this base class, because a test double seems
    to have every method.
    """

    @property
    def joins_transactions(self) -> bool:
        """Whether all writes are part of a transaction that the caller has begun."""
        return False

    def is_uncommitted(self, feature_name: str) -> bool:
        """Return whether a write of this process is neither committed nor undone.

        Threads see different states of the flag then. It is called without a lock, and
        does no I/O.
        """
        raise NotImplementedError

    def after_transaction(self, feature_name: str, call: Callable[[], object]) -> None:
        """Call a function at the end of the transaction with the last write of a flag.

        It is called after a commit and after a rollback. It may run in any thread, and
        while that thread holds any lock, so it must take no lock and raise nothing. If
        no write of the flag is uncommitted, it is not called.
        """
        raise NotImplementedError


def supports_transactions(store: Any) -> bool:
    """Return whether a store of any kind is a `SupportsTransactions`."""
    return issubclass(type(store), SupportsTransactions)


def is_uncommitted(store: Any, feature_name: str) -> bool:
    """Return whether a write of a flag in a store of any kind is not committed yet."""
    return supports_transactions(store) and store.is_uncommitted(feature_name)


def refuse_transactions(owner: str, store: Any) -> None:
    """Refuse a store whose writes others would see before they are committed.

    Args:
        owner: the class of what would copy its flags.
        store: the store.

    Raises:
        InvalidArgumentError: the store writes in the transactions of the application.
    """
    if supports_transactions(store) and store.joins_transactions:
        raise InvalidArgumentError(
            f"{owner} cannot copy the flags of a store with in_transaction=True: a "
            f"write that is rolled back would stay in the copy; leave in_transaction "
            f"out, or use CachedFeatureFlagStore",
            value=store,
        )
