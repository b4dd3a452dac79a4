# SPDX-License-Identifier: Apache-2.0
"""The contract of stores, on the store in the database of a Django site."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from django.db import connections

from flipper import CachedFeatureFlagStore
from flipper.integrations.django import DjangoFeatureFlagStore
from flipper.integrations.django.database import FlagDatabase
from flipper.integrations.django.models import Flag
from flipper.integrations.django.store import _key
from flipper.testing import StoreContract
from flipper.testing.contract import innermost

if TYPE_CHECKING:
    from collections.abc import Iterator


def closing_connections(run: Any) -> Any:
    """Let a thread of a test close its connection, as Django does after a request."""

    def run_and_close(self: FlagDatabase, *args: Any, **kwargs: Any) -> Any:
        try:
            return run(self, *args, **kwargs)
        finally:
            if threading.current_thread() is not threading.main_thread():
                connections[self.alias].close()

    return run_and_close


class OnDjango:
    """What the contract asks for; each test has an empty table."""

    atomic = True
    repetitions = 4
    alias = "default"

    @pytest.fixture(autouse=True)
    def _empty_table(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        self.no_texts: dict[str, bytes] = {}
        monkeypatch.setattr(
            FlagDatabase, "_run", closing_connections(FlagDatabase._run)
        )
        yield
        Flag.objects.using(self.alias).all().delete()

    def make_store(self) -> Any:
        """Make a store on the table."""
        return DjangoFeatureFlagStore(using=self.alias)

    def open_again(self, store: Any) -> Any:
        """Make another on the same table."""
        return DjangoFeatureFlagStore(using=self.alias)

    def write_document(self, store: Any, feature_name: str, document: bytes) -> None:
        """Write a row; if the bytes are no text, the nearest text stands for them."""
        text = document.decode("utf-8", "replace").replace("\0", "?")
        self.no_texts[text] = document
        columns = {
            "feature_name": feature_name,
            "document": text,
            "revision": uuid4().hex,
        }
        rows = Flag.objects.using(self.alias)
        rows.update_or_create(key=_key(feature_name), defaults=columns)

    def read_document(self, store: Any, feature_name: str) -> bytes | None:
        """Read a row."""
        row = Flag.objects.using(self.alias).filter(key=_key(feature_name)).first()
        if row is None:
            return None
        return self.no_texts.get(row.document, row.document.encode())


class TestDjango(OnDjango, StoreContract):
    """A SQLite file."""


class TestDjangoCached(OnDjango, StoreContract):
    """A cache before it."""

    def make_store(self) -> Any:
        """Put the cache before the store."""
        return CachedFeatureFlagStore(super().make_store(), ttl=30)

    def close_store(self, store: Any) -> None:
        """Close the inner store."""
        innermost(store).close()


@pytest.mark.postgres
class TestDjangoOnPostgreSQL(OnDjango, StoreContract):
    """A PostgreSQL server."""

    alias = "postgres"

    @pytest.fixture(autouse=True)
    def _use_server(self, django_on_postgres: str) -> None:
        assert django_on_postgres in connections
