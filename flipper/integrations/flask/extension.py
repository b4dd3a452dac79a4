# SPDX-License-Identifier: Apache-2.0
"""`Flipper`: connects Flask apps and clients."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, current_app
from werkzeug.utils import import_string

from ...client import FeatureFlagClient
from ...exceptions import InvalidArgumentError
from ...urls import VARIABLE
from .commands import add_command
from .requests import AppFlags, all_flags_of, scope_of_request
from .templates import add_to_templates

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .requests import Context

DEFAULT_NAME: Final = "flipper"
_CLIENT_OPTIONS: Final = ("on_error", "strict")


class Flipper:
    """The Flask extension: gives apps a client, and each request one answer per flag.

    Within a request, a flag that is asked twice is read once and has one state, in
    views, templates and streamed responses. Outside of requests, such as in commands,
    each question reads the flag as it is. Threads may share it.

    `Flipper(app)` sets up an app; `Flipper()` and `init_app` set up several, each with
    a client of its own. An app may have several of them with different names.

    Args:
        app: the app, if it exists already.
        client: the client of the app. Without it one is made of the URL in
            `app.config["FLIPPER_URL"]`, else in the environment variable `FLIPPER_URL`.
        context: a function of the request that returns a dict of arguments, which all
            questions of the request get. The first question that needs them calls it,
            and no further one. Without it, `app.config["FLIPPER_CONTEXT"]`, a function
            or its dotted path. If it raises, questions that need it have the default,
            and a warning is logged.
        preload: names of flags that the first question of a request reads in one round
            trip. Without it, `app.config["FLIPPER_PRELOAD"]`.
        name: the key in `app.extensions`, the name of the command and, in capitals, the
            beginning of the names in `app.config`.

    Raises:
        InvalidArgumentError: as `init_app`.
        MissingDependencyError: the driver of the store is not installed.
        Exception: any error of the store's constructor.
    """

    def __init__(
        self,
        app: Flask | None = None,
        client: FeatureFlagClient | None = None,
        *,
        context: Context | None = None,
        preload: Iterable[str] | None = None,
        name: str = DEFAULT_NAME,
    ) -> None:
        self.name = name
        self._client = client
        self._context = context
        self._preload = preload
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, client: FeatureFlagClient | None = None) -> None:
        """Set up an app. Its configuration is read now.

        Args:
            app: the app.
            client: the client of this app, instead of the one of the constructor.

        Raises:
            InvalidArgumentError: the app has such an extension or this client already,
                or a part of the configuration is missing or wrong.
            MissingDependencyError: the driver of the store is not installed.
            Exception: any error of the store's constructor.
        """
        if not isinstance(app, Flask):
            raise InvalidArgumentError(
                f"{app!r} is no Flask app; use Flipper(app, client)", value=app
            )
        if self.name in app.extensions:
            raise InvalidArgumentError(
                f"The app {app.name!r} has an extension {self.name!r} already; call "
                f'init_app() once, or give this one a name, as Flipper(name="beta")'
            )
        context = _context_of(self._setting(app, "CONTEXT", self._context))
        names = _names_of(self._setting(app, "PRELOAD", self._preload))
        made = self._client_for(app, client or self._client)
        if any(flags.client is made for flags in all_flags_of(app)):
            raise InvalidArgumentError(
                f"The app {app.name!r} has this client already, by another extension",
                value=made,
            )
        made._share_in_requests(  # noqa: SLF001  (for integrations)
            scope_of_request, arguments=context is not None
        )
        app.extensions[self.name] = AppFlags(made, context, names)
        prefix = "flag" if self.name == DEFAULT_NAME else self.name
        add_to_templates(app, prefix, self.is_enabled, self.variant)
        add_command(app, self.name, made)

    @property
    def client(self) -> FeatureFlagClient:
        """The client of the current app.

        Raises:
            RuntimeError: there is no application context, or `init_app` was not called
                for its app.
        """
        return flags_of_current_app(self.name).client

    def is_enabled(
        self, feature_name: str, /, default: Any = False, **arguments: Any
    ) -> Any:
        """Return whether a flag is on, as `client.is_enabled` of the current app."""
        return self.client.is_enabled(feature_name, default, **arguments)

    def variant(
        self, feature_name: str, default: Any = None, /, **arguments: Any
    ) -> Any:
        """Return the value of a variant, as `client.variant` of the current app."""
        return self.client.variant(feature_name, default, **arguments)

    def _setting(self, app: Flask, key: str, given: Any = None) -> Any:
        return app.config.get(self._key(key)) if given is None else given

    def _key(self, key: str) -> str:
        return f"{self.name.upper()}_{key}"

    def _client_for(
        self, app: Flask, given: FeatureFlagClient | None
    ) -> FeatureFlagClient:
        """Return the client that was given, else one of the URL in the configuration.

        Raises:
            InvalidArgumentError: there is no URL, or it is no client.
        """
        if given is None:
            return self._client_from_url(app)
        if not isinstance(given, FeatureFlagClient):
            raise InvalidArgumentError(
                f"Flipper() needs a FeatureFlagClient, and {type(given).__name__} is "
                f"none; for a store, use FeatureFlagClient(store)",
                value=given,
            )
        return given

    def _client_from_url(self, app: Flask) -> FeatureFlagClient:
        url = self._setting(app, "URL")
        if not url and not (self.name == DEFAULT_NAME and os.environ.get(VARIABLE)):
            raise InvalidArgumentError(
                f"The app {app.name!r} has no store of flags; set "
                f"app.config[{self._key('URL')!r}], as in 'redis://localhost:6379/0', "
                f"before init_app(), or give a client, as Flipper(app, client)"
            )
        settings = {key: self._setting(app, key.upper()) for key in _CLIENT_OPTIONS}
        options: dict[str, Any] = {key: set_ for key, set_ in settings.items() if set_}
        return FeatureFlagClient.from_url(url or None, **options)


def flags_of_current_app(name: str) -> AppFlags:
    """Return what the extension of this name has put into the current app.

    Raises:
        RuntimeError: there is no application context, or no such extension.
    """
    found = current_app.extensions.get(name)
    if isinstance(found, AppFlags):
        return found
    given = "" if name == DEFAULT_NAME else f"name={name!r}"
    message = (
        f"The app {current_app.name!r} has no extension {name!r} of flipper; call "
        f"Flipper({given}).init_app(app)"
    )
    raise RuntimeError(message)


def _context_of(found: Any) -> Context | None:
    """Return the function that a configuration names.

    Raises:
        InvalidArgumentError: it is none.
    """
    context = found
    if isinstance(found, str) and found:
        try:
            context = import_string(found)
        except ImportError as error:
            raise InvalidArgumentError(
                f"The context {found!r} cannot be imported: {error}", value=found
            ) from error
    if context is not None and not callable(context):
        raise InvalidArgumentError(
            f"The context has to be a function of the request that returns a dict, as "
            f"lambda request: {{...}}, or its dotted path, and is {found!r}",
            value=found,
        )
    return context  # type: ignore[no-any-return]  # Python cannot say what it takes


def _names_of(found: Any) -> list[str]:
    """Return a list of feature names.

    Raises:
        InvalidArgumentError: it is no list of names.
    """
    names = [] if found is None else found
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise InvalidArgumentError(
            f"The flags to preload have to be a list of names, as ['NEW_UI'], and are "
            f"{found!r}",
            value=found,
        )
    return [*names]
