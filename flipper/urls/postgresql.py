# SPDX-License-Identifier: Apache-2.0
"""Stores in PostgreSQL: `postgresql://user:password@host:5432/database`."""

from __future__ import annotations

import os
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from ..contrib.postgresql import (
    POSTGRES_ENABLED,
    PostgresNotEnabled,
    PostgreSQLFeatureFlagStore,
)
from .ownership import make_owner

if TYPE_CHECKING:
    from .address import StoreURL

_TIMEOUT: Final = 2.0  # seconds
_STORE_TEXTS: Final = ("table_name", "name_column", "item_column")
# Parts of the connection string that the URL has in other places.
_IN_ADDRESS: Final = {"host", "port", "dbname", "user", "password", "connect_timeout"}


def build(url: StoreURL) -> Any:
    """Make the store. All parameters of libpq are options, too."""
    if not POSTGRES_ENABLED:
        raise PostgresNotEnabled
    from psycopg.conninfo import make_conninfo

    options = url.options
    given: dict[str, Any] = {
        name: options.text(name) for name in _STORE_TEXTS if name in options
    }
    if "run_migrations" in options:
        given["run_migrations"] = options.switch("run_migrations")
    given["timeout"] = options.seconds("timeout", _TIMEOUT)
    conninfo = make_conninfo(**_parameters(url))
    options.refuse_unknown()
    return make_owner(
        PostgreSQLFeatureFlagStore, conninfo, release=lambda: None, **given
    )


def _parameters(url: StoreURL) -> dict[str, Any]:
    """Return the parameters of libpq."""
    options = url.options
    username, password = url.credentials()
    found: dict[str, Any] = {"user": username, "password": password}
    found["dbname"] = url.path or None
    if any(host.name for host in url.hosts):
        found["host"] = ",".join(host.name for host in url.hosts)
    if any(host.port for host in url.hosts):
        found["port"] = ",".join(str(host.port or "") for host in url.hosts)
    for name in ("host", "port", "dbname", "user"):
        value = options.text(name)
        if value is None:
            continue
        if found.get(name) is not None:
            url.refuse(f"has the {name} in its address and as an option; give one")
        found[name] = value
    if "connect_timeout" in options or "PGCONNECT_TIMEOUT" not in os.environ:
        # libpq takes whole seconds.
        found["connect_timeout"] = ceil(options.seconds("connect_timeout", _TIMEOUT))
    for name in _libpq_names() - _IN_ADDRESS:
        found[name] = options.text(name)
    return {name: value for name, value in found.items() if value is not None}


def _libpq_names() -> set[str]:
    from psycopg import pq

    return {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
