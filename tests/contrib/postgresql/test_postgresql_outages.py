# SPDX-License-Identifier: Apache-2.0
"""The PostgreSQL store while its server is away, loses replies or is restarted."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg
import pytest

from flipper import Condition, FeatureFlagClient
from flipper.contrib.postgresql import (
    PostgreSQLFeatureFlagStore,
)
from flipper.testing.contract import at_once, eventually
from support.flags import names
from support.lost_replies import WRITES, lose_each_reply
from support.outage_rules import check_circuit_breaker

if TYPE_CHECKING:
    from collections.abc import Callable

    from servers import PostgresServer, Proxy

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize("write", WRITES)
def test_a_write_whose_reply_is_lost_raises_or_has_taken_effect(
    through: str, proxy: Proxy, store: PostgreSQLFeatureFlagStore, write: str
) -> None:
    """A write is applied once at most, and returns only if it was applied."""
    with PostgreSQLFeatureFlagStore(through) as behind:

        def connected() -> FeatureFlagClient:
            with suppress(psycopg.OperationalError):
                behind.get("x")  # replaces the connection that was lost before
            return FeatureFlagClient(behind)

        lose_each_reply(write, proxy, connected, store, psycopg.OperationalError)


def test_a_read_whose_reply_is_lost_is_repeated(through: str, proxy: Proxy) -> None:
    """A read is repeated once if its reply is lost, since it changes nothing."""
    with PostgreSQLFeatureFlagStore(through) as store:
        client = FeatureFlagClient(store, on_error="raise")
        client.create("x", is_enabled=True)
        assert client.is_enabled("x") is True
        for _ in range(5):
            proxy.drop_reply()
            assert client.is_enabled("x") is True
            proxy.drop_reply()
            assert names(store) == ["x"]
        assert proxy.dropped == 10


def test_a_restarted_server_is_used_by_the_next_call(
    own_server: PostgresServer,
) -> None:
    """The first call after a restart succeeds, whichever call it is."""
    with PostgreSQLFeatureFlagStore(own_server.conninfo(), "restarted") as store:
        client = FeatureFlagClient(store, on_error="raise")
        first_calls: list[Callable[[], object]] = [
            lambda: client.create("x", is_enabled=True),
            lambda: client.is_enabled("x"),
            lambda: names(store),
            lambda: client.add_condition("x", Condition(a=1)),
            lambda: store.set("x", True),
            lambda: client.create("y"),
            lambda: client.destroy("y"),
        ]
        for call in first_calls:
            at_once(*[lambda: store.get("x")] * 4)  # keeps a connection for each
            own_server.restart()
            call()
        assert client.is_enabled("x", a=1) is True
        assert names(store) == ["x"]


def test_one_call_finds_out_that_the_server_is_away(
    own_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    """During an outage only the first call, and a background thread, try to connect."""
    with PostgreSQLFeatureFlagStore(own_server.conninfo(), "spared") as store:
        check_circuit_breaker(store, own_server, caplog)


def test_flags_answer_as_last_known_during_an_outage(
    own_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    """During an outage flags answer as last known, and all other calls raise."""
    with PostgreSQLFeatureFlagStore(own_server.conninfo(), "away") as store:
        client = FeatureFlagClient(store)
        client.create("on", is_enabled=True)
        client.create("off")
        client.create("some", is_enabled=True)
        client.add_condition("some", Condition(a=1))
        asked = [("on", {}, True), ("off", {}, False), ("some", {"a": 2}, False)]
        asked += [("some", {"a": 1}, True), ("never seen", {}, False)]
        assert all(client.is_enabled(n, **given) is says for n, given, says in asked)
        own_server.kill()
        for _ in range(400):
            for name, given, says in asked:
                assert client.is_enabled(name, **given) is says
        for call in (
            lambda: client.create("new"),
            lambda: client.exists("on"),
            lambda: client.enable("on"),
            lambda: client.add_condition("on", Condition(a=1)),
            lambda: client.get_meta("on"),
            lambda: list(client.list()),
            lambda: client.destroy("on"),
            lambda: store.delete("on"),
        ):
            with pytest.raises(psycopg.OperationalError):
                call()
        own_server.start()
        assert client.exists("on") is True
        assert client.exists("new") is False
        client.disable("on")
        eventually(lambda: client.is_enabled("on") is False)
    assert "PostgreSQLFeatureFlagStore fails" in caplog.text
