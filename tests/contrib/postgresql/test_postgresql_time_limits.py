# SPDX-License-Identifier: Apache-2.0
"""How long the PostgreSQL store waits for answers, on a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import errors
from psycopg.conninfo import make_conninfo

from flipper import FeatureFlagClient
from flipper.contrib.postgresql import PostgreSQLFeatureFlagStore, time_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers import Proxy

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(
        psycopg.__version__.startswith("3.1."),
        reason="psycopg 3.1 has no time limit for answers",
    ),
]


@pytest.fixture
def store(
    through: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PostgreSQLFeatureFlagStore]:
    """Give a store behind the proxy, with one connection and a short time limit."""
    monkeypatch.setattr(time_limits, "_ANSWER_WITHIN", 1.0)
    conninfo = make_conninfo(through, connect_timeout=2)
    with PostgreSQLFeatureFlagStore(conninfo) as store:
        store.create("x", is_enabled=True)
        assert store.get("x") is not None
        yield store


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.get("x"),
        lambda store: list(store.list()),
        lambda store: store.create("y"),
        lambda store: store.run_migrations(),
    ],
    ids=["get", "list", "create", "run_migrations"],
)
def test_a_statement_without_an_answer_raises(
    store: PostgreSQLFeatureFlagStore,
    proxy: Proxy,
    call: Callable[[PostgreSQLFeatureFlagStore], object],
) -> None:
    """A statement that gets no answer raises, and is not repeated."""
    client = FeatureFlagClient(store)
    proxy.blackhole()
    with pytest.raises(errors.ConnectionTimeout, match="not answered"):
        call(store)
    assert client.is_enabled("x") is True
    proxy.restore()
    assert client.exists("x") is True
    assert client.exists("y") is False


def test_a_statement_below_the_limit_succeeds(
    store: PostgreSQLFeatureFlagStore, proxy: Proxy
) -> None:
    """The limit is for each statement, and not for several of them."""
    proxy.delay(0.25)
    for _ in range(5):
        assert store.get("x") is not None


def test_a_statement_that_waits_for_a_lock_raises(
    store: PostgreSQLFeatureFlagStore, postgres_conninfo: str
) -> None:
    """A statement that waits too long for a lock raises; the next one succeeds."""
    with psycopg.connect(postgres_conninfo) as other:
        other.execute("LOCK TABLE feature_flags")
        with pytest.raises(errors.ConnectionTimeout):
            store.get("x")
        other.rollback()
    assert store.get("x") is not None
