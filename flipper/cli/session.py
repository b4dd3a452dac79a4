# SPDX-License-Identifier: Apache-2.0
"""What one command works on: its store, its client, and its common options."""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout, suppress
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ..exceptions import (
    FlagDoesNotExistError,
    InvalidFlagDataError,
    StoreUnavailableError,
)
from .exit_codes import FAILED, RefusedError
from .output import note, printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from ..client import FeatureFlagClient
    from ..contrib.storage import FeatureFlagStoreItem

DEFAULT_FILE: Final = "flipper.db"
DEFAULT_URL: Final = f"sqlite:///{DEFAULT_FILE}"


# Errors of drivers that no store has among its `outage_errors`: one is raised before
# there is a store, and a store of Consul answers also while Consul is away.
_AWAY_ERRORS: Final = (
    ("redis.exceptions", "RedisClusterException"),
    ("requests.exceptions", "ConnectionError"),
    ("requests.exceptions", "Timeout"),
)


class Session:
    """Opens stores when a command needs them, and closes them at the end.

    Args:
        client: of the application that runs the command, for where no store is named.

    Attributes:
        url: the URL of the store that was given, if any.
        app: `module:client` of an application that was given, if any.
        as_json: whether results are printed as JSON.
        yes: whether no question is asked.
        asks_server: whether stores have to reach their server when they are opened.
        makes_file: whether a SQLite file that does not exist is made.
        left_out: the names of stored documents that are not flags, which were left out
            when flags were listed.
    """

    def __init__(self, client: FeatureFlagClient | None = None) -> None:
        self._given = client
        self.url: str | None = None
        self.app: str | None = None
        self.as_json = False
        self.yes = False
        self.asks_server = True
        self.makes_file = False
        self.left_out: list[str] = []
        self._opened: list[Any] = []
        self._away_errors: tuple[type[Exception], ...] = ()

    def __enter__(self) -> Self:
        """Return the session."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the stores, except the application's own."""
        while self._opened:
            close = getattr(self._opened.pop(), "close", None)
            if close is not None:
                close()

    @cached_property
    def client(self) -> FeatureFlagClient:
        """That of `--app` or for `--url`, else the given one or for the defaults."""
        from ..client import FeatureFlagClient, store_of

        if self.app is not None and self.url is not None:
            message = "--url and --app both name a store; leave one of them out"
            raise click.UsageError(message)
        if self.app is not None:
            client = client_of_application(self.app)
        elif self.url is None and self._given is not None:
            client = self._given
        else:
            return FeatureFlagClient(self.open(self.url))
        self._learn_away_errors(store_of(client))
        self._ask_server(store_of(client))
        return client

    def names_existing_store(self) -> bool:
        """Return whether opening the store would not create the file of this folder."""
        named = self._given or self.app or self.url or os.environ.get("FLIPPER_URL")
        return bool(named) or Path(DEFAULT_FILE).exists()

    @property
    def store(self) -> Any:
        """The store of the client."""
        from ..client import store_of

        return store_of(self.client)

    def open(self, url: str | None) -> Any:
        """Open the store of a URL, or that of the defaults; the session closes it."""
        store = open_store(url, makes_file=self.makes_file)
        self._opened.append(store)
        self._learn_away_errors(store)
        self._ask_server(store)
        return store

    def _ask_server(self, store: Any) -> None:
        """Read past every copy and cache, and raise what the driver raises.

        A copy that is still empty, because no server answers, would look like a store
        that has no flags.
        """
        from ..contracts.update import SupportsUpdate, get_uncached

        method = getattr(type(store), "get_uncached", SupportsUpdate.get_uncached)
        # A store without a method of its own asks its server each time.
        if self.asks_server and method is not SupportsUpdate.get_uncached:
            with suppress(InvalidFlagDataError):  # of a document that happens to exist
                get_uncached(store, "flipper")

    def _learn_away_errors(self, store: Any) -> None:
        # Now, since a closed store has none.
        self._away_errors += tuple(getattr(store, "outage_errors", ()))
        # A copy has none, but commands read past it.
        inner = getattr(store, "_store", None)
        if inner is not None:
            self._learn_away_errors(inner)

    def item(self, feature_name: str) -> FeatureFlagStoreItem:
        """Return a flag as the store has it.

        Raises:
            FlagDoesNotExistError: there is no such flag.
        """
        from ..contrib.storage import FeatureFlagStoreItem

        found = self.store.get(feature_name)
        if found is None:
            raise FlagDoesNotExistError.for_flag(feature_name)
        return FeatureFlagStoreItem.from_item(found)

    def means_unreachable(self, error: Exception) -> bool:
        """Return whether an error of a store's driver says that no server answers."""
        kinds = [*self._away_errors, ConnectionError, TimeoutError]
        for module, name in _AWAY_ERRORS:
            if module in sys.modules:
                kinds.append(getattr(sys.modules[module], name))
        return isinstance(error, tuple(kinds))

    def confirm(self, question: str) -> None:
        """Ask whether to go on, unless `--yes` was given.

        Raises:
            RefusedError: nobody can be asked, since the input is no terminal.
            click.exceptions.Exit: the answer is no.
        """
        if self.yes:
            return
        if not sys.stdin.isatty():
            message = f"{question} Add --yes to do it without being asked."
            raise RefusedError(message)
        if not click.confirm(f"{printable(question)} Continue?", err=True):
            note("Nothing was changed.")
            raise click.exceptions.Exit(FAILED)

    def confirm_for_everybody(
        self, before: FeatureFlagStoreItem | None, after: FeatureFlagStoreItem
    ) -> None:
        """Ask before a flag becomes on for everybody."""
        from .describe import reaches_everybody

        if reaches_everybody(after) and not reaches_everybody(before):
            name = after.feature_name
            self.confirm(f"The flag {name!r} will be on for everybody.")


def open_store(url: str | None, *, makes_file: bool) -> Any:
    """Return the store of a URL, of `FLIPPER_URL`, or of the file in this folder.

    Args:
        url: the URL, if one was given.
        makes_file: whether a SQLite file that does not exist is made. Reading a wrong
            path must leave no file behind.

    Raises:
        StoreUnavailableError: there is no such SQLite file.
    """
    from ..urls import store_from_url

    named = url or os.environ.get("FLIPPER_URL")
    file = sqlite_file(named or DEFAULT_URL)
    if file is None or file.exists():
        return store_from_url(named or DEFAULT_URL)
    if makes_file:
        if not named:
            note(f"New store: {DEFAULT_URL} (choose another by --url or FLIPPER_URL).")
        return store_from_url(named or DEFAULT_URL)
    if named:
        message = f"There is no SQLite file {str(file)!r}; `flipper create` makes it"
        raise StoreUnavailableError(message)
    note(
        f"There is no {DEFAULT_FILE} in this folder; `flipper create` makes it (choose "
        f"another store by --url or FLIPPER_URL)."
    )
    return store_from_url("memory://")


def sqlite_file(url: str) -> Path | None:
    """Return the file of a SQLite URL, and `None` for all other URLs."""
    from ..urls.address import parse

    address = parse(url, {}, "The store URL")
    if address.scheme != "sqlite" or not address.path:
        return None
    try:
        return Path(address.path).expanduser()
    except RuntimeError:  # the home directory of nobody; the store says so
        return None


def client_of_application(place: str) -> FeatureFlagClient:
    """Return the client of an application, as in `shop.flags:client`.

    Args:
        place: a module, a colon, and the path of a `FeatureFlagClient`, of a store, or
            of a function without arguments that returns one of them.

    Raises:
        click.UsageError: there is no such module or object, or it is something else.
    """
    from ..client import FeatureFlagClient

    if "//" in place:  # it may have a password, also where Python names parts of it
        message = "--app names an object, as module:client; give a URL by --url"
        raise click.UsageError(message)
    module_name, colon, path = place.partition(":")
    if not (module_name and colon and path):
        message = f"--app {place!r} does not name an object; write module:client"
        raise click.UsageError(message)
    sys.path.insert(0, "")  # as `python -m` does
    try:
        with redirect_stdout(sys.stderr):  # stdout is for the result
            found: Any = import_module(module_name)
            for name in path.split("."):
                found = getattr(found, name)
            if not isinstance(found, FeatureFlagClient) and _is_function(found):
                found = found()
    except (Exception, SystemExit) as error:  # noqa: BLE001  (of the application)
        message = f"--app {place!r} cannot be loaded: {type(error).__name__}: {error}"
        raise click.UsageError(message) from None
    if isinstance(found, FeatureFlagClient):
        return found
    if callable(getattr(found, "get", None)) and callable(getattr(found, "list", None)):
        return FeatureFlagClient(found)
    message = (
        f"--app {place!r} is of the class {type(found).__name__}; name a "
        f"FeatureFlagClient or a store"
    )
    raise click.UsageError(message)


def _is_function(value: Any) -> bool:
    return callable(value) and not hasattr(value, "get")


def set_option(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Return a callback of click that keeps an option in the session."""

    def keep(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value == "":
            message = "is empty; name a store, or leave the option out"
            raise click.BadParameter(message, ctx, parameter)
        if value:
            setattr(ctx.find_object(Session), name, value)

    return keep
