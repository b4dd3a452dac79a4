# SPDX-License-Identifier: Apache-2.0
"""What the store does differently for single servers, clusters and test doubles.

The functions look at the class of a client: a mock object has any attribute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def is_cluster(client: Any) -> bool:
    """Return whether this is a client of a Redis cluster."""
    return hasattr(type(client), "get_node_from_key")


def supports_transactions(client: Any) -> bool:
    """Return whether a client has a connection pool, and so can use WATCH and EXEC."""
    pool = getattr(client, "connection_pool", None)
    return is_cluster(client) or hasattr(type(pool), "get_connection")


def client_of_key(client: Any, key: str) -> Any:
    """Return a client that can watch this key: in a cluster, the client of its node."""
    if not is_cluster(client):
        return client
    return client.get_redis_connection(client.get_node_from_key(key))


def values_from_double(double: Any, keys: Sequence[str]) -> Sequence[Any]:
    """Read strings with a test double, in one call of `mget` if it has a usable one."""
    if hasattr(double, "mget"):
        try:
            found = list(double.mget(keys))
        except TypeError:  # its `mget` takes the keys as separate arguments
            found = []
        if len(found) == len(keys):
            return found
    return [double.get(key) for key in keys]


def key_encodings(client: Any) -> list[str]:
    """Return the encodings that the keys of a client of redis-py may have.

    The driver's C extension writes keys in UTF-8, even if the client has another
    encoding.
    """
    return list(dict.fromkeys(("utf-8", client.get_encoder().encoding)))


def decode_key(key: bytes, encodings: Iterable[str]) -> str | None:
    """Decode a key with the first encoding that fits, or return `None`."""
    for encoding in encodings:
        try:
            return key.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None
