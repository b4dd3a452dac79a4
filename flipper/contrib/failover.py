# SPDX-License-Identifier: Apache-2.0
"""`FailoverFeatureFlagStore` reads a second store while the first one fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..contracts.circuit_breaker import (
    comes_from_open_circuit,
    current_reader,
    open_circuit,
)
from ..contracts.in_memory import NotInMemoryError, get_in_memory
from ..contracts.last_known import ERRORS_OF_ONE_FLAG, with_last_known
from ..contracts.update import get_many
from ..contracts.wrapper import FeatureFlagStoreWrapper
from ..runtime.log_throttle import OutageLog
from ..runtime.patching import register_reader_owner

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .storage import FeatureFlagStoreItem


class FailoverFeatureFlagStore(FeatureFlagStoreWrapper):
    """Reads the primary, and the secondary whenever the primary fails.

    While the server of the primary is down, flags are read from the secondary at once,
    and a background thread tries the primary about once a second. Writes go to the
    primary only, and raise what it raises. Nothing is copied to the secondary: to keep
    it up to date, use for instance a `ReplicatedFeatureFlagStore` as the primary, with
    the secondary as its replica. Safe for threads.

    Args:
        primary: the store that is read first, and that gets all writes.
        secondary: the store that is read while the primary fails.
    """

    def __init__(self, primary: Any, secondary: Any) -> None:
        super().__init__(primary)
        self._secondary = secondary
        self._secondary_reader = with_last_known(secondary)
        self._outage = OutageLog(
            __name__, primary, f"flags are read from {type(secondary).__name__}"
        )
        self._has_failed = False
        register_reader_owner(self)  # the circuit of the primary may open or close
        self.refresh_reader()

    def refresh_reader(self) -> None:
        """Ask the primary, or its circuit breaker if that is open."""
        self._primary_reader = current_reader(self._reader)

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag, or `None` if there is none."""
        try:
            item: FeatureFlagStoreItem | None = self._primary_reader.get(feature_name)
        except ERRORS_OF_ONE_FLAG:
            raise
        except Exception as error:  # noqa: BLE001  (the secondary answers after any failure)
            self._log_failure(feature_name, error)
            return self._secondary_reader.get(feature_name)
        if self._has_failed:
            self._has_failed = False
            self._outage.ended()
        return item

    def get_in_memory(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return what `get` returns, if the store that answers does so without I/O."""
        reader = self._primary_reader
        if reader is not self._reader:  # its circuit breaker is open
            reader = self._secondary_reader
        elif self._has_failed:
            raise NotInMemoryError
        item: FeatureFlagStoreItem | None = get_in_memory(reader, feature_name)
        return item

    def get_many(
        self, feature_names: Sequence[str]
    ) -> dict[str, FeatureFlagStoreItem | None]:
        """Return flags by name, all of them from the same store."""
        if self._primary_reader is not self._reader:  # its circuit breaker is open
            return get_many(self._secondary_reader, feature_names)
        try:
            return super().get_many(feature_names)
        except Exception as error:  # noqa: BLE001  (the secondary answers after any failure)
            self._log_failure(next(iter(feature_names), None), error)
            return get_many(self._secondary_reader, feature_names)

    def get_uncached(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag as the primary has it, because writes go there."""
        return super().get_uncached(feature_name)

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem]:
        """Return an iterator of at most `limit` flags, from number `offset` on.

        Raises:
            Exception: the primary has failed after its first flag. The secondary cannot
                continue, since the order of its flags may differ.
        """
        yield from self._list_either(limit, offset)

    def _list_either(
        self, limit: int | None, offset: int
    ) -> Iterator[FeatureFlagStoreItem]:
        """List the primary, or the secondary if the first flag cannot be read."""
        if self._primary_reader is not self._reader:  # its circuit breaker is open
            return iter(self._secondary.list(limit=limit, offset=offset))
        try:
            items = iter(self._store.list(limit=limit, offset=offset))
            first = next(items, None)
        except ERRORS_OF_ONE_FLAG:
            raise
        except Exception as error:  # noqa: BLE001
            self._log_failure(None, error)
            return iter(self._secondary.list(limit=limit, offset=offset))
        return _chained(first, items)

    @property
    def outage_errors(self) -> tuple[type[Exception], ...]:
        """The errors of `get` that mean that the secondary's server is down, too."""
        return self._secondary_reader.outage_errors

    def last_known(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag as last known to the primary, else to the secondary."""
        known = self._reader.last_known(feature_name)
        if known is None:
            known = self._secondary_reader.last_known(feature_name)
        return known

    def known_names(self) -> tuple[str, ...]:
        """Return the names of the flags that the primary or the secondary knows."""
        known = self._reader.known_names()
        return tuple(dict.fromkeys(known + self._secondary_reader.known_names()))

    def _log_failure(self, feature_name: str | None, error: Exception) -> None:
        """Log a failure of the primary, unless a circuit breaker logs the outage."""
        if comes_from_open_circuit(error):
            return
        if feature_name is not None and open_circuit(
            self._reader, feature_name, error, self._outage
        ):
            return
        self._has_failed = True
        self._outage.failed(error)


def _chained(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    """Yield `first` unless it is `None`, then the rest."""
    if first is not None:
        yield first
    yield from rest
