# SPDX-License-Identifier: Apache-2.0
"""What Consul says of keys, and whether that is a whole reply of Consul's.

The header `X-Consul-Index` is in each of its replies to such questions, also when there
is no such key; rows have all of their fields. A reply that was cut, or a proxy's own
page, must not be taken for "no flags".
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from ...exceptions import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Row(NamedTuple):
    """A document, and what tells this version of it from others."""

    document: bytes
    revision: int

    @classmethod
    def of(cls, found: Any) -> Row:
        """Make it of what a client gives."""
        value = found["Value"]
        document = value.encode() if isinstance(value, str) else bytes(value)
        return cls(document, int(found["ModifyIndex"]))


def read_keys(kv: Any, key: str, **options: Any) -> tuple[int, Any]:
    """Read the index and what Consul has for a key, `None` if it has nothing.

    Raises:
        StoreUnavailableError: the reply is incomplete, or not one of Consul's.
        Exception: the client's own errors.
    """
    # The clients raise such errors, too, where the header is missing or JSON is not.
    with _complete():
        index, found = kv.get(key, **options)
        return int(index), found


def rows_under(prefix: str, found: Any) -> dict[str, Row]:
    """Return the rows that Consul has under a prefix, by the rest of their keys.

    Raises:
        StoreUnavailableError: rows or fields of them are missing.
    """
    rows: dict[str, Row] = {}
    if found is None:
        return rows
    with _complete():
        if not isinstance(found, (list, tuple)):
            message = f"{type(found).__name__} in place of a list"
            raise TypeError(message)
        for row in found:
            key = row["Key"]
            # Without a value it is a folder, and the base key itself is one.
            if row["Value"] and key.startswith(prefix) and key != prefix:
                rows[key[len(prefix) :]] = Row.of(row)
    return rows


@contextmanager
def _complete() -> Iterator[None]:
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, OSError):  # requests' own, of a URL for instance
            raise
        raise StoreUnavailableError(
            f"The reply is incomplete, or not one of Consul's "
            f"({type(error).__name__}: {error}); is there a proxy in between?"
        ) from error
