# SPDX-License-Identifier: Apache-2.0
"""A Flask app with flags in views and templates.

`make example-flask` serves it by four processes, and says what to try. The user is in
the address, as in `/?user=7`, to keep the example short; an app takes its session.
"""

import os
from typing import Any

from flask import Flask, Request, Response, render_template_string

from flipper.integrations.flask import Flipper, flag_required

PAGE = """{% set colour = flag_variant("BUTTON_COLOUR", "grey") %}
<h1>{{ title }}</h1>
{% if "NEW_CHECKOUT" is flag_enabled %}<a href="/checkout/">new</a>
{% else %}old{% endif %}
<button class="{{ flag_variant("BUTTON_COLOUR", "grey") }}">{{ colour }}</button>
"""


def arguments(request: Request) -> dict[str, Any]:
    """Return the arguments of all questions of a request."""
    return {"user_id": int(request.args.get("user", 0))}


app = Flask(__name__)
app.config["FLIPPER_URL"] = os.environ["FLIPPER_URL"]
features = Flipper(app, context=arguments)


@app.get("/")
def home() -> Response:
    """Show a page whose parts depend on flags."""
    title = "new" if features.is_enabled("NEW_CHECKOUT") else "old"
    page = render_template_string(PAGE, title=title)
    return Response(page, headers={"X-Process": str(os.getpid())})


@app.get("/checkout/")
@flag_required("NEW_CHECKOUT")
def checkout() -> str:
    """Show a page that exists only while its flag is on."""
    return "new checkout"
