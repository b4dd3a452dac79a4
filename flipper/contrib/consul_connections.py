# SPDX-License-Identifier: Apache-2.0
"""Connections to Consul, in a forked child."""

from __future__ import annotations

import copy
from collections.abc import MutableMapping
from typing import Any

# Sockets of the parent: to close them, or to let them go, is up to the parent.
_parents: list[Any] = []


def renew_connections(consul: Any) -> None:
    """Let a client that keeps connections, as it does by a session, make new ones.

    A request on a connection that the parent uses too would get the parent's answers.
    """
    adapters: Any = consul
    for name in ("http", "session", "adapters"):
        adapters = getattr(adapters, name, None)
    if not isinstance(adapters, MutableMapping):
        return
    for address, adapter in list(adapters.items()):
        made = copy.copy(adapter)  # with all of its settings and a pool of its own
        made.__dict__ = {**vars(adapter), **vars(made)}
        _parents.append(adapter)
        adapters[address] = made
