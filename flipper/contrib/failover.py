# SPDX-License-Identifier: Apache-2.0
"""A store that reads a second one while the first is away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..contracts.circuit_breaker import has_opened_circuit, open_circuit, reader_of
from ..contracts.last_known import ANSWERS, remembering
from ..contracts.wrapper import FeatureFlagStoreWrapper
from ..runtime.log_throttle import OutageLog
from ..runtime.patching import register_reader_owner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .storage import FeatureFlagStoreItem


class FailoverFeatureFlagStore(FeatureFlagStoreWrapper):
    """Reads the primary, and the secondary whenever the primary fails.

    A primary whose server is away is not asked, but by a background thread that tries
    about once a second whether it is back. Writes go to the primary only, and raise
    what it raises. Nothing is copied: what keeps the secondary level is, for instance,
    a `ReplicatedFeatureFlagStore` as the primary with the secondary as its replica.
    Safe for threads.

    Args:
        primary: the store that counts.
        secondary: what is read instead.
    """

    def __init__(self, primary: Any, secondary: Any) -> None:
        super().__init__(primary)
        self._secondary = secondary
        self._spare = remembering(secondary)
        self._outage = OutageLog(
            __name__, primary, f"flags are read from {type(secondary).__name__}"
        )
        self._failed = False
        register_reader_owner(self)  # the primary may be away, or be back, at any time
        self.refresh_reader()

    def refresh_reader(self) -> None:
        """See whether the server of the primary is away."""
        self._source = reader_of(self._reader)

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag, or `None` if there is none."""
        try:
            item: FeatureFlagStoreItem | None = self._source.get(feature_name)
        except ANSWERS:
            raise
        except Exception as error:  # noqa: BLE001  (any failure is what this is for)
            self._note_failure(feature_name, error)
            return self._spare.get(feature_name)
        if self._failed:
            self._failed = False
            self._outage.ended()
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
        if self._source is not self._reader:  # known to be away
            return iter(self._secondary.list(limit=limit, offset=offset))
        try:
            items = iter(self._store.list(limit=limit, offset=offset))
            first = next(items, None)
        except ANSWERS:
            raise
        except Exception as error:  # noqa: BLE001
            self._note_failure(None, error)
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

    def _note_failure(self, feature_name: str | None, error: Exception) -> None:
        if has_opened_circuit(error):
            return  # which tells of its end, too
        if feature_name is not None and open_circuit(
            self._reader, feature_name, error, self._outage
        ):
            return
        self._failed = True
        self._outage.failed(error)


def _chained(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    if first is not None:
        yield first
    yield from rest
