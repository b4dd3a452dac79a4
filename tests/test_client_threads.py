# SPDX-License-Identifier: Apache-2.0
"""Many threads ask and write through one client.

These tests hold on every Python. Without the GIL the threads really run at once.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from flipper import (
    CachedFeatureFlagStore,
    Condition,
    FeatureFlagClient,
    FlagDoesNotExistError,
    MemoryFeatureFlagStore,
    SQLiteFeatureFlagStore,
    SyncedFeatureFlagStore,
)
from flipper.conditions import rule_compiler
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.rules import Rule, Rules
from flipper.testing.waiting import at_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WRITES = 60  # of each thread
STORES: dict[str, Callable[[Any], Any]] = {
    "plain": lambda inner: inner,
    "cached": CachedFeatureFlagStore,
    "cached with ttl": lambda inner: CachedFeatureFlagStore(inner, ttl=0.001),
    "synced": SyncedFeatureFlagStore,
}


@pytest.fixture(params=["memory", "sqlite"])
def inner(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Give an empty store."""
    if request.param == "memory":
        yield MemoryFeatureFlagStore()
        return
    with SQLiteFeatureFlagStore(tmp_path / "flags.db") as store:
        yield store


@pytest.fixture(params=STORES)
def client(request: pytest.FixtureRequest, inner: Any) -> Iterator[FeatureFlagClient]:
    """Give a client that raises all errors."""
    store = STORES[request.param](inner)
    yield FeatureFlagClient(store, on_error="raise")
    if store is not inner:
        store.close()


def while_written(write: Callable[[int], object], *jobs: Callable[[], object]) -> None:
    """Let threads repeat these jobs until another thread has made all its writes."""
    done = threading.Event()

    def write_all() -> None:
        try:
            for number in range(WRITES):
                write(number)
        finally:
            done.set()

    def repeat(job: Callable[[], object]) -> None:
        while True:
            is_last = done.is_set()
            job()
            if is_last:
                return

    at_once(write_all, *(partial(repeat, job) for job in jobs))


def test_no_question_sees_a_flag_that_is_half_written(
    client: FeatureFlagClient,
) -> None:
    """Two conditions that are replaced together are never one old and one new."""
    versions = [
        [Condition(a=number), Condition(b=number), Condition(c__in=[number] * 6)]
        for number in (0, 1)
    ]
    client.create("f", is_enabled=True)
    client.set_conditions("f", versions[1])

    def ask() -> None:
        for a in (0, 1):
            assert client.is_enabled("f", a=a, b=1 - a) is False
            assert client.explain("f", a=a, b=1 - a).enabled is False
            assert client.evaluate_all(a=a, b=1 - a, c=a) == {"f": False}
        checks = client.get_meta("f")["conditions"]
        values = {
            each[name][0]["value"] for each in checks for name in each if name != "c"
        }
        assert len(values) == 1

    while_written(lambda n: client.set_conditions("f", versions[n % 2]), ask, ask)
    last = (WRITES - 1) % 2
    assert client.is_enabled("f", a=last, b=last, c=last) is True


def test_a_variant_is_always_one_of_the_rules_at_some_time(
    client: FeatureFlagClient,
) -> None:
    """The value of a variant never comes from other rules than its name."""
    versions = [
        Rules([Rule(Condition(a=1), name)], variants={name: {"is": name}}, off=None)
        for name in ("blue", "red")
    ]
    client.create("f", is_enabled=True)
    client.set_rules("f", versions[1])

    def ask() -> None:
        assert client.variant("f", "default", a=1)["is"] in ("blue", "red")
        assert client.variant("f", "default", a=2) == "default"
        told = client.explain("f", a=1)
        assert (told.enabled, told.rule.serve) == (True, told.variant)

    while_written(lambda n: client.set_rules("f", versions[n % 2]), ask, ask)


def test_flags_that_stay_are_answered_while_others_come_and_go(
    client: FeatureFlagClient,
) -> None:
    """Creating and deleting flags hides no other flag, and fails no question."""
    stay = {f"stays-{number}": number % 2 == 0 for number in range(10)}
    for name, is_enabled in stay.items():
        client.create(name, is_enabled=is_enabled)

    def write(number: int) -> None:
        name = f"comes-{number % 7}"
        client.create(name, is_enabled=True)
        client.disable(name)
        client.destroy(name)

    def ask() -> None:
        for name, is_enabled in stay.items():
            assert client.is_enabled(name) is is_enabled
        assert client.is_enabled("comes-3") in (True, False)
        assert client.evaluate_all().items() >= stay.items()
        assert {flag.name for flag in client.list()} >= stay.keys()

    while_written(write, ask, ask)
    assert {flag.name for flag in client.list()} == stay.keys()


def test_threads_lose_no_write_of_one_flag(client: FeatureFlagClient) -> None:
    """Client data, conditions and switching of several threads are all stored."""
    client.create("f")

    def write(writer: int) -> None:
        for number in range(10):
            client.set_client_data("f", {f"{writer}-{number}": number})
            client.add_condition("f", Condition(**{f"v{writer}": number}))

    def switch() -> None:
        for number in range(11):
            (client.disable if number % 2 else client.enable)("f")

    at_once(switch, *(partial(write, writer) for writer in range(4)))
    meta = client.get_meta("f")
    assert len(meta["client_data"]) == 40
    assert len(meta["conditions"]) == 40
    assert client.is_enabled("f") is True


def test_one_of_the_threads_deletes_a_flag(client: FeatureFlagClient) -> None:
    """Threads that change a flag which another one deletes do not bring it back."""

    def change() -> None:
        with suppress(FlagDoesNotExistError):
            client.set_client_data("f", {"a": 1})

    for _ in range(20):
        client.create("f")
        at_once(change, change, partial(client.destroy, "f"))
        assert not client.exists("f")


def test_threads_that_compile_a_flag_at_once_get_one_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first questions about a flag may come from many threads at once."""
    monkeypatch.setattr(rule_compiler, "_SHAPES_KEPT", 2)  # functions are forgotten
    for turn in range(30):
        checks = {f"v{turn}_{number}__gte": number for number in range(6)}
        meta = FeatureFlagStoreMeta(1, {}, [Condition(**checks)])
        item = FeatureFlagStoreItem("f", True, meta)
        yes = {name.removesuffix("__gte"): value for name, value in checks.items()}
        no = {**yes, f"v{turn}_5": 4}
        answers: list[Any] = []

        def ask(
            item: Any = item, yes: Any = yes, no: Any = no, to: Any = answers
        ) -> None:
            to.append((item.is_enabled(**yes), item.is_enabled(**no)))

        at_once(*[ask] * 4)
        assert answers == [(True, False)] * 4


def test_blocks_of_threads_are_their_own() -> None:
    """What one thread memoizes or passes as arguments concerns no other thread."""
    client = FeatureFlagClient(MemoryFeatureFlagStore(), on_error="raise")
    client.create("f", is_enabled=True)
    client.set_conditions("f", [Condition(user=1)])

    def ask(user: int) -> None:
        for _ in range(100):
            with client.memoize(), client.context(user=user):
                assert [client.is_enabled("f") for _ in range(3)] == [user == 1] * 3

    at_once(*(partial(ask, user) for user in (1, 2, 1, 2)))
