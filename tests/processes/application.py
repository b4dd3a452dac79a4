# SPDX-License-Identifier: Apache-2.0
"""A WSGI application over all stores, for application servers.

The environment variable FLIPPER_TEST_STORES names those that are wanted, if not all;
FLIPPER_TEST_CHILD_TIMEOUT tells how many seconds a child waits for the inner store.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from flags import NAMES, Places

from flipper import FeatureFlagClient
from flipper.contrib.consul import follower
from flipper.contrib.synced import read_through

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def make_application(clients: dict[str, FeatureFlagClient]) -> Callable[..., Any]:
    """Make a WSGI application: `/<store>/<call>/<flag>`, answered in JSON."""

    def answer(path: str) -> Any:
        if path == "/":
            return "ready"
        _, store, call, *flag = path.split("/", 3)
        client = clients[store]
        if call == "state":
            return client._store.status().state
        return getattr(client, call)(*flag)

    def application(environ: Any, start_response: Any) -> Iterable[bytes]:
        found: dict[str, Any] = {"pid": os.getpid()}
        time.sleep(0.01)  # or one worker would be quick enough for all requests
        try:
            found["answer"] = answer(environ["PATH_INFO"])
        except Exception as error:  # noqa: BLE001  (the test is told)
            found["error"] = repr(error)
        body = json.dumps(found).encode()
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
        ]
        start_response("200 OK", headers)
        return [body]

    return application


places = Places.of_environment()
if "FLIPPER_TEST_CHILD_TIMEOUT" in os.environ:
    timeout = float(os.environ["FLIPPER_TEST_CHILD_TIMEOUT"])
    read_through._READ_TIMEOUT_IN_CHILD = timeout
    follower._FIRST_ANSWER_TIMEOUT_IN_CHILD = timeout
names = os.environ.get("FLIPPER_TEST_STORES", " ".join(NAMES)).split()
application = make_application(
    {name: FeatureFlagClient(places.store(name)) for name in names}
)
