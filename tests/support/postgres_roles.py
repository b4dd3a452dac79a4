# SPDX-License-Identifier: Apache-2.0
"""Roles, sessions and triggers of a PostgreSQL database."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import make_conninfo

from flipper.testing.contract import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    Connection = psycopg.Connection[Any]

TRIGGER_NAMES = ["flipper_notify", "flipper_notify_truncate"]
"""The triggers that the store creates for its table."""
OLD_TABLE = "CREATE TABLE feature_flags (name varchar(40) PRIMARY KEY, item bytea)"
"""The statement that makes the table as flipper-client did."""


def triggers(raw: Connection, table: str = "feature_flags") -> list[tuple[Any, ...]]:
    """Return name, state and identifier of each trigger of a table."""
    return raw.execute(
        "SELECT tgname, tgenabled, oid FROM pg_trigger"
        " WHERE NOT tgisinternal AND tgrelid = %s::regclass ORDER BY tgname",
        (table,),
    ).fetchall()


def trigger_names(raw: Connection, table: str = "feature_flags") -> list[str]:
    """Return the names of the triggers of a table."""
    return [name for name, *_ in triggers(raw, table)]


@contextmanager
def role(raw: Connection, postgres_conninfo: str, *options: str) -> Iterator[str]:
    """Create a role without rights, and give the connection string that uses it."""
    name = f"flipper_{os.urandom(8).hex()}"
    raw.execute(f"CREATE ROLE {name} LOGIN {' '.join(options)}")
    try:
        yield make_conninfo(postgres_conninfo, user=name)
    finally:
        eventually(lambda: not sessions(raw, name))
        raw.execute(f"DROP OWNED BY {name}")
        raw.execute(f"DROP ROLE {name}")


def user(conninfo: str) -> str:
    """Return the role of a connection string."""
    return str(psycopg.conninfo.conninfo_to_dict(conninfo)["user"])


def sessions(raw: Connection, name: str | None = None) -> int:
    """Count other connections to the same database, all or those of a role."""
    (count,) = raw.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        " AND datname = current_database() AND usename = coalesce(%s, usename)",
        (name,),
    ).fetchone() or (0,)
    return int(count)
