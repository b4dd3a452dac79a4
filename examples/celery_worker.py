# SPDX-License-Identifier: Apache-2.0
"""A Celery worker whose tasks ask about flags.

`make example-celery` starts it, and says what to try. `python celery_worker.py 7` lets
it run a task for user 7, and prints the result.
"""

import os
import sys
from typing import Any

from celery import Celery, Task

from flipper import FeatureFlagClient
from flipper.integrations.celery import memoize_tasks

REDIS_URL = os.environ["REDIS_URL"]

app = Celery("shop", broker=REDIS_URL, backend=REDIS_URL)
app.conf.broker_connection_retry_on_startup = True
app.conf.task_default_queue = "flipper-example"
features = FeatureFlagClient.from_url(os.environ["FLIPPER_URL"])


def arguments(task: Task) -> dict[str, Any]:
    """Return the arguments of all questions of a task."""
    return {"user_id": task.request.args[0]}


memoize_tasks(features, context=arguments)


@app.task(name="confirm")
def confirm(user_id: int) -> str:
    """Write to a customer, in a text whose parts depend on flags."""
    title = "new" if features.is_enabled("NEW_CHECKOUT") else "old"
    return f"{title} {colour()} {link()} {colour()} by process {os.getpid()}"


def link() -> str:
    """Return a part of the text."""
    return "new" if features.is_enabled("NEW_CHECKOUT") else "old"


def colour() -> str:
    """Return a part of the text whose flag has variants."""
    return str(features.variant("BUTTON_COLOUR", "grey"))


if __name__ == "__main__":
    print(confirm.delay(int(sys.argv[1])).get(timeout=30))
