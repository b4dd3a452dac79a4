# SPDX-License-Identifier: Apache-2.0
"""The examples for web frameworks under their usual servers, over a real Redis."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import pytest
import redis
from example_servers import NOT_MEMOIZED, ExampleServer, Page, pages_while_flags_flip
from run_example import ROOT, TIMEOUT

from flipper import Condition, FeatureFlagClient, RedisFeatureFlagStore
from flipper.bucketing import (
    ConsistentHashPercentageBucketer,
    NoOpBucketer,
    Percentage,
)
from flipper.testing.contract import eventually
from servers.process import absent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import RedisServer

pytestmark = [
    pytest.mark.redis,
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="gunicorn needs forks"),
]

WORKERS = 4  # of gunicorn
GEVENT = "--worker-class gevent"


class Served(NamedTuple):
    """How an example is served.

    Attributes:
        target: of the Makefile.
        module: without it, the example cannot be served on this Python.
        processes: how many answer.
        sync: whether the processes have a synchronised copy of the flags.
        arguments: more arguments for gunicorn.
    """

    target: str
    module: str
    processes: int = WORKERS
    sync: bool = True
    arguments: str = ""


EXAMPLES = {
    "django": Served("example-django", "django"),
    "flask": Served("example-flask", "flask"),
    # Other greenlets run only while a question waits for the server.
    "flask, gevent": Served("example-flask", "gevent", WORKERS, False, GEVENT),
    "fastapi": Served("example-fastapi", "fastapi", 1),
}


class Example(NamedTuple):
    """An example that is being served, and the client of another process."""

    site: ExampleServer
    features: FeatureFlagClient
    url: str
    processes: int

    def wait_for(self, title: str, user: int = 0) -> None:
        """Wait until all processes show a user this page."""
        self.site.wait_for(
            lambda page: page.titles == [title] * 2,
            processes=self.processes,
            user=user,
        )


def serve(
    served: Served,
    redis_server: RedisServer,
    *,
    stack: ExitStack,
    memoized: bool = True,
) -> Example:
    """Serve an example until the end of a block."""
    key = f"example-{uuid.uuid4().hex}"
    url = f"{redis_server.url}?base_key={key}&sync={served.sync:d}"
    environment = {"GUNICORN_CMD_ARGS": served.arguments}
    if not memoized:
        environment["PYTHONPATH"] = f"{NOT_MEMOIZED}{os.pathsep}{ROOT}"
    connection = stack.enter_context(redis.Redis.from_url(redis_server.url))
    client = FeatureFlagClient(RedisFeatureFlagStore(connection, base_key=key))
    site = stack.enter_context(ExampleServer(served.target, environment, FLAGS=url))
    return Example(site, client, url, served.processes)


def can_be_served(served: Served) -> None:
    """Skip the test of an example whose framework is not installed."""
    if importlib.util.find_spec(served.module) is not None:
        return
    if served.module == "fastapi" and sys.version_info >= (3, 15):
        pytest.skip("pydantic-core, which FastAPI requires, has no wheel here")
    absent(f"{served.module} is not installed; `make install-dev` does that")


@pytest.fixture(scope="module", params=EXAMPLES)
def running(
    request: pytest.FixtureRequest, redis_server: RedisServer
) -> Iterator[Example]:
    """Serve each example."""
    served = EXAMPLES[request.param]
    can_be_served(served)
    with ExitStack() as stack:
        yield serve(served, redis_server, stack=stack)


@pytest.fixture
def example(running: Example) -> Iterator[Example]:
    """Give an example, with its flags as they are at first after each test."""
    yield running
    running.features.disable("NEW_CHECKOUT")
    running.features.set_conditions("NEW_CHECKOUT", [])
    running.features.set_bucketer("NEW_CHECKOUT", NoOpBucketer())
    running.features.enable("BUTTON_COLOUR")
    running.wait_for("old")


def test_a_page_follows_its_flag(example: Example) -> None:
    """A page is not found while its flag is off, and there while it is on."""
    site = example.site
    assert site.page().titles == ["old", "old"]
    assert site.checkout() == 404
    example.features.enable("NEW_CHECKOUT")
    example.wait_for("new")
    assert site.checkout() == 200
    example.features.disable("NEW_CHECKOUT")
    example.wait_for("old")
    assert site.checkout() == 404


def test_a_page_is_there_for_one_user(example: Example) -> None:
    """The request gives the user to the question."""
    site = example.site
    example.features.add_condition("NEW_CHECKOUT", Condition(user_id=7))
    example.features.enable("NEW_CHECKOUT")
    example.wait_for("new", user=7)
    users = (0, 6, 7, 8)
    assert [site.checkout(user) for user in users] == [404, 404, 200, 404]
    pages = [site.page(user).titles for user in users]
    assert pages == [["old"] * 2, ["old"] * 2, ["new"] * 2, ["old"] * 2]


def test_a_page_is_there_for_the_users_of_a_rollout(example: Example) -> None:
    """Each user gets the same answer from all processes."""
    features = example.features
    bucketer = ConsistentHashPercentageBucketer(
        key_whitelist=["user_id"], percentage=Percentage(0.3)
    )
    features.set_bucketer("NEW_CHECKOUT", bucketer)
    features.enable("NEW_CHECKOUT")
    users = range(1, 31)
    chosen = {u for u in users if features.is_enabled("NEW_CHECKOUT", user_id=u)}
    assert 0 < len(chosen) < len(users)
    example.wait_for("new", user=min(chosen))
    assert {user for user in users if example.site.checkout(user) == 200} == chosen
    assert {u for u in users if example.site.page(u).titles == ["new"] * 2} == chosen


def test_a_user_gets_a_variant(example: Example) -> None:
    """Users get the values of the variants, and the default while the flag is off."""
    features, site = example.features, example.site
    users = range(1, 11)
    expected = [
        [features.variant("BUTTON_COLOUR", "grey", user_id=user)] * 2 for user in users
    ]
    assert {colour for colours in expected for colour in colours} == {"blue", "green"}
    assert [site.page(user).colours for user in users] == expected
    features.disable("BUTTON_COLOUR")
    site.wait_for(
        lambda page: page.colours == ["grey", "grey"], processes=example.processes
    )


def test_each_response_is_wholly_one_variant(example: Example) -> None:
    """A flag that changes during a request has one answer in all parts of the page."""
    mixed, whole = pages_while_flags_flip(
        example.site.page, example.features, flips=200, parallel=50
    )
    assert mixed == []
    assert {title for title, _ in whole} == {"old", "new"}, whole
    assert len({colour for _, colour in whole}) == 2, whole


@pytest.mark.parametrize("name", EXAMPLES)
def test_without_a_memo_a_response_would_mix_variants(
    name: str, redis_server: RedisServer
) -> None:
    """The test above notices if the answers of a request are not memoized."""
    served = EXAMPLES[name]
    can_be_served(served)
    mixed: list[Page] = []
    with ExitStack() as stack:
        example = serve(served, redis_server, stack=stack, memoized=False)

        def has_mixed() -> bool:
            found, _ = pages_while_flags_flip(
                example.site.page, example.features, flips=50, parallel=20
            )
            mixed.extend(found)
            return bool(mixed)

        eventually(has_mixed)


def test_a_change_by_a_command_is_seen_by_all_processes(example: Example) -> None:
    """What the example tells the reader to do takes effect in all of its processes."""
    assert "flipper enable NEW_CHECKOUT" in example.site.log()
    subprocess.run(
        [sys.executable, "-m", "flipper", "enable", "NEW_CHECKOUT", "--yes"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "FLIPPER_URL": example.url},
        check=True,
        capture_output=True,
        timeout=TIMEOUT,
    )
    example.wait_for("new")
