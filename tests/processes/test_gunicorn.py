# SPDX-License-Identifier: Apache-2.0
"""Synced stores in the workers of a real gunicorn with --preload."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis
from application_server import ApplicationServer, python_program, run
from flags import KINDS

from flipper import RedisFeatureFlagStore
from servers import Proxy, start_redis
from servers.process import LOOPBACK, absent, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flags import Places

    from servers import RedisServer

pytestmark = [
    *(getattr(pytest.mark, mark) for mark in ("redis", "postgres", "consul", "s3")),
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here"),
]


@contextmanager
def gunicorn(
    places: Places, *stores: str, workers: int = 3, **environment: str
) -> Iterator[ApplicationServer]:
    """Run workers of gunicorn that are forked once the stores have been made."""
    program = python_program("gunicorn")
    if not Path(program).exists():
        absent("gunicorn is not installed; `make install-dev` does that")
    port = free_port()
    command = [
        *(program, "application:application", "--preload", "--bind"),
        *(f"{LOOPBACK}:{port}", "--workers", str(workers)),
    ]
    environment["FLIPPER_TEST_STORES"] = " ".join(stores)
    with run(command, port, places, **environment) as server:
        yield server


def connect(server: RedisServer) -> redis.Redis:
    """Make a client."""
    return redis.Redis(server.host, server.port)


def answers_of_all_workers(server: ApplicationServer, path: str) -> list[Any]:
    """Send requests until three workers have answered; return all answers."""
    workers: set[int] = set()
    answers = []
    while len(workers) < 3:
        with ThreadPoolExecutor(9) as threads:
            found = list(threads.map(server.ask, [path] * 9))
        workers.update(each["pid"] for each in found)
        answers += [each.get("answer", each) for each in found]
    return answers


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_answer_of_a_worker_is_up_to_date(
    kind: str, places: Places, outside_stores: dict[str, Any]
) -> None:
    """The first answer of a worker has changes that were made while it was idle."""
    inner = outside_stores[kind]
    inner.create("kill-switch", True)
    inner.create("new", False)
    # A machine that is overloaded may take longer for an answer than children wait.
    with gunicorn(places, f"synced-{kind}", FLIPPER_TEST_CHILD_TIMEOUT="20") as server:
        inner.set("kill-switch", False)
        inner.set("new", True)
        path = f"/synced-{kind}/is_enabled"
        assert set(answers_of_all_workers(server, f"{path}/kill-switch")) == {False}
        assert set(answers_of_all_workers(server, f"{path}/new")) == {True}


def test_workers_without_calls_open_no_connection(places: Places) -> None:
    """Workers that never ask for a flag open no connection."""
    with start_redis() as server, connect(server) as client:
        there = places._replace(redis=(server.host, server.port))
        found = []
        for workers in (1, 3):
            with gunicorn(there, "synced-redis", workers=workers) as application:
                found.append(len(client.client_list()))
                if workers == 3:
                    answers_of_all_workers(application, "/synced-redis/is_enabled/x")
                    found.append(len(client.client_list()))
    assert found[0] == found[1] < found[2]


@pytest.mark.parametrize("how", ["refuses", "hangs"])
def test_workers_answer_from_the_copy_while_the_server_is_away(
    how: str, places: Places
) -> None:
    """Workers answer from the copy of their master while the server is away."""
    with start_redis() as server, Proxy(server.host, server.port) as proxy:
        there = places._replace(redis=(proxy.host, proxy.port))
        with connect(server) as client:
            RedisFeatureFlagStore(client, places.place).create("x", True)
        with gunicorn(there, "synced-redis") as application:
            getattr(proxy, "cut" if how == "refuses" else "blackhole")()
            path = "/synced-redis/is_enabled/x"
            assert set(answers_of_all_workers(application, path)) == {True}
            proxy.restore()
