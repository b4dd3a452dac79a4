# SPDX-License-Identifier: Apache-2.0
"""Renews the connections of a boto3 client in a forked child."""

from __future__ import annotations

import copy
import sys
from typing import Any

from ...runtime.fork import renew_locks

# Sessions with connections of the parent process. They are kept, because the garbage
# collector would close the connections, which the parent still uses.
_sessions_of_parent: list[Any] = []


def renew_connections(client: Any) -> None:
    """Make a client of boto3 open new connections in place of those that it keeps.

    On a connection that the parent process uses too, a child would get replies that are
    meant for the parent.
    """
    signer = getattr(client, "_request_signer", None)
    # A thread holds one while it refreshes the credentials, which takes a request.
    renew_locks(getattr(signer, "_credentials", None), "botocore")
    endpoint: Any = getattr(client, "_endpoint", None)
    session: Any = getattr(endpoint, "http_session", None)
    manager = getattr(session, "_manager", None)
    urllib3: Any = sys.modules.get("urllib3")
    if urllib3 is None or not isinstance(manager, urllib3.PoolManager):
        return  # a test double, or another HTTP client
    made = urllib3.PoolManager(**manager.connection_pool_kw)
    made.pool_classes_by_scheme = manager.pool_classes_by_scheme
    renewed = copy.copy(session)
    renewed._manager, renewed._proxy_managers = made, {}  # noqa: SLF001  (botocore has no method for it)
    _sessions_of_parent.append(session)
    endpoint.http_session = renewed
