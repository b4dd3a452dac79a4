# SPDX-License-Identifier: Apache-2.0
"""A FastAPI app with flags in its paths.

`make example-fastapi` serves it, and says what to try. The user is in the address, as
in `/?user=7`, to keep the example short; an app takes the user who is logged in.
"""

import asyncio
import os
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Response
from starlette.requests import HTTPConnection

from flipper import FeatureFlagClient
from flipper.integrations.fastapi import (
    FlipperMiddleware,
    flag,
    flipper_client,
    flipper_lifespan,
    variant,
)


def arguments(connection: HTTPConnection) -> dict[str, Any]:
    """Return the arguments of all questions of a request."""
    return {"user_id": int(connection.query_params.get("user", 0))}


app = FastAPI(lifespan=flipper_lifespan(os.environ["FLIPPER_URL"]))
app.add_middleware(FlipperMiddleware, context=arguments)

Features = Annotated[FeatureFlagClient, Depends(flipper_client)]
IsNew = Annotated[bool, Depends(flag("NEW_CHECKOUT", status_code=None))]
Colour = Annotated[str, Depends(variant("BUTTON_COLOUR", "grey"))]


@app.get("/")
async def home(
    response: Response, features: Features, is_new: IsNew, colour: Colour
) -> dict[str, str]:
    """Show a document whose parts depend on flags."""
    response.headers["X-Process"] = str(os.getpid())
    title = "new" if is_new else "old"
    await asyncio.sleep(0.001)  # stands for a query of a database
    # With `?sync=1` in the URL, flags are in memory: a question does not block.
    link = "new" if features.is_enabled("NEW_CHECKOUT") else "old"
    button = features.variant("BUTTON_COLOUR", "grey")
    return {"title": title, "link": link, "colour": colour, "button": button}


@app.get("/checkout/", dependencies=[Depends(flag("NEW_CHECKOUT"))])
async def checkout() -> str:
    """Show a document that exists only while its flag is on."""
    return "new checkout"
