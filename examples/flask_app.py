# SPDX-License-Identifier: Apache-2.0
"""Flags for Flask views: functions and async functions, in one file.

Run it by `flask --app examples/flask_app.py run`. At first, every flag is off.
`curl -X POST localhost:5000/flip/NEW_SEARCH` switches a flag on, and off again.
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
    """Respond in place of a view whose flag is off."""
    abort(404)


def to_home(**kwargs: object) -> Response:
    """Redirect to the home page in place of a view whose flag is off."""
    return redirect(url_for("home"))


@app.get("/")
def home() -> str:
    """Show a page that has no flag."""
    return "home"


@app.get("/search/<words>")
@is_enabled(features, "NEW_SEARCH", redirect=to_home)
def search(words: str) -> str:
    """Show a view with an argument from its URL."""
    return f"new search for {words}"


@app.get("/prices")
@is_enabled(features, "LIVE_PRICES", redirect=no_page)
async def prices() -> str:
    """Show an async view; the decorator keeps it async."""
    await asyncio.sleep(0)
    return "live prices"


@app.post("/flip/<feature_name>")
def flip(feature_name: str) -> str:
    """Switch a flag on if it is off, and off if it is on."""
    flag = features.get(feature_name)
    if not flag.exists():
        abort(404)
    if flag.is_enabled():
        flag.disable()
    else:
        flag.enable()
    return f"{feature_name}: {flag.is_enabled()}"
