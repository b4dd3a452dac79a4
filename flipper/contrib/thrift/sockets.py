# SPDX-License-Identifier: Apache-2.0
"""Makes clients of the Thrift service for a host and a port."""

from __future__ import annotations

from typing import Any, Final

from ...exceptions import MissingDependencyError

try:
    from thrift.protocol.TBinaryProtocol import TBinaryProtocol
    from thrift.protocol.TCompactProtocol import TCompactProtocol
    from thrift.transport.TSocket import TSocket
    from thrift.transport.TTransport import TBufferedTransport, TFramedTransport

    from flipper_thrift.python.feature_flag_store import FeatureFlagStore
except ImportError as error:
    raise MissingDependencyError.for_extra("thrift", "thrift") from error

# By the names that URLs have for them; the first is the default.
TRANSPORTS: Final = {"buffered": TBufferedTransport, "framed": TFramedTransport}
PROTOCOLS: Final = {"binary": TBinaryProtocol, "compact": TCompactProtocol}


def make_client(
    host: str, port: int, *, timeout: float, transport: str, protocol: str
) -> tuple[Any, Any]:
    """Return a client, and its transport, which is not open yet.

    Args:
        host: where the server listens.
        port: where the server listens.
        timeout: seconds, to connect as well as for an answer.
        transport: a name of `TRANSPORTS`.
        protocol: a name of `PROTOCOLS`.
    """
    socket = TSocket(host, port)
    socket.setTimeout(timeout * 1000)
    opened = TRANSPORTS[transport](socket)
    return FeatureFlagStore.Client(PROTOCOLS[protocol](opened)), opened
