# SPDX-License-Identifier: Apache-2.0
"""The servers that tests use, and a proxy that cuts their connections.

Fixtures (tests/conftest.py) give one of each kind for the whole session. A test that
stops, kills or restarts a server starts one for itself::

    with start_redis() as server, Proxy(server.host, server.port) as proxy: ...

A server starts, and its driver is imported, when the first test needs it.
`make servers` installs them.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, TypeVar

import pytest

from .consul_server import ConsulServer
from .postgres_server import PostgresServer
from .process import Server, ServerFailedError, ServerMissingError, absent, unmeasured
from .proxy import Proxy
from .redis_server import RedisServer
from .s3_server import S3Server

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "ConsulServer",
    "PostgresServer",
    "Proxy",
    "RedisServer",
    "S3Server",
    "ServerFailedError",
    "shared",
    "start_consul",
    "start_postgres",
    "start_redis",
    "start_s3",
    "unmeasured",
]

AnyServer = TypeVar("AnyServer", bound=Server)


@contextlib.contextmanager
def shared(kind: type[AnyServer]) -> Iterator[AnyServer]:
    """Yield the server that the environment names, or start one.

    A named server that does not answer is a failure. Without an installed server the
    test is skipped; with CI=true it fails.
    """
    address = os.environ.get(kind.variable)
    if not address:
        with start(kind) as server:
            yield server
        return
    with kind(address) as server:
        yield server


@contextlib.contextmanager
def start(kind: type[AnyServer]) -> Iterator[AnyServer]:
    """Start a server that the test may stop and start again, and end it afterwards."""
    try:
        server = kind()
    except ServerMissingError as error:
        if os.environ.get(kind.variable):
            pytest.skip(f"{error}; {kind.variable} names one that cannot be stopped")
        absent(str(error))
    with server:
        yield server


def start_redis() -> contextlib.AbstractContextManager[RedisServer]:
    """Start a Redis for this test alone."""
    return start(RedisServer)


def start_postgres() -> contextlib.AbstractContextManager[PostgresServer]:
    """Start a PostgreSQL for this test alone."""
    return start(PostgresServer)


def start_consul() -> contextlib.AbstractContextManager[ConsulServer]:
    """Start a Consul for this test alone."""
    return start(ConsulServer)


def start_s3() -> contextlib.AbstractContextManager[S3Server]:
    """Start an S3 server for this test alone."""
    return start(S3Server)
