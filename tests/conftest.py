# SPDX-License-Identifier: Apache-2.0
"""Fixtures for all tests: the servers, each started when the first test asks for it."""

from __future__ import annotations

import logging
import sys
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from servers import ConsulServer, PostgresServer, RedisServer, S3Server, shared

if TYPE_CHECKING:
    from collections.abc import Iterator

# Background threads of stores whose server is gone may outlive their test by a while.
# Thrift logs each of their tries, also into what the next test has captured.
logging.getLogger("thrift").setLevel(logging.CRITICAL)


SERVERS = {"redis", "postgres", "consul", "s3", "thrift", "interop"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what waits for servers, lest a worker be left alone with it."""
    items.sort(key=lambda item: SERVERS.isdisjoint(m.name for m in item.iter_markers()))


@pytest.fixture(autouse=True)
def _end_outages() -> Iterator[None]:
    """Close circuit breakers after each test, lest the next one captures their log."""
    yield
    module: Any = sys.modules.get("flipper.contracts.circuit_breaker")
    if module is not None and module._open:
        for breaker in list(module._open.values()):
            breaker._is_open = False
        module._open.clear()
        module.refresh_readers()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Give a Redis that all tests share: use keys of your own, or clear them first."""
    with shared(RedisServer) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Give a PostgreSQL that all tests share."""
    with shared(PostgresServer) as server:
        yield server


@pytest.fixture
def postgres_conninfo(postgres_server: PostgresServer) -> Iterator[str]:
    """Give the connection string of an empty database, dropped after the test."""
    with postgres_server.scratch_database() as conninfo:
        yield conninfo


@pytest.fixture(scope="session")
def consul_server() -> Iterator[ConsulServer]:
    """Give a Consul that all tests share: use keys of your own."""
    with shared(ConsulServer) as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """Give an S3 server that all tests share."""
    with shared(S3Server) as server:
        yield server


@pytest.fixture
def s3_client(s3_server: S3Server) -> Iterator[Any]:
    """Give a boto3 client of the S3 server, closed after the test."""
    client = s3_server.client()
    yield client
    client.close()


@pytest.fixture
def s3_bucket(s3_client: Any) -> Iterator[str]:
    """Give the name of an empty bucket, removed after the test."""
    name = f"flipper-{uuid.uuid4().hex}"
    s3_client.create_bucket(Bucket=name)
    yield name
    for page in s3_client.get_paginator("list_objects_v2").paginate(Bucket=name):
        for found in page.get("Contents", ()):
            s3_client.delete_object(Bucket=name, Key=found["Key"])
    s3_client.delete_bucket(Bucket=name)
