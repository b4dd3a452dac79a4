# SPDX-License-Identifier: Apache-2.0
"""`InMemoryClient`: answers those questions of a client that need no I/O."""

from __future__ import annotations

from typing import Any

from ..client import FeatureFlagClient
from ..contracts.circuit_breaker import comes_from_open_circuit
from ..contracts.in_memory import NotInMemoryError, get_in_memory


class InMemoryReader:
    """Reads flags from memory, and raises a `NotInMemoryError` for all others.

    Args:
        reader: a store, or what a client reads instead of it.
    """

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def get(self, feature_name: Any) -> Any:
        """Return a flag.

        Raises:
            NotInMemoryError: reading it needs I/O, or fails: a client does more about a
                failure than an event loop has time for.
            Exception: the circuit breaker of the store is open, so the client answers
                by the last known state, without I/O.
        """
        try:
            return get_in_memory(self._reader, feature_name)
        except Exception as error:
            if comes_from_open_circuit(error):
                raise
            raise NotInMemoryError from None


class InMemoryClient(FeatureFlagClient):
    """A picture of a client at one moment, which answers from memory only.

    Its methods that read flags raise a `NotInMemoryError` if they need I/O; then
    nothing has happened. It shares blocks, overrides, arguments and hooks with the
    client, and is replaced when one of these changes; see `is_up_to_date`.

    Args:
        client: the client. The caller holds the lock of `changing_readers`.
    """

    def __init__(self, client: FeatureFlagClient) -> None:
        vars(self).update(vars(client))
        self._client = client
        self._seen = client._item_reader
        self._store: Any = InMemoryReader(client._source)
        self._item_reader, self._reader = client._readers(
            InMemoryReader(client._store_reader)
        )

    def is_up_to_date(self) -> bool:
        """Return whether the client has not changed since."""
        client = self._client
        return (
            client._item_reader is self._seen
            and client._hooks is self._hooks
            and client._context is self._context
        )


def answers_only_from_memory(client: FeatureFlagClient) -> bool:
    """Return whether no question of a client needs I/O at present."""
    return type(client._fast_reader) is dict
