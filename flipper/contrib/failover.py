# SPDX-License-Identifier: Apache-2.0
"""A store that reads a second one while the first is away."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from .last_known import ANSWERS, LastKnownFlags, Rest, remembering
from .wrapper import FeatureFlagStoreWrapper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .storage import FeatureFlagStoreItem

logger = logging.getLogger(__name__)


class FailoverFeatureFlagStore(FeatureFlagStoreWrapper):
    """Reads the primary, and the secondary whenever the primary fails.

    A primary whose server is away is asked again twice a second, by one call. Writes go
    to the primary only, and raise what it raises. Nothing is copied: what keeps the
    secondary level is, for instance, a `ReplicatedFeatureFlagStore` as the primary with
    the secondary as its replica. Safe for threads.

    Args:
        primary: the store that counts.
        secondary: what is read instead.
    """

    def __init__(self, primary: Any, secondary: Any) -> None:
        super().__init__(primary)
        self._secondary = secondary
        self._spare = remembering(secondary)
        self._source: LastKnownFlags | Rest = self._reader
        self._failed = False

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag, or `None` if there is none."""
        try:
            item = self._source.get(feature_name)
        except ANSWERS:
            raise
        except Exception as error:  # noqa: BLE001  (any failure is what this is for)
            self._note_failure(error)
            return self._spare.get(feature_name)
        if self._failed:
            self._note_answer()
        return item

    def get_uncached(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag as the primary has it, to which writes go."""
        return super().get_uncached(feature_name)

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem]:
        """Return an iterator of the flags: `offset` are skipped, `limit` given.

        A primary that fails after it has given some flags raises: the order of the
        secondary may be another.
        """
        yield from self._begin(limit, offset)

    def _begin(self, limit: int | None, offset: int) -> Iterator[FeatureFlagStoreItem]:
        """Return an iterator whose first flag has been read."""
        try:
            items = iter(self._store.list(limit=limit, offset=offset))
            first = next(items, None)
        except ANSWERS:
            raise
        except Exception as error:  # noqa: BLE001
            self._note_failure(error)
            return iter(self._secondary.list(limit=limit, offset=offset))
        return _chained(first, items)

    @property
    def away_errors(self) -> tuple[type[Exception], ...]:
        """The errors by which the secondary tells that it is away, too."""
        return self._spare.away_errors

    def last_known(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag as one of them gave it last, or `None`."""
        known = self._reader.last_known(feature_name)
        return self._spare.last_known(feature_name) if known is None else known

    def _note_failure(self, error: Exception) -> None:
        if self._source is self._reader and isinstance(error, self._reader.away_errors):
            self._source = Rest(self._reader, error, self._end_rest)
        if not self._failed:
            self._failed = True
            logger.warning(
                "%s fails (%s: %s); flags are read from %s",
                type(self._store).__name__,
                type(error).__name__,
                error,
                type(self._secondary).__name__,
            )

    def _end_rest(self) -> None:
        self._source = self._reader

    def _note_answer(self) -> None:
        self._failed = False
        logger.info("%s answers again", type(self._store).__name__)


def _chained(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    if first is not None:
        yield first
    yield from rest
