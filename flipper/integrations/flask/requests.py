# SPDX-License-Identifier: Apache-2.0
"""What the questions of one Flask request share.

It belongs to the object of the request. So it is there wherever the request is: in
async views, in streamed responses, in nested requests, in copies of the context for
other threads. And a request that asks nothing costs nothing.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from flask import after_this_request, current_app, has_request_context, request

from ...request_scope import RequestScope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from flask import Flask, Request, Response

    from ...client import FeatureFlagClient

    Context = Callable[[Request], Mapping[str, Any]]

_SCOPES: Final = "_flipper_scopes"  # an attribute of requests, and of responses
# Werkzeug documents this name.
_present_request: Callable[[], Request] = request._get_current_object  # type: ignore[attr-defined]  # noqa: SLF001


class AppFlags:
    """What an extension has put into one app; `app.extensions["flipper"]`.

    Attributes:
        client: the `FeatureFlagClient` of the app.
        context: is called with the request, and returns the arguments of all questions;
            `None` if there are none.
        preload: the flags that the first question of a request reads, too.
    """

    def __init__(
        self, client: FeatureFlagClient, context: Context | None, preload: list[str]
    ) -> None:
        self.client = client
        self.context = context
        self.preload = preload


def scope_of_request(client_id: int) -> RequestScope | None:
    """Return what the questions of a client share in this request, if there is one."""
    if not has_request_context():
        return None
    present = _present_request()
    scopes = present.__dict__.get(_SCOPES)  # faster than `vars`
    scope = None if scopes is None else scopes.get(client_id)
    return _begin(present, client_id) if scope is None else scope


def all_flags_of(app: Flask) -> Iterator[AppFlags]:
    """Yield what the extensions of flipper have put into an app."""
    for found in app.extensions.values():
        if isinstance(found, AppFlags):
            yield found


def _begin(present: Request, client_id: int) -> RequestScope | None:
    """Make what the questions share, for the first of them."""
    for flags in all_flags_of(current_app):
        if id(flags.client) == client_id:
            break
    else:
        return None  # the client of another app
    context = flags.context
    made = RequestScope(None if context is None else partial(context, present))
    # Race: threads with copies of the context may ask their first questions at once.
    scope: RequestScope = (
        vars(present).setdefault(_SCOPES, {}).setdefault(client_id, made)
    )
    if scope is made:
        after_this_request(partial(_end_with_response, scope))
        if flags.preload:
            flags.client.preload(flags.preload)
    return scope


def _end_with_response(scope: RequestScope, response: Response) -> Response:
    """End the scope when the response was sent, which may be streamed.

    Threads with a copy of the context may live on; they have to see changes of flags.
    """
    scopes: list[RequestScope] | None = vars(response).get(_SCOPES)
    if scopes is None:  # an app may return the same response again and again
        scopes = vars(response)[_SCOPES] = []
        response.call_on_close(partial(_end_all, scopes))
    scopes.append(scope)
    return response


def _end_all(scopes: list[RequestScope]) -> None:
    while scopes:
        scopes.pop().end()
