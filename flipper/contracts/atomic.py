# SPDX-License-Identifier: Apache-2.0
"""`AtomicFeatureFlagStore`: a store made of five hooks, whose writes lose nothing.

A write reads a flag, changes it, and stores it only if nobody else has written in the
meantime (compare and swap); otherwise it starts again.
"""

from __future__ import annotations

from abc import abstractmethod
from itertools import islice
from time import sleep
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ..contrib.interface import AbstractFeatureFlagStore
from ..contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from ..exceptions import ConcurrentUpdateError, FlagDoesNotExistError
from ..runtime.jitter import uniform
from .update import SupportsUpdate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .update import Change

    Make = Callable[[], FeatureFlagStoreItem]


class _Expectation:
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


ANY: Final = _Expectation("ANY")
"""Expected by `_swap`: any version of the flag, or no flag."""
ABSENT: Final = _Expectation("ABSENT")
"""Expected by `_swap`: there is no such flag."""


class AtomicFeatureFlagStore(SupportsUpdate, AbstractFeatureFlagStore):
    """A store made of five hooks: `_load`, `_swap`, `_remove`, `_scan` and `_now`.

    It has no constructor to call. Safe for threads if the hooks are.
    """

    max_attempts: ClassVar[int] = 200
    """The number of attempts before a write raises `ConcurrentUpdateError`."""
    longest_pause: ClassVar[float] = 0.02
    """The longest pause between two attempts, in seconds; each pause is random."""

    @abstractmethod
    def _load(self, feature_name: str) -> tuple[FeatureFlagStoreItem, Any] | None:
        """Read a flag, and a token that identifies this version of it."""

    @abstractmethod
    def _swap(self, item: FeatureFlagStoreItem, expected: Any) -> bool:
        """Write `item` if the store holds what is expected; return whether it did.

        Args:
            item: the flag to store.
            expected: the token of the version to replace, or `ABSENT` or `ANY`.
        """

    @abstractmethod
    def _remove(self, feature_name: str) -> bool | None:
        """Remove a flag if it exists.

        Returns:
            `False` if it did not exist, `None` if the backend does not report that.
        """

    @abstractmethod
    def _scan(self) -> Iterator[FeatureFlagStoreItem]:
        """Yield every flag once, and leave out documents that are not flags."""

    @abstractmethod
    def _now(self) -> int:
        """Return the creation date of a new flag, seconds since the epoch."""

    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlagStoreItem:
        """Write a new flag, replacing any flag of that name, and return it."""
        item = self._new(feature_name, is_enabled, client_data)
        self._swap(item, ANY)
        return item

    def create_whole(self, item: FeatureFlagStoreItem) -> bool:
        """Write a new flag with all it has, unless there is one; return if it did."""
        return self._swap(item, ABSENT)

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag, or `None` if there is none."""
        loaded = self._load(feature_name)
        return None if loaded is None else loaded[0]

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Change the state and keep the metadata; create the flag if it is missing."""
        self._write(
            feature_name,
            lambda item: item.with_state(is_enabled),
            lambda: self._new(feature_name, is_enabled),
        )

    def delete(self, feature_name: str) -> None:
        """Remove the flag if it exists."""
        self._delete_flag(feature_name)

    def delete_existing(self, feature_name: str) -> None:
        """Remove the flag, or raise if the backend says that there is none."""
        if self._delete_flag(feature_name) is False:
            raise FlagDoesNotExistError.for_flag(feature_name)

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem]:
        """Return an iterator of at most `limit` flags, from number `offset` on."""
        stop = None if limit is None else offset + limit
        return islice(self._scan(), offset, stop)

    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Replace the metadata and keep the state.

        Raises:
            FlagDoesNotExistError: there is no such flag.
        """
        own = meta.copy if isinstance(meta, FeatureFlagStoreMeta) else lambda: meta
        self._write(feature_name, lambda item: item.replace(meta=own()))

    def update(self, feature_name: str, change: Change) -> FeatureFlagStoreItem:
        """Replace a flag by the result of `change`, and return that result."""
        return self._write(feature_name, change)

    def _delete_flag(self, feature_name: str) -> bool | None:
        return self._remove(feature_name)

    def _new(
        self,
        feature_name: str,
        is_enabled: Any,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlagStoreItem:
        meta = FeatureFlagStoreMeta(self._now(), client_data=client_data)
        return FeatureFlagStoreItem(feature_name, is_enabled, meta)

    def _write(
        self, feature_name: str, change: Change, make: Make | None = None
    ) -> FeatureFlagStoreItem:
        """Store the result of `change`, or of `make` if there is no flag; return it."""
        attempts = 0
        pause = 0.001
        while True:
            loaded = self._load(feature_name)
            if loaded is not None:
                before, token = loaded
                after = change(before.with_name(feature_name))
            elif make is not None:
                after, token = make(), ABSENT
            else:
                raise FlagDoesNotExistError.for_flag(feature_name)
            # Race: others may write between `_load` and here; `_swap` notices.
            if self._swap(after, token):
                return after
            attempts += 1
            if attempts >= self.max_attempts:
                raise ConcurrentUpdateError(
                    f"Feature {feature_name!r} was not written: other writers were "
                    f"faster {attempts} times in a row; try again, or write it less "
                    f"often",
                    feature_name=feature_name,
                    attempts=attempts,
                )
            sleep(uniform(0, min(self.longest_pause, pause)))
            pause *= 2
