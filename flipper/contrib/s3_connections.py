# SPDX-License-Identifier: Apache-2.0
"""Connections to S3, in a forked child."""

from __future__ import annotations

import copy
import sys
from typing import Any

from .util.fork import renew_locks

# Sockets of the parent: to close them, or to let them go, is up to the parent.
_parents: list[Any] = []


def renew_connections(client: Any) -> None:
    """Let a client of boto3, which keeps connections, make new ones.

    A request on a connection that the parent uses too would get the parent's answers.
    """
    signer = getattr(client, "_request_signer", None)
    # One is held for as long as credentials are refreshed, which asks a server.
    renew_locks(getattr(signer, "_credentials", None), "botocore")
    endpoint: Any = getattr(client, "_endpoint", None)
    session: Any = getattr(endpoint, "http_session", None)
    manager = getattr(session, "_manager", None)
    urllib3: Any = sys.modules.get("urllib3")
    if urllib3 is None or not isinstance(manager, urllib3.PoolManager):
        return  # a double, or another HTTP client
    made = urllib3.PoolManager(**manager.connection_pool_kw)
    made.pool_classes_by_scheme = manager.pool_classes_by_scheme
    renewed = copy.copy(session)
    renewed._manager, renewed._proxy_managers = made, {}  # noqa: SLF001  (botocore's)
    _parents.append(session)
    endpoint.http_session = renewed
