# SPDX-License-Identifier: Apache-2.0
"""Flags and the transactions of a site: what is seen, what is kept, what is undone."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
from django.db import IntegrityError, connection, connections, transaction
from django.test import TestCase

from flipper import (
    CachedFeatureFlagStore,
    FailoverFeatureFlagStore,
    FeatureFlagClient,
    MemoryFeatureFlagStore,
    ReplicatedFeatureFlagStore,
    SyncedFeatureFlagStore,
)
from flipper.exceptions import InvalidArgumentError
from flipper.integrations.django import DjangoFeatureFlagStore
from flipper.integrations.django.models import Flag
from support.django_site import DATABASES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class UndoneError(Exception):
    """Ends a transaction."""


@pytest.fixture
def own() -> Iterator[DjangoFeatureFlagStore]:
    """Give a store that takes no part in transactions."""
    with DjangoFeatureFlagStore() as store:
        yield store


def joining() -> DjangoFeatureFlagStore:
    """Return a store that takes part in transactions."""
    return DjangoFeatureFlagStore(in_transaction=True)


def in_thread(question: Callable[[], Any]) -> Any:
    """Return what another thread of the process is answered."""
    found = []

    def ask() -> None:
        found.append(question())
        connections.close_all()

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(30)
    return found[0]


STACKS = {
    "store": joining,
    "cached": lambda: CachedFeatureFlagStore(joining()),
    "cached twice": lambda: CachedFeatureFlagStore(CachedFeatureFlagStore(joining())),
    "failover": lambda: FailoverFeatureFlagStore(joining(), MemoryFeatureFlagStore()),
}


@pytest.fixture(params=STACKS)
def client(request: pytest.FixtureRequest) -> FeatureFlagClient:
    """Give a client of each stack that may be around a store in transactions."""
    return FeatureFlagClient(STACKS[request.param]())


@pytest.mark.parametrize("memoized", [False, True], ids=["plain", "memoized"])
def test_a_write_that_is_rolled_back_leaves_no_trace(
    client: FeatureFlagClient, memoized: bool
) -> None:
    """The transaction sees its write, nobody else does, and then nobody does."""
    client.create("NEW")
    client.create("OLD", is_enabled=True)

    def answers() -> list[Any]:
        return [client.is_enabled(name) for name in ("NEW", "OLD", "MADE")]

    def check() -> None:
        assert answers() == [False, True, False]
        with pytest.raises(UndoneError), transaction.atomic():
            client.enable("NEW")
            client.destroy("OLD")
            client.create("MADE", is_enabled=True)
            assert answers() == [True, False, True]
            assert in_thread(answers) == [False, True, False]
            assert answers() == [True, False, True]
            raise UndoneError
        assert answers() == [False, True, False]
        assert in_thread(answers) == [False, True, False]

    if not memoized:
        check()
        return
    with client.memoize():
        check()
    assert answers() == [False, True, False]


def test_a_write_is_seen_by_all_after_the_commit(client: FeatureFlagClient) -> None:
    """What another thread has cached meanwhile does not stay."""
    client.create("NEW")

    def question() -> Any:
        return client.is_enabled("NEW")

    assert question() is False
    with client.memoize(), transaction.atomic():
        client.enable("NEW")
        assert in_thread(question) is False
        assert question() is True
    assert question() is True
    assert in_thread(question) is True


def test_a_savepoint_undoes_its_own_writes_only(client: FeatureFlagClient) -> None:
    """The inner block is undone, the outer one is kept."""
    client.create("OUTER")
    client.create("INNER")
    with client.memoize(), transaction.atomic():
        client.enable("OUTER")
        with pytest.raises(UndoneError), transaction.atomic():
            client.enable("INNER")
            client.set_client_data("OUTER", {"team": "web"})
            assert client.is_enabled("INNER")
            raise UndoneError
        assert not client.is_enabled("INNER")
        assert client.is_enabled("OUTER")
        assert client.get_client_data("OUTER") == {}
    assert not client.is_enabled("INNER")
    assert client.is_enabled("OUTER")
    assert in_thread(lambda: client.is_enabled("OUTER"))


def test_what_was_rolled_back_is_not_the_last_known_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In an outage after a rollback, no flag is on that was never on."""
    store = joining()
    client = FeatureFlagClient(store)
    client.create("NEW")
    with pytest.raises(UndoneError), transaction.atomic():
        client.enable("NEW")
        assert in_thread(lambda: store.last_known("NEW")) is None
        raise UndoneError
    known = store.last_known("NEW")
    assert known is None or not known.raw_is_enabled


def test_marks_of_writes_do_not_pile_up() -> None:
    """After the end of transactions, nothing is kept of them."""
    store = joining()
    client = FeatureFlagClient(store)
    client.create("NEW")
    for _ in range(20):
        with client.memoize(), transaction.atomic():
            client.enable("NEW")
            assert store.is_uncommitted("NEW")
    assert not store.is_uncommitted("NEW")
    assert store._after_transaction == {}
    assert not any(store._uncommitted.values())


@pytest.mark.filterwarnings(
    "ignore:Exception ignored:pytest.PytestUnraisableExceptionWarning"
)
def test_a_thread_that_ends_within_its_transaction_is_forgotten() -> None:
    """Its writes were never committed, and flags are cached again."""
    store = joining()
    client = FeatureFlagClient(CachedFeatureFlagStore(store))
    client.create("NEW")

    def write() -> None:
        transaction.atomic().__enter__()
        client.enable("NEW")

    thread = threading.Thread(target=write)
    thread.start()
    thread.join(30)
    gc.collect()
    assert not store.is_uncommitted("NEW")
    assert client.is_enabled("NEW") is False


@pytest.mark.parametrize(
    "copy",
    [
        SyncedFeatureFlagStore,
        lambda store: SyncedFeatureFlagStore(CachedFeatureFlagStore(store)),
        lambda store: ReplicatedFeatureFlagStore(store, MemoryFeatureFlagStore()),
    ],
    ids=["synced", "synced cache", "replicated"],
)
def test_copies_of_a_store_in_transactions_are_refused(copy: Any) -> None:
    """A copy would show others what is not committed."""
    with pytest.raises(InvalidArgumentError, match="in_transaction=True"):
        copy(joining())


# -- outside of the transaction --------------------------------------------------------


@pytest.mark.postgres
def test_by_default_a_write_outlives_the_rollback_of_the_site(
    django_on_postgres: str,
) -> None:
    """Writes are committed when they return, and a broken transaction does no harm."""
    alias = django_on_postgres
    with DjangoFeatureFlagStore(using=alias) as store:
        client = FeatureFlagClient(store)
        client.create("NEW")
        with pytest.raises(UndoneError), transaction.atomic(using=alias):
            client.enable("NEW")
            assert client.is_enabled("NEW")
            assert not store.is_uncommitted("NEW")
            raise UndoneError
        assert client.is_enabled("NEW")
        with pytest.raises(IntegrityError), transaction.atomic(using=alias):
            Flag.objects.using(alias).create(key="1")
            with pytest.raises(IntegrityError):
                Flag(key="1").save(using=alias, force_insert=True)
            assert client.is_enabled("NEW")  # while the transaction is broken
            client.disable("NEW")
            raise IntegrityError
        assert not client.is_enabled("NEW")
        Flag.objects.using(alias).all().delete()


@pytest.mark.postgres
def test_a_site_without_autocommit_keeps_what_is_written(
    django_on_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With AUTOCOMMIT off, the site never commits what it has not written itself."""
    alias = django_on_postgres
    settings = {**connections.databases[alias], "AUTOCOMMIT": False}
    monkeypatch.setitem(connections.databases, "manual", settings)
    try:
        with DjangoFeatureFlagStore(using="manual") as store:
            client = FeatureFlagClient(store, on_error="raise")
            client.create("NEW", is_enabled=True)
            transaction.rollback(using="manual")
            assert client.is_enabled("NEW")
            assert Flag.objects.using(alias).filter(feature_name="NEW").exists()
    finally:
        connections["manual"].close()
        del connections["manual"]
        Flag.objects.using(alias).all().delete()


@pytest.mark.postgres
def test_a_broken_transaction_is_read_past(django_on_postgres: str) -> None:
    """With in_transaction=True, questions are answered after an error of the site."""
    alias = django_on_postgres
    with DjangoFeatureFlagStore(using=alias, in_transaction=True) as store:
        client = FeatureFlagClient(store, on_error="raise")
        client.create("NEW", is_enabled=True)
        with transaction.atomic(using=alias):
            transaction.set_rollback(True, using=alias)
            assert client.is_enabled("NEW")
        Flag.objects.using(alias).all().delete()


@pytest.mark.parametrize("alias", ["default", "memory"])
def test_sqlite_takes_part_in_transactions(alias: str) -> None:
    """It has one writer, so a second connection would wait for this one."""
    store = DjangoFeatureFlagStore(using=alias)
    client = FeatureFlagClient(CachedFeatureFlagStore(store))
    client.create("NEW")
    with pytest.raises(UndoneError), transaction.atomic(using=alias):
        Flag.objects.using(alias).create(key="1")
        client.enable("NEW")
        assert client.is_enabled("NEW")
        raise UndoneError
    assert not client.is_enabled("NEW")


def test_an_event_loop_is_answered_by_another_thread(
    own: DjangoFeatureFlagStore,
) -> None:
    """Django refuses statements in an event loop; the flags are right all the same."""
    client = FeatureFlagClient(own, on_error="raise")
    client.create("NEW")

    async def answer() -> list[Any]:
        before = client.is_enabled("NEW")
        client.enable("NEW")
        return [before, client.is_enabled("NEW")]

    assert asyncio.run(answer()) == [False, True]


def test_a_closed_store_has_no_thread(
    own: DjangoFeatureFlagStore, own_threads: Callable[[], set[threading.Thread]]
) -> None:
    """`close` ends it, and may be called again."""
    client = FeatureFlagClient(own)

    async def ask() -> None:
        client.is_enabled("NEW")

    asyncio.run(ask())
    assert any(thread.name.startswith("flipper-django") for thread in own_threads())
    own.close()
    own.close()
    assert not own_threads()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_uses_no_connection_of_its_parent(
    own: DjangoFeatureFlagStore,
) -> None:
    """A flag asked before the fork leaves the child no connection and no thread."""
    client = FeatureFlagClient(own, on_error="raise")
    client.create("NEW", is_enabled=True)

    async def ask() -> None:
        assert client.is_enabled("NEW")

    asyncio.run(ask())
    inherited = connection.connection
    assert inherited is not None
    child = os.fork()
    if not child:
        code = 1
        try:
            is_new = connection.connection is None and client.is_enabled("NEW")
            code = 0 if is_new and connection.connection is not inherited else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert client.is_enabled("NEW")


# -- tests of a site -------------------------------------------------------------------

_shared = CachedFeatureFlagStore(DjangoFeatureFlagStore())


class FirstTest(TestCase):
    """Django's `TestCase` rolls back what a test has written, also behind a cache."""

    databases = frozenset(DATABASES)

    def test_one(self) -> None:
        """A flag that a test makes is on in it."""
        self._make()

    def test_two(self) -> None:
        """The other test finds no flag, in whichever order they run."""
        self._make()

    def _make(self) -> None:
        client = FeatureFlagClient(_shared)
        assert client.is_enabled("IN_A_TEST") is False
        with self.captureOnCommitCallbacks(execute=True):
            client.create("IN_A_TEST", is_enabled=True)
        assert client.is_enabled("IN_A_TEST") is True
