# SPDX-License-Identifier: Apache-2.0
"""Reads replies of Consul about keys, and refuses those that are incomplete.

Each such reply of Consul has the header `X-Consul-Index`, also if there is no such key,
and its rows have all of their fields. Without this check, a reply that was cut, or an
error page of a proxy, would look like "no flags".
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from ...exceptions import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Row(NamedTuple):
    """A document, and the revision of its key."""

    document: bytes
    revision: int

    @classmethod
    def from_reply(cls, found: Any) -> Row:
        """Make a row from what the Consul client gives for one key."""
        value = found["Value"]
        document = value.encode() if isinstance(value, str) else bytes(value)
        return cls(document, int(found["ModifyIndex"]))


def read_keys(kv: Any, key: str, **options: Any) -> tuple[int, Any]:
    """Return the index and what Consul has for a key, `None` if it has nothing.

    Raises:
        StoreUnavailableError: the reply is incomplete, or not one of Consul's.
        Exception: of the Consul client.
    """
    # The clients raise such errors where the header is missing or the JSON is wrong.
    with _incomplete_replies_refused():
        index, found = kv.get(key, **options)
        return int(index), found


def rows_under(prefix: str, found: Any) -> dict[str, Row]:
    """Return the rows of a reply by feature name: their keys without the prefix.

    Raises:
        StoreUnavailableError: the reply is not a list of rows, or fields are missing.
    """
    rows: dict[str, Row] = {}
    if found is None:
        return rows
    with _incomplete_replies_refused():
        if not isinstance(found, (list, tuple)):
            message = f"{type(found).__name__} in place of a list"
            raise TypeError(message)
        for row in found:
            key = row["Key"]
            # A key without a value is a folder, as the base key itself.
            if row["Value"] and key.startswith(prefix) and key != prefix:
                rows[key[len(prefix) :]] = Row.from_reply(row)
    return rows


@contextmanager
def _incomplete_replies_refused() -> Iterator[None]:
    """Raise errors of missing fields as a `StoreUnavailableError`."""
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, OSError):  # of requests, which derives its errors from it
            raise
        raise StoreUnavailableError(
            f"The reply is incomplete, or not one of Consul's "
            f"({type(error).__name__}: {error}); is there a proxy in between?"
        ) from error
