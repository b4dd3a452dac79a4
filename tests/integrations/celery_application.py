# SPDX-License-Identifier: Apache-2.0
"""A Celery app whose tasks ask about flags, for the workers of the tests.

The environment variable FLIPPER_TEST_REDIS has the URL of the broker and of the flags.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import redis
from celery import Celery

from flipper import FeatureFlagClient, RedisFeatureFlagStore
from flipper.integrations.celery import memoize_tasks

if TYPE_CHECKING:
    from celery import Task

URL = os.environ["FLIPPER_TEST_REDIS"]
BASE_KEY = os.environ["FLIPPER_TEST_BASE_KEY"]

app = Celery("flags", broker=URL, backend=URL)
app.conf.update(
    broker_connection_retry_on_startup=True,
    # Each task goes to whichever thread or process is free.
    worker_prefetch_multiplier=1,
    task_default_queue=BASE_KEY,
    result_expires=600,
)
connection = redis.Redis.from_url(URL)
features = FeatureFlagClient(RedisFeatureFlagStore(connection, base_key=BASE_KEY))
not_memoized = FeatureFlagClient(RedisFeatureFlagStore(connection, base_key=BASE_KEY))


def arguments(task: Task) -> dict[str, Any]:
    """Return the user that a task is for."""
    return {"user_id": task.request.kwargs["user_id"]}


memoize_tasks(features, context=arguments)


def wait_for(key: str) -> None:
    """Wait until the test lets this task go on."""
    deadline = time.monotonic() + 60
    while not connection.exists(f"{BASE_KEY}-{key}"):
        if time.monotonic() > deadline:
            raise TimeoutError(key)
        time.sleep(0.01)


@app.task(bind=True)
def ask_twice(task: Task, name: str, *, user_id: int) -> dict[str, Any]:
    """Ask before and after the test lets the task go on, by both clients."""
    asked = (features, not_memoized)
    before = [client.is_enabled("NEW_CHECKOUT") for client in asked]
    connection.set(f"{BASE_KEY}-{name}-began", 1, ex=600)
    wait_for(f"{name}-go")
    after = [client.is_enabled("NEW_CHECKOUT") for client in asked]
    return {
        "memoized": [before[0], after[0], features.variant("NEW_CHECKOUT", False)],
        "not memoized": [before[1], after[1]],
        "for user": features.is_enabled("FOR_USER_7"),
    }


@app.task(bind=True, max_retries=1, throws=(RuntimeError,))
def switch(task: Task, name: str, *, user_id: int, retry: bool) -> None:
    """Switch a flag on, and write what this attempt is told before and after it."""
    answers = [features.is_enabled("SWITCHED")]
    not_memoized.enable("SWITCHED")
    answers.append(features.is_enabled("SWITCHED"))
    # Not as the result: Celery may store that this attempt is retried when the next one
    # is over.
    connection.rpush(f"{BASE_KEY}-{name}", json.dumps(answers))
    if not retry:
        raise RuntimeError(name)
    if task.request.retries == 0:
        raise task.retry(countdown=0)


@app.task
def ask_without_user(**_: Any) -> list[Any]:
    """Ask in a task whose arguments cannot be found out, as there is no user."""
    return [
        features.is_enabled("FOR_USER_7"),
        features.is_enabled("FOR_USER_7", default=True),
        features.explain("FOR_USER_7").reason.value,
        not_memoized.is_enabled("FOR_USER_7"),
    ]
