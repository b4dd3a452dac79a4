# SPDX-License-Identifier: Apache-2.0
"""This library and the published flipper-client use one store at the same time."""

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
USERS = 300
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
    """Return descriptions of flags with every kind of condition and bucketer."""
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
    # A random bucketer can only be compared if its answer does not depend on chance.
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
    """Return the arguments of users; each has all that the conditions need."""
    # If an argument is missing, this library asks the bucketer and the original does
    # not. That is the only difference of answers, and it is deliberate.
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
    """Give the name of a backend, and its address."""
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
    """Serve a store in memory with the Thrift server of this library."""
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
def test_each_library_reads_the_flags_of_the_other(
    agents: dict[str, Any], address: tuple[str, str], writer: str
) -> None:
    """Both libraries give the same answers for flags that one of them wrote."""
    reader = "ours" if writer == "original" else "original"
    assert agents["original"].version() == "original"
    described = flags(f"{writer}-{uuid.uuid4().hex[:6]}")
    users = contexts()
    agents[writer].write(described)
    for name, flag in described.items():
        # Both see the same when their copies have all writes.
        wait_until(
            lambda name=name: (
                view(agents[reader], name, users) == view(agents[writer], name, users)
            ),
            address[0],
        )
        there = agents[writer].answers(name, users)
        assert flag["is_enabled"] or not any(there)
    # Only in this library: over Consul, the list of the original may be incomplete.
    assert set(described) <= set(agents["ours"].names())


@pytest.mark.interop
@pytest.mark.parametrize("rewriter", ["original", "ours"])
def test_each_library_changes_the_flags_of_the_other_without_loss(
    agents: dict[str, Any], address: tuple[str, str], rewriter: str
) -> None:
    """A flag that both libraries change keeps the changes of both."""
    writer = "ours" if rewriter == "original" else "original"
    # Fewer flags, since the original opens a connection to PostgreSQL for every call.
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
    """Return the metadata and the answers of a flag."""
    return agent.meta(name), agent.answers(name, users)


def wait_until(condition: Any, backend: str) -> None:
    """Check a condition; over Consul, wait until it holds.

    Both libraries read a copy there, and the original sees its own writes later.
    """
    deadline = time.monotonic() + (10 if backend == "consul" else 0)
    while not condition():
        assert time.monotonic() < deadline, "the other library did not see the change"
        time.sleep(0.02)
