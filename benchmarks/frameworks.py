# SPDX-License-Identifier: Apache-2.0
"""Measures what one answer per request costs: `python -m benchmarks.frameworks`.

It takes turns, in one process, between a request with and without the integration, and
between the first question of a request and the same question again. No network is used:
the framework's own function for a request is called.
"""

from __future__ import annotations

import asyncio
import json
import sys
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    Call = Callable[[], object]

ROUNDS: Final = 200
CALLS: Final = 200  # in one round
QUESTIONS: Final = 10  # of one flag in one request


def figures() -> dict[str, float]:
    """Return the figures, in microseconds, by what they are."""
    found: dict[str, float] = {}
    for name, prepare in (("Django", _django), ("Flask", _flask), ("ASGI", _asgi)):
        bare, idle, asking, repeating = _times(prepare())
        found[f"{name}: a request that asks nothing, more than without"] = idle - bare
        found[f"{name}: the first question of a request"] = asking - idle
        again = (repeating - asking) / (QUESTIONS - 1)
        found[f"{name}: the same question again"] = again
    return found


def _times(calls: list[Call]) -> list[float]:
    """Return the medians of the microseconds that calls take, made in turns."""
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for times, call in zip(taken, calls, strict=True):
            began = perf_counter()
            for _ in range(CALLS):
                call()
            times.append((perf_counter() - began) / CALLS * 1e6)
    return [median(times) for times in taken]


def _client() -> Any:
    from flipper import FeatureFlagClient, MemoryFeatureFlagStore

    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("NEW_UI", is_enabled=True)
    return client


def _asked(client: Any, times: int) -> None:
    for _ in range(times):
        client.is_enabled("NEW_UI")


# Each returns four calls: a request without the integration, one that asks nothing, one
# that asks once, and one that asks the same again.


def _django() -> list[Call]:
    import django
    from django.conf import settings

    settings.configure(FLIPPER={"URL": "memory://"})
    django.setup()
    from flipper.integrations.django import features
    from flipper.integrations.django.middleware import FlipperMiddleware

    features.create("NEW_UI", is_enabled=True)

    def view(request: Any) -> object:
        if request.times:
            _asked(features, request.times)
        return request

    middleware = FlipperMiddleware(view)
    return [lambda: view(_Request(0))] + [
        lambda times=times: middleware(_Request(times)) for times in (0, 1, QUESTIONS)
    ]


class _Request:
    def __init__(self, times: int) -> None:
        self.times = times


def _flask() -> list[Call]:
    from flask import Flask
    from werkzeug.test import EnvironBuilder

    from flipper.integrations.flask import Flipper

    client = _client()

    def make(*, with_flags: bool) -> Any:
        app = Flask(__name__)
        if with_flags:
            Flipper(app, client=client)
        for times in (0, 1, QUESTIONS):
            view = lambda times=times: _asked(client, times) or ""  # noqa: E731
            app.add_url_rule(f"/{times}", f"view{times}", view)
        return app

    def request(app: Any, times: int) -> Call:
        environ = EnvironBuilder(path=f"/{times}").get_environ()

        def call() -> None:
            response = app.wsgi_app(dict(environ), lambda *_: None)
            for _ in response:
                pass
            response.close()

        return call

    app = make(with_flags=True)
    return [request(make(with_flags=False), 0)] + [
        request(app, times) for times in (0, 1, QUESTIONS)
    ]


def _asgi() -> list[Call]:
    from flipper.integrations.starlette import FlipperMiddleware

    client = _client()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["times"]:
            _asked(client, scope["times"])

    middleware = FlipperMiddleware(app, client=client)
    loop = asyncio.new_event_loop()

    def request(app: Any, times: int) -> Call:
        scope = {"type": "http", "times": times, "headers": [], "state": {}}
        return lambda: _run(app(scope, None, None))

    def _run(coroutine: Any) -> None:
        try:  # nothing waits, so that the event loop would only add to the time
            coroutine.send(None)
        except StopIteration:
            return
        raise RuntimeError("the request waits")

    asyncio.set_event_loop(loop)
    return [request(app, 0)] + [
        request(middleware, times) for times in (0, 1, QUESTIONS)
    ]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(figures(), indent=1))
