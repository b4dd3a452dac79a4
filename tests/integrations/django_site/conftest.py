# SPDX-License-Identifier: Apache-2.0
"""The site of these tests: its tables, and flags that no test leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from django.core.management import call_command
from django.db import connections
from django.test.utils import setup_test_environment, teardown_test_environment

from support.django_site import DATABASES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import PostgresServer


@pytest.fixture(autouse=True, scope="session")
def _tables() -> Iterator[None]:
    """Make the tables of all databases."""
    for alias in DATABASES:
        call_command("migrate", verbosity=0, database=alias)
    yield
    connections.close_all()


@pytest.fixture(autouse=True, scope="module")
def _test_environment() -> Iterator[None]:
    """Set Django up for its test clients, as its own test runner does."""
    setup_test_environment()
    yield
    teardown_test_environment()


@pytest.fixture(autouse=True)
def _no_flags() -> Iterator[None]:
    """Remove all flags after each test, and close the store of the site."""
    from flipper.integrations.django import features
    from flipper.integrations.django.models import Flag

    yield
    features.close()
    for alias in DATABASES:
        Flag.objects.using(alias).all().delete()


@pytest.fixture(scope="session")
def django_on_postgres(postgres_server: PostgresServer) -> Iterator[str]:
    """Give the alias of a database in PostgreSQL, with the tables of the site."""
    with postgres_server.scratch_database() as conninfo:
        parts = psycopg.conninfo.conninfo_to_dict(conninfo)
        database = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": parts["dbname"],
            "USER": parts.get("user", ""),
            "PASSWORD": parts.get("password", ""),
            "HOST": parts.get("host", ""),
            "PORT": str(parts.get("port", "")),
            "CONN_MAX_AGE": None,
        }
        named = {"default": {}, "postgres": database}
        connections.databases["postgres"] = connections.configure_settings(named)[
            "postgres"
        ]
        call_command("migrate", verbosity=0, database="postgres")
        yield "postgres"
        connections["postgres"].close()
        del connections.databases["postgres"]
        del connections["postgres"]
