# SPDX-License-Identifier: Apache-2.0
"""Stores behind a Thrift service: `thrift://host:9090`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..contrib.thrift import ThriftRPCFeatureFlagStore
from ..contrib.thrift.sockets import PROTOCOLS, TRANSPORTS, make_client
from .ownership import make_owner

if TYPE_CHECKING:
    from .address import StoreURL

_PORT: Final = 9090
_TIMEOUT: Final = 2.0  # seconds


def build(url: StoreURL) -> Any:
    """Make the store. It connects when it is first used."""
    options = url.options
    host = url.host(_PORT)
    url.refuse_path("write thrift://host:9090")
    if url.username or url.password:
        url.refuse("has a user, and the Thrift service does not know users")
    timeout = options.seconds("timeout", _TIMEOUT)
    transport = options.choice("transport", *TRANSPORTS)
    protocol = options.choice("protocol", *PROTOCOLS)
    options.refuse_unknown()
    client, opened = make_client(
        host.name,
        host.port or _PORT,
        timeout=timeout,
        transport=transport,
        protocol=protocol,
    )
    return make_owner(ThriftRPCFeatureFlagStore, client, release=opened.close)
