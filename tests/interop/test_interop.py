# SPDX-License-Identifier: Apache-2.0
"""This library and the published flipper-client, at work on one store at once."""

from __future__ import annotations

import random
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
USERS = 1000
BACKENDS = ["redis", "postgres", "consul", "s3", "thrift"]
PERCENTAGES: list[dict[str, Any]] = [
    {"class": "Percentage", "value": 0.0},
    {"class": "Percentage", "value": 0.5},
    {"class": "Percentage", "value": 1},
    {"class": "LinearRampPercentage", "initial_time": 1_500_000_000},
    {
        "class": "LinearRampPercentage",
        "initial_value": 0.1,
        "final_value": 0.33,
        "ramp_duration": 60,
        "initial_time": 1_600_000_000,
    },
]
CONDITIONS: list[list[dict[str, Any]]] = [
    [],
    [{"plan": "pro"}],
    [{"plan__ne": "free", "age__gte": 18}],
    [{"age__gt": 30}, {"age__lt": 60, "country__in": ["CH", "Österreich", None]}],
    [{"age__lte": 41.5}, {"country__not_in": ["CH"]}, {"is_admin": True}],
]


def flags(prefix: str) -> dict[str, dict[str, Any]]:
    """Describe flags with every kind of condition and bucketer, by name."""
    bucketers: list[dict[str, Any] | None] = [None]
    bucketers += [
        {
            "class": "ConsistentHashPercentageBucketer",
            "key_whitelist": whitelist,
            "percentage": percentage,
        }
        for percentage in PERCENTAGES
        for whitelist in (["user_id"], ["user_id", "plan"], [])
    ]
    # A random one can only be compared where chance has no say.
    bucketers.append({"class": "PercentageBucketer", "percentage": PERCENTAGES[0]})
    bucketers.append({"class": "PercentageBucketer", "percentage": PERCENTAGES[2]})
    described = [
        {
            "is_enabled": number % 7 != 0,
            "client_data": {"number": number, "Ünïcode": [1.5, None, {"deep": "✓"}]},
            "conditions": CONDITIONS[number % len(CONDITIONS)],
            "bucketer": bucketer,
        }
        for number, bucketer in enumerate(bucketers, start=1)
    ]
    return {f"{prefix}-{i}/ä": flag for i, flag in enumerate(described)}


def contexts() -> list[dict[str, Any]]:
    """Describe the users who ask: each gives all that any condition looks at."""
    # Without, this library asks the bucketer and the original does not: the one
    # difference of answers that there is, and a deliberate one.
    chance = random.Random(20_000)  # noqa: S311
    return [
        {
            "user_id": number if number % 2 else f"user-{number}-é",
            "plan": chance.choice(["free", "pro", "team"]),
            "age": chance.choice([17, 18, 30, 31.5, 41.5, 59, 60]),
            "country": chance.choice(["CH", "Österreich", "FR"]),
            "is_admin": chance.random() < 0.5,
        }
        for number in range(USERS)
    ]


@pytest.fixture(
    params=[pytest.param(b, marks=getattr(pytest.mark, b)) for b in BACKENDS]
)
def address(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Give a backend, and where it is."""
    backend: str = request.param
    if backend == "postgres":
        yield backend, request.getfixturevalue("postgres_conninfo")
    elif backend == "s3":
        server = request.getfixturevalue("s3_server")
        yield backend, f"{server.endpoint} {request.getfixturevalue('s3_bucket')}"
    elif backend == "redis":
        server = request.getfixturevalue("redis_server")
        import redis

        with redis.Redis(server.host, server.port) as client:
            client.flushdb()
        yield backend, f"redis://{server.host}:{server.port}/0"
    elif backend == "consul":
        server = request.getfixturevalue("consul_server")
        yield backend, f"{server.host}:{server.port}"
    else:
        yield from thrift_address()


def thrift_address() -> Iterator[tuple[str, str]]:
    """Serve a store in memory by the server that comes along."""
    command = [sys.executable, "-m", "flipper.contrib.thrift.server", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as server:
        assert server.stdout
        address = server.stdout.readline().split()[-1]
        yield "thrift", address
        server.terminate()


@pytest.mark.interop
@pytest.mark.parametrize("writer", ["original", "ours"])
def test_what_one_library_writes_the_other_reads_alike(
    agents: dict[str, Any], address: tuple[str, str], writer: str
) -> None:
    """Old and new processes share a database during a rolling upgrade."""
    reader = "ours" if writer == "original" else "original"
    assert agents["original"].version() == "original"
    described = flags(f"{writer}-{uuid.uuid4().hex[:6]}")
    users = contexts()
    agents[writer].write(described)
    for name, flag in described.items():
        # It is the same for both once both have seen all of the writes.
        wait_until(
            lambda name=name: (
                view(agents[reader], name, users) == view(agents[writer], name, users)
            ),
            address[0],
        )
        there = agents[writer].answers(name, users)
        assert flag["is_enabled"] or not any(there)
    # Not of the original: over Consul, its list may have holes.
    assert set(described) <= set(agents["ours"].names())


@pytest.mark.interop
@pytest.mark.parametrize("rewriter", ["original", "ours"])
def test_what_one_library_writes_the_other_rewrites_without_loss(
    agents: dict[str, Any], address: tuple[str, str], rewriter: str
) -> None:
    """A flag that both change keeps what either has put into it."""
    writer = "ours" if rewriter == "original" else "original"
    # Fewer of them: the original connects to PostgreSQL anew for every call.
    described = dict([*flags(f"{rewriter}-{uuid.uuid4().hex[:6]}").items()][1::3])
    users = contexts()[:100]
    agents[writer].write(described)
    for name, flag in described.items():
        before = agents[writer].meta(name)
        wait_until(
            lambda name=name, b=before: agents[rewriter].meta(name) == b, address[0]
        )
        agents[rewriter].rewrite(name, {"rewritten": True})
        expected = {
            **before,
            "client_data": {**flag["client_data"], "rewritten": True},
        }
        for by in (writer, rewriter):
            wait_until(
                lambda name=name, by=by, e=expected: agents[by].meta(name) == e,
                address[0],
            )
        agents[rewriter].enable(name)
        wait_until(
            lambda name=name: (
                agents[writer].answers(name, users)
                == agents[rewriter].answers(name, users)
            ),
            address[0],
        )


def view(agent: Any, name: str, users: list[dict[str, Any]]) -> tuple[Any, Any]:
    """Ask for all that there is to a flag."""
    return agent.meta(name), agent.answers(name, users)


def wait_until(condition: Any, backend: str) -> None:
    """Wait for a store that follows its server to have followed; others need not.

    Over Consul, the original does not even see its own writes at once.
    """
    deadline = time.monotonic() + (10 if backend == "consul" else 0)
    while not condition():
        assert time.monotonic() < deadline, "the other library never saw the change"
        time.sleep(0.02)
