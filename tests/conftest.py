# SPDX-License-Identifier: Apache-2.0
"""Fixtures for all tests: the servers, each started when the first test asks for it."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import logging
import pkgutil
import sys
import threading
import uuid
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import coverage
import pytest

import flipper
from servers import ConsulServer, PostgresServer, RedisServer, S3Server, shared

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

# Background threads of stores whose server is gone may run on after their test. Thrift
# logs each of their attempts, and the next test would capture that.
logging.getLogger("thrift").setLevel(logging.CRITICAL)


SERVERS = {"redis", "postgres", "consul", "s3", "thrift", "interop"}
# The tests that repeat, for many stores or values, what others cover; and those that
# Hypothesis repeats.
NOT_MEASURED = tuple(
    f"{Path(__file__).parent}/{beginning}"
    for beginning in (
        "compat/test_vectors_",
        "contract/test_contract.py",
        "examples/",
        "flag_files/test_positions.py",
        "flag_files/test_schema.py",
        "importers/test_damaged_files.py",
        "interop/",
        "processes/",
        "project/",
        "rules/test_independence.py",
        "test_evaluation_property.py",
        "test_speed_guard.py",
    )
)


# Without the GIL, each dict has a lock of its own. If a thread holds one at a fork, it
# is never released in the child: this happens to programs of a few lines, too.
WITHOUT_FORKS = pytest.mark.skip(reason="a child may wait for ever without the GIL")


def scope(item: pytest.Item) -> str:
    """Return the class or module of a test, all of whose tests run in one worker."""
    return item.nodeid.rpartition("::")[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that wait for servers, and with as many that only compute.

    What takes long is begun early. While one worker waits, another one computes.
    """
    waiting: list[list[pytest.Item]] = []
    computing: list[list[pytest.Item]] = []
    for _, tests in itertools.groupby(items, scope):
        group = [*tests]
        marks = {mark.name for test in group for mark in test.iter_markers()}
        (computing if SERVERS.isdisjoint(marks) else waiting).append(group)
    pairs = itertools.zip_longest(waiting, computing, fillvalue=())
    items[:] = itertools.chain.from_iterable(itertools.chain.from_iterable(pairs))
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        for item in items:
            if "fork" in item.nodeid or "/processes/" in item.nodeid:
                item.add_marker(WITHOUT_FORKS)


@contextlib.contextmanager
def no_coverage() -> Iterator[None]:
    """Measure no coverage for a while, here and in programs, which doubles the time."""
    # A worker of pytest-xdist is measured twice: by pytest-cov, and as any program is.
    stopped = []
    while (measured := coverage.Coverage.current()) is not None:
        measured.stop()
        stopped.append(measured)
    try:
        with pytest.MonkeyPatch.context() as environment:
            environment.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
            yield
    finally:
        for measured in reversed(stopped):
            measured.start()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Measure the import of the library, but not that of the tests."""
    if coverage.Coverage.current() is not None:
        # The modules of the integration with Django need the settings of a site.
        importlib.import_module("support.django_site")
        for module in pkgutil.walk_packages(flipper.__path__, "flipper."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    with no_coverage():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measure no coverage of a test that would add nothing to it."""
    is_repeating = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
    is_measured = not (is_repeating or str(item.path).startswith(NOT_MEASURED))
    with contextlib.nullcontext() if is_measured else no_coverage():
        return (yield)


@pytest.fixture(autouse=True)
def _end_outages() -> Iterator[None]:
    """Close all circuit breakers after each test, so that none logs into the next."""
    yield
    module: Any = sys.modules.get("flipper.contracts.circuit_breaker")
    if module is not None and module._open:
        for breaker in list(module._open.values()):
            breaker._is_open = False
        module._open.clear()
        module.refresh_readers()


@pytest.fixture
def threads_switch_often() -> Iterator[None]:
    """Let Python switch threads as often as it can, so that they race."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.fixture
def own_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[], set[threading.Thread]]:
    """Return a function that gives the running threads of this test.

    These are the threads that the test has started, and those that they have
    started. Stores of earlier tests may start and end threads at any time.
    """
    test = threading.current_thread()
    own = {weakref.ref(test)}  # a thread may keep the store whose thread it is
    start = threading.Thread.start

    def record(thread: threading.Thread) -> None:
        if weakref.ref(threading.current_thread()) in own:
            own.add(weakref.ref(thread))
        start(thread)

    def running() -> set[threading.Thread]:
        threads = {reference() for reference in own.copy()}
        return {one for one in threads if one is not None and one.is_alive()} - {test}

    monkeypatch.setattr(threading.Thread, "start", record)
    return running


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Return a Redis that all tests share: use own keys, or clear them first."""
    with shared(RedisServer) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Return a PostgreSQL that all tests share."""
    with shared(PostgresServer) as server:
        yield server


@pytest.fixture
def postgres_conninfo(postgres_server: PostgresServer) -> Iterator[str]:
    """Return the connection string of an empty database, dropped after the test."""
    with postgres_server.scratch_database() as conninfo:
        yield conninfo


@pytest.fixture(scope="session")
def consul_server() -> Iterator[ConsulServer]:
    """Return a Consul that all tests share: use keys of your own."""
    with shared(ConsulServer) as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """Return an S3 server that all tests share."""
    with shared(S3Server) as server:
        yield server


@pytest.fixture
def s3_client(s3_server: S3Server) -> Iterator[Any]:
    """Return a boto3 client of the S3 server, closed after the test."""
    client = s3_server.client()
    yield client
    client.close()


@pytest.fixture
def s3_bucket(s3_client: Any) -> Iterator[str]:
    """Return the name of an empty bucket, removed after the test."""
    name = f"flipper-{uuid.uuid4().hex}"
    s3_client.create_bucket(Bucket=name)
    yield name
    for page in s3_client.get_paginator("list_objects_v2").paginate(Bucket=name):
        for found in page.get("Contents", ()):
            s3_client.delete_object(Bucket=name, Key=found["Key"])
    s3_client.delete_bucket(Bucket=name)
