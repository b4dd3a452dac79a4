# SPDX-License-Identifier: Apache-2.0
"""Flags on Flask views, plain and async, in a project of one file.

Run it by `flask --app examples/flask_app.py run`. Every page is off at first;
`curl -X POST localhost:5000/flip/NEW_SEARCH` switches its flag on, and off.
"""

import asyncio
from typing import NoReturn

from flask import Flask, abort, redirect, url_for
from werkzeug import Response

from flipper import FeatureFlagClient, MemoryFeatureFlagStore
from flipper.decorators import is_enabled

app = Flask(__name__)

features = FeatureFlagClient(MemoryFeatureFlagStore())
for name in ("NEW_SEARCH", "LIVE_PRICES"):
    features.create(name)


def no_page(**kwargs: object) -> NoReturn:
    """Answer in place of a view that is off: a view has to return a response."""
    abort(404)


def to_home(**kwargs: object) -> Response:
    """Send the visitor elsewhere instead."""
    return redirect(url_for("home"))


@app.get("/")
def home() -> str:
    """Show the page that is there without any flag."""
    return "home"


@app.get("/search/<words>")
@is_enabled(features, "NEW_SEARCH", redirect=to_home)
def search(words: str) -> str:
    """Show a view with an argument from its address."""
    return f"new search for {words}"


@app.get("/prices")
@is_enabled(features, "LIVE_PRICES", redirect=no_page)
async def prices() -> str:
    """Show an async view; the decorated view is one as well."""
    await asyncio.sleep(0)
    return "live prices"


@app.post("/flip/<feature_name>")
def flip(feature_name: str) -> str:
    """Switch a flag."""
    flag = features.get(feature_name)
    if not flag.exists():
        abort(404)
    if flag.is_enabled():
        flag.disable()
    else:
        flag.enable()
    return f"{feature_name}: {flag.is_enabled()}"
