# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests of the PostgreSQL store."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from flipper.contrib.postgresql import PostgreSQLFeatureFlagStore
from servers import PostgresServer, Proxy, start_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flipper.contrib.postgresql.watch import PostgreSQLWatch


@pytest.fixture
def store(postgres_conninfo: str) -> Iterator[PostgreSQLFeatureFlagStore]:
    """Give an empty store in a database of its own."""
    with PostgreSQLFeatureFlagStore(postgres_conninfo) as store:
        yield store


@pytest.fixture
def watch(store: PostgreSQLFeatureFlagStore) -> Iterator[PostgreSQLWatch]:
    """Give a watch of the store."""
    with closing(store.watch()) as watch:
        yield watch


@pytest.fixture
def raw(postgres_conninfo: str) -> Iterator[psycopg.Connection[Any]]:
    """Give a connection to the same database, without the store."""
    with psycopg.connect(postgres_conninfo, autocommit=True) as connection:
        yield connection


@pytest.fixture
def proxy(postgres_server: PostgresServer) -> Iterator[Proxy]:
    """Give a proxy before the server."""
    with Proxy(postgres_server.host, postgres_server.port) as proxy:
        yield proxy


@pytest.fixture
def through(postgres_conninfo: str, proxy: Proxy) -> str:
    """Give the connection string that leads through the proxy."""
    return make_conninfo(postgres_conninfo, host=proxy.host, port=proxy.port)


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """Give a server that a test may stop, if it starts it again."""
    with start_postgres() as server:
        yield server


@pytest.fixture
def conninfo(own_server: PostgresServer) -> Iterator[str]:
    """Give the connection string of an empty database of that server."""
    with own_server.scratch_database() as conninfo:
        yield conninfo
