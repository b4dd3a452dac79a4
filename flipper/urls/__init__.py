# SPDX-License-Identifier: Apache-2.0
"""Stores from URLs, such as `redis://localhost:6379/0?sync=1`.

`address` takes a URL apart, and `options` reads its options. `schemes` finds who makes
the store, and there is one module for each kind of store. `wrappers` puts caches and
copies around it, `ownership` closes all of it, and `redaction` hides passwords.
"""

from __future__ import annotations

import os
from typing import Any, Final

from ..exceptions import InvalidArgumentError
from .address import StoreURL as StoreURL
from .address import parse, raw_secrets
from .redaction import call_hiding
from .schemes import find_builder
from .wrappers import read_wrappers

VARIABLE: Final = "FLIPPER_URL"
"""The environment variable with the URL that is used where none is given."""

_METHODS: Final = ("create", "get", "set", "delete", "list", "set_meta")


def store_from_url(url: str | None = None, **options: Any) -> Any:
    """Make a store from its URL. Thread-safe.

    The store has made its own connections: its `close` closes them, and a `with`
    statement does so too. Errors never show passwords and tokens of the URL.

    Args:
        url: such as `redis://localhost:6379/0?sync=1`; docs/store-urls.md lists schemes
            and options. Without it, the environment variable `FLIPPER_URL` is used.
        **options: options as in the query of the URL. Their values may have the right
            type: `sync=True`, `ttl=30`.

    Raises:
        InvalidArgumentError: there is no URL, a part of it is wrong, or its store can
            not be made for a reason that names a secret.
        MissingDependencyError: the driver of the store is not installed.
        Exception: any error of the store's constructor.
    """
    subject = "The store URL"
    if url is None:
        url, subject = os.environ.get(VARIABLE), f"The store URL in {VARIABLE}"
        if not url:
            raise InvalidArgumentError(
                f"There is no store URL; give one, as in "
                f"store_from_url('sqlite:///flags.db'), or set the environment "
                f"variable {VARIABLE}"
            )
    address = parse(url, options, subject)
    builder = find_builder(address.scheme, subject)
    secrets = [*raw_secrets(url), *address.options.secrets(), address.password or ""]
    wraps = read_wrappers(address.options)

    def make() -> Any:
        store = _checked(builder(address), address)
        for wrap in wraps:
            store = wrap(store)
        return store

    return call_hiding(secrets, make)


def _checked(store: Any, address: StoreURL) -> Any:
    """Return what a builder has returned, if it is a store and knows all options."""
    if not all(callable(getattr(store, name, None)) for name in _METHODS):
        raise InvalidArgumentError(
            f"What makes the stores of {address.scheme}:// has returned "
            f"{type(store).__name__}, which has not the methods of a store"
        )
    try:
        address.options.refuse_unknown()
    except InvalidArgumentError:
        if hasattr(store, "close"):
            store.close()
        raise
    return store
