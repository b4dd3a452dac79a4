# SPDX-License-Identifier: Apache-2.0
"""Tasks in real workers of Celery, with the pools that it has, over a real Redis."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import redis

from flipper import Condition, FeatureFlagClient, RedisFeatureFlagStore
from servers import unmeasured
from servers.process import absent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from celery import Celery

    from servers import RedisServer

pytestmark = [pytest.mark.redis, pytest.mark.slow]

HERE = Path(__file__).parent
POOLS = ["prefork", "threads", "gevent"]
TIMEOUT = 60  # seconds


class Worker(NamedTuple):
    """A worker that runs, its app and the flags that its tasks ask about."""

    app: Celery
    features: FeatureFlagClient
    connection: redis.Redis
    queue: str
    log: Any

    def send(self, task: str, *args: Any, **kwargs: Any) -> str:
        """Let the worker run a task, and return the number of the task."""
        name = f"celery_application.{task}"
        return str(self.app.send_task(name, args, kwargs, queue=self.queue))

    def result(self, task: str) -> dict[str, Any]:
        """Return what the worker stores of a task when it is over."""
        # Read without Celery, whose own way keeps a subscription open.
        found: dict[str, Any] = {}
        self._wait(lambda: found.update(self._stored(task)) or "status" in found)
        return found

    def answers(self, task: str) -> Any:
        """Return what a task returns."""
        found = self.result(task)
        assert found["status"] == "SUCCESS", found
        return found["result"]

    def begin(self, name: str, user_id: int = 1) -> str:
        """Start `ask_twice` under a name, and wait until it has asked once."""
        task = self.send("ask_twice", name, user_id=user_id)
        self._wait(lambda: self.connection.exists(f"{self.queue}-{name}-began"))
        return task

    def go_on(self, name: str) -> None:
        """Let that task ask again."""
        self.connection.set(f"{self.queue}-{name}-go", 1, ex=600)

    def attempts(self, name: str, count: int) -> list[Any]:
        """Return what `switch` was told at each of its attempts."""
        key = f"{self.queue}-{name}"
        self._wait(lambda: self.connection.llen(key) == count)
        found: Any = self.connection.lrange(key, 0, -1)
        return [json.loads(each) for each in found]

    def _stored(self, task: str) -> dict[str, Any]:
        document: Any = self.connection.get(f"celery-task-meta-{task}")
        found = json.loads(document) if document else {}
        return found if found.get("status") in {"SUCCESS", "FAILURE"} else {}

    def _wait(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            if time.monotonic() > deadline:
                self.log.seek(0)
                pytest.fail(f"The worker has not come so far:\n{self.log.read()}")
            time.sleep(0.01)


@pytest.fixture(scope="module")
def workers(redis_server: RedisServer) -> Iterator[dict[str, Worker]]:
    """Run a worker with each pool, all at once, since each takes seconds to start."""
    from celery import Celery  # takes long to import

    with ExitStack() as stack:
        app = Celery(broker=redis_server.url)
        stack.callback(app.close)
        connection = stack.enter_context(redis.Redis.from_url(redis_server.url))
        running = {}
        for pool in POOLS:
            if pool == "gevent" and importlib.util.find_spec("gevent") is None:
                continue
            key = f"celery-{pool}-{uuid.uuid4().hex}"
            store = RedisFeatureFlagStore(connection, base_key=key)
            features = FeatureFlagClient(store)
            log = stack.enter_context(TemporaryFile("w+"))
            running[pool] = Worker(app, features, connection, key, log)
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "celery", "-A", "celery_application"),
                    *("worker", "--pool", pool, "--concurrency", "3", "-Q", key),
                    *("--without-gossip", "--without-mingle", "--without-heartbeat"),
                ],
                cwd=HERE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={
                    **unmeasured(),
                    "PYTHONPATH": f"{HERE.parents[1]}{os.pathsep}{HERE}",
                    "FLIPPER_TEST_REDIS": redis_server.url,
                    "FLIPPER_TEST_BASE_KEY": key,
                },
            )
            stack.callback(_end, process)
        yield running


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a worker with its children; an orderly end takes seconds."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(params=POOLS)
def worker(request: pytest.FixtureRequest, workers: dict[str, Worker]) -> Worker:
    """Give the worker with each pool, with fresh flags."""
    found = workers.get(request.param)
    if found is None:
        absent("gevent is not installed; `make install-dev` does that")
    for name in ("NEW_CHECKOUT", "FOR_USER_7", "SWITCHED"):
        found.features.create(name)
    found.features.enable("FOR_USER_7")
    found.features.add_condition("FOR_USER_7", Condition(user_id=7))
    return found


def test_a_flag_has_one_answer_in_a_task(worker: Worker) -> None:
    """Tasks that run at once keep the state that the flag had when each began."""
    tag = uuid.uuid4().hex
    began = []
    for number, is_on in enumerate((True, False, True)):
        (worker.features.enable if is_on else worker.features.disable)("NEW_CHECKOUT")
        began.append(worker.begin(f"{tag}-{number}"))
    worker.features.disable("NEW_CHECKOUT")
    for number in range(3):
        worker.go_on(f"{tag}-{number}")
    answers = [worker.answers(task) for task in began]
    assert [each["memoized"] for each in answers] == [
        [True] * 3,
        [False] * 3,
        [True] * 3,
    ]
    # A client that is not memoized sees the change, so the tasks have run long enough.
    assert [each["not memoized"] for each in answers] == [
        [True, False],
        [False, False],
        [True, False],
    ]


def test_a_task_has_the_arguments_of_its_context(worker: Worker) -> None:
    """Each of the tasks that run at once is answered for its own user."""
    tag = uuid.uuid4().hex
    began = [worker.begin(f"{tag}-{user}", user) for user in (6, 7, 8)]
    for user in (6, 7, 8):
        worker.go_on(f"{tag}-{user}")
    answers = [worker.answers(task)["for user"] for task in began]
    assert answers == [False, True, False]


def test_a_retried_task_reads_the_flags_anew(worker: Worker) -> None:
    """An attempt is one block, which ends although the attempt raises."""
    name = uuid.uuid4().hex
    worker.send("switch", name, user_id=1, retry=True)
    assert worker.attempts(name, 2) == [[False, False], [True, True]]


def test_no_block_outlives_a_task_that_fails(worker: Worker) -> None:
    """Tasks in the same process or thread do not see what a failed task has read."""
    for _ in range(6):  # more than there are threads or processes
        worker.features.disable("SWITCHED")
        name = uuid.uuid4().hex
        failed = worker.send("switch", name, user_id=1, retry=False)
        assert worker.result(failed)["status"] == "FAILURE"
        assert worker.attempts(name, 1) == [[False, False]]


def test_a_task_without_its_arguments_gets_defaults(worker: Worker) -> None:
    """A condition cannot be missed because the context has failed."""
    # Without arguments the flag would be on for everybody.
    task = worker.send("ask_without_user")
    assert worker.answers(task) == [False, True, "error", True]
