# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests of the Consul store."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from servers import ConsulServer, Proxy, start_consul
from support.consul_clients import BriefStore, TappedClient, connect_to_consul

if TYPE_CHECKING:
    from collections.abc import Iterator

    import consul

    from flipper.contrib.consul import ConsulFeatureFlagStore


@pytest.fixture
def client(consul_server: ConsulServer) -> consul.Consul:
    """Give a client of the server, to read and write without the store."""
    return connect_to_consul(consul_server)


@pytest.fixture
def base_key() -> str:
    """Give a base key that no other test has."""
    return f"flipper-{uuid.uuid4().hex}"


@pytest.fixture
def store(client: consul.Consul, base_key: str) -> Iterator[ConsulFeatureFlagStore]:
    """Give an empty store."""
    with BriefStore(client, base_key) as store:
        yield store


@pytest.fixture
def proxy(consul_server: ConsulServer) -> Iterator[Proxy]:
    """Give a proxy before the server."""
    with Proxy(consul_server.host, consul_server.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def own_server() -> Iterator[ConsulServer]:
    """Give a server that a test may stop, if it starts it again."""
    with start_consul() as server:
        yield server


@pytest.fixture
def tapped(client: consul.Consul) -> TappedClient:
    """Give a client whose requests the test can see and replace."""
    return TappedClient(client)
