# SPDX-License-Identifier: Apache-2.0
"""A WSGI application over all stores, for application servers.

It answers `/STORE/CALL/FLAG` with what this call of the store's client returns, in
JSON. The store `every` stands for all stores, each of which answers; the flag `itself`
stands for the one that is called like the store.

The environment variable FLIPPER_TEST_STORES names the stores, if not all are wanted;
FLIPPER_TEST_CHILD_TIMEOUT is how many seconds a child waits for the inner store.
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


def make_application(stores: dict[str, Any]) -> Callable[..., Any]:
    """Make the WSGI application over stores with these names."""
    clients = {name: FeatureFlagClient(store) for name, store in stores.items()}

    def answer(name: str, call: str, flag: str) -> Any:
        if call == "state":
            return stores[name].status().state
        try:
            return getattr(clients[name], call)(name if flag == "itself" else flag)
        except Exception as error:
            raise RuntimeError(f"{name} fails with {error!r}") from error

    def answers(path: str) -> Any:
        if path == "/":
            return "ready"
        _, name, call, flag = path.split("/", 3)
        if name == "every":
            return {name: answer(name, call, flag) for name in clients}
        return answer(name, call, flag)

    def application(environ: Any, start_response: Any) -> Iterable[bytes]:
        found: dict[str, Any] = {"pid": os.getpid()}
        time.sleep(0.01)  # so that one worker is too slow to answer all requests
        try:
            found["answer"] = answers(environ["PATH_INFO"])
        except Exception as error:  # noqa: BLE001  (part of the answer)
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
    patience = float(os.environ["FLIPPER_TEST_CHILD_TIMEOUT"])
    read_through._READ_TIMEOUT_IN_CHILD = follower._FIRST_ANSWER_TIMEOUT_IN_CHILD = (
        patience
    )
names = os.environ.get("FLIPPER_TEST_STORES", " ".join(NAMES)).split()
application = make_application({name: places.store(name) for name in names})
