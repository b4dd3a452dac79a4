# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests of the Redis store."""

from __future__ import annotations

import contextlib
import functools
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import redis

from flipper.contrib.redis import RedisFeatureFlagStore
from servers import Proxy, RedisServer
from support.redis_servers import start_cluster, without_pauses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def connect() -> Iterator[Callable[..., Any]]:
    """Give a function that makes clients of a server, directly or through a proxy."""
    with contextlib.ExitStack() as clients:

        def connect(server: RedisServer, proxy: Any = None, **options: Any) -> Any:
            kind = options.pop("kind", redis.Redis)
            options = {"retry": without_pauses(), "socket_timeout": 10, **options}
            parts = urlsplit(server.url)
            if proxy is not None:
                login = parts.netloc.rpartition("@")[0]
                address = f"{login}{'@' * bool(login)}{proxy.host}:{proxy.port}"
                parts = parts._replace(netloc=address)
            client = kind.from_url(parts.geturl(), **options)
            clients.callback(client.connection_pool.disconnect)
            return client

        yield connect


@pytest.fixture
def client(redis_server: RedisServer, connect: Callable[..., Any]) -> redis.Redis:
    """Give a client that gets bytes."""
    client: redis.Redis = connect(redis_server)
    return client


@pytest.fixture
def base_key() -> str:
    """Give a base key that no other test has."""
    return f"flipper-{uuid.uuid4().hex}"


@pytest.fixture
def store(client: redis.Redis, base_key: str) -> RedisFeatureFlagStore:
    """Give an empty store."""
    return RedisFeatureFlagStore(client, base_key)


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[Proxy]:
    """Give a proxy before the server."""
    with Proxy(redis_server.host, redis_server.port) as proxy:
        yield proxy


@pytest.fixture
def through(
    redis_server: RedisServer, proxy: Proxy, connect: Callable[..., Any]
) -> Callable[..., Any]:
    """Give a function that makes clients which reach the server through the proxy."""
    return functools.partial(connect, redis_server, proxy)


@pytest.fixture
def proxied_store(through: Callable[..., Any], base_key: str) -> RedisFeatureFlagStore:
    """Give a store that reaches the server through the proxy."""
    return RedisFeatureFlagStore(through(socket_timeout=None), base_key)


@pytest.fixture(scope="module")
def cluster(redis_server: RedisServer) -> Iterator[list[Any]]:
    """Give clients of the two nodes of a cluster, which have half of the slots each."""
    del redis_server  # without a Redis, this fixture has skipped the test
    with start_cluster() as clients:
        yield clients
