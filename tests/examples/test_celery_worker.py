# SPDX-License-Identifier: Apache-2.0
"""The example with Celery: its worker, and the Redis that is started for it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from example_servers import ExampleServer
from run_example import ROOT, TIMEOUT

from flipper import Condition, FeatureFlagClient
from flipper.testing.contract import eventually
from servers.process import LOOPBACK, ServerMissingError, absent, free_port, program

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.redis,
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="Celery needs forks here"),
]

EXAMPLES = ROOT / "examples"


class ExampleWorker(ExampleServer):
    """The worker of Celery, and a Redis of its own."""

    def __init__(self, flags: str) -> None:
        self.redis_port = free_port()
        port = str(self.redis_port)
        super().__init__("example-celery", FLAGS=flags, REDIS_PORT=port)

    def find_programs(self) -> None:
        """Find redis-server."""
        program("redis-server")

    def close(self) -> None:
        """End the worker in order, so that its Redis ends, too."""
        self.stop()
        super().close()

    def answers(self) -> bool:
        """Return whether the worker says which queues it has."""
        return "[queues]" in self.log()

    def text_for(self, user: int) -> list[str]:
        """Let the worker write to a user; return the words of the text."""
        done = subprocess.run(
            [sys.executable, "celery_worker.py", str(user)],
            cwd=EXAMPLES,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "REDIS_URL": f"redis://{LOOPBACK}:{self.redis_port}/0",
                "FLIPPER_URL": self._settings["FLAGS"],
            },
            capture_output=True,
            text=True,
            check=True,
            timeout=TIMEOUT,
        )
        return done.stdout.split()

    def has_redis(self) -> bool:
        """Return whether a Redis listens."""
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, self.redis_port)) == 0


@pytest.fixture(scope="module")
def flags(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give the URL of the flags."""
    return f"sqlite:///{tmp_path_factory.mktemp('celery') / 'flags.db'}?sync=1"


@pytest.fixture(scope="module")
def worker(flags: str) -> Iterator[ExampleWorker]:
    """Run the example."""
    try:
        worker = ExampleWorker(flags)
    except ServerMissingError as error:
        absent(str(error))
    with worker:
        yield worker


def test_a_task_follows_its_flags(worker: ExampleWorker, flags: str) -> None:
    """The text follows the flag for one user, for all, and the variant."""
    with FeatureFlagClient.from_url(flags) as features:
        colours = {
            user: features.variant("BUTTON_COLOUR", user_id=user) for user in (6, 7)
        }
        assert worker.text_for(7)[:4] == ["old", colours[7], "old", colours[7]]
        features.add_condition("NEW_CHECKOUT", Condition(user_id=7))
        features.enable("NEW_CHECKOUT")
        new = ["new", colours[7], "new", colours[7]]
        eventually(lambda: worker.text_for(7)[:4] == new)
        assert worker.text_for(6)[:4] == ["old", colours[6], "old", colours[6]]
        features.disable("BUTTON_COLOUR")
        eventually(lambda: worker.text_for(7)[:4] == ["new", "grey", "new", "grey"])


def test_the_redis_that_was_started_ends_with_the_worker(worker: ExampleWorker) -> None:
    """What `make example-celery` starts, it ends; the flags in a file stay."""
    assert "flipper enable NEW_CHECKOUT" in worker.log()
    assert worker.has_redis()
    worker.stop()
    eventually(lambda: not worker.has_redis())
