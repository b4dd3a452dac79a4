# SPDX-License-Identifier: Apache-2.0
"""The cached store: what it caches, and failed reads and writes.

That it is a store like any other is tested in `tests/contract`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock, call

import pytest

from flipper import (
    CachedFeatureFlagStore,
    FlagDoesNotExistError,
    MemoryFeatureFlagStore,
)
from flipper.contrib.storage import FeatureFlagStoreMeta
from support.cached_stores import WRITES, OwnStore, in_progress, state_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from support.clock import Clock


# What is cached


@pytest.mark.parametrize("ttl", [None, 60])
def test_a_missing_flag_is_cached(inner: OwnStore, ttl: float | None) -> None:
    """The inner store is read once for a missing flag."""
    store = CachedFeatureFlagStore(inner, ttl=ttl)
    assert [store.get("x") for _ in range(9)] == [None] * 9
    assert inner.reads == ["x"]


@pytest.mark.parametrize("ttl", [None, 60])
def test_create_caches_what_the_inner_store_returns(ttl: float | None) -> None:
    """The created item is cached and returned without another read."""
    inner = MagicMock()
    store = CachedFeatureFlagStore(inner, ttl=ttl)
    made = store.create("x", is_enabled=True, client_data={"a": 1})
    assert made is inner.create.return_value
    assert store.get("x") is made
    assert inner.mock_calls == [call.create("x", is_enabled=True, client_data={"a": 1})]


def test_a_written_flag_is_read_once_and_cached() -> None:
    """`set` and `set_meta` pass their arguments by position, and cache the result."""
    inner = MagicMock()
    store = CachedFeatureFlagStore(inner)
    meta = FeatureFlagStoreMeta(1)
    store.set("x", is_enabled=True)
    store.set_meta("x", meta)
    assert store.get("x") is inner.get.return_value
    assert inner.mock_calls == [
        call.set("x", True),
        call.get("x"),
        call.set_meta("x", meta),
        call.get("x"),
    ]


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("inner_kind", [OwnStore, MemoryFeatureFlagStore])
@pytest.mark.parametrize("ttl", [None, 60])
@pytest.mark.parametrize("write", WRITES)
def test_a_write_is_visible_at_once(
    inner_kind: Callable[[], Any], ttl: float | None, write: str
) -> None:
    """After each kind of write the cache returns what the inner store has."""
    inner = inner_kind()
    store = CachedFeatureFlagStore(inner, ttl=ttl)
    store.create("x", client_data={"n": 1})
    before = store.get("x")
    WRITES[write](store)
    after, stored = store.get("x"), inner.get("x")
    assert after is stored
    assert after is not before


def test_a_write_replaces_the_entry_of_a_missing_flag(inner: OwnStore) -> None:
    """A write of a flag that was cached as missing is visible at once."""
    store = CachedFeatureFlagStore(inner)
    assert store.get("x") is None
    store.set("x", is_enabled=True)
    assert state_of(store.get("x")) is True
    store.delete("x")
    assert store.get("x") is None
    store.create("x")
    assert state_of(store.get("x")) is False


def test_list_does_not_use_the_cache(inner: OwnStore) -> None:
    """`list` neither answers from the cache nor puts anything into it."""
    store = CachedFeatureFlagStore(inner)
    store.create("x")
    inner.flags.set("x", is_enabled=True)
    inner.flags.create("y")
    assert [state_of(item) for item in store.list()] == [True, False]
    assert state_of(store.get("x")) is False
    store.get("y")
    assert inner.reads == ["y"]


def test_list_is_forwarded_by_keyword() -> None:
    """The inner store gets `limit` and `offset` by keyword."""
    inner = MagicMock()
    found = CachedFeatureFlagStore(inner).list(10, 25)
    assert found is inner.list.return_value
    assert inner.mock_calls == [call.list(limit=10, offset=25)]


@pytest.mark.parametrize("option", ["stale_if_error", "jitter", "invalidate"])
def test_options_are_keyword_only(inner: OwnStore, option: str) -> None:
    """Only flipper-client's three parameters can be given by position."""
    with pytest.raises(TypeError, match="positional"):
        CachedFeatureFlagStore(inner, 10, 10, 1)  # type: ignore[misc]
    CachedFeatureFlagStore(inner, 10, 10, **{option: 0})


def test_a_cache_without_invalidation_can_be_closed(
    inner: OwnStore, own_threads: Callable[[], set[threading.Thread]]
) -> None:
    """Without `invalidate`, `close` changes nothing, and there is no thread."""
    with CachedFeatureFlagStore(inner, stale_if_error=1, jitter=0.5) as store:
        store.create("x")
        assert not own_threads()
    store.close()
    assert state_of(store.get("x")) is False
    assert inner.reads == []


# Failed reads and writes


@pytest.mark.parametrize("ttl", [None, 60])
@pytest.mark.parametrize("write", WRITES)
def test_a_failed_write_keeps_the_entry(
    inner: OwnStore, write: str, ttl: float | None
) -> None:
    """The error of a failed write is raised, and the entry goes on answering."""
    store = CachedFeatureFlagStore(inner, ttl=ttl)
    before = store.create("x", client_data={"n": 1})
    inner.write_error = OSError("on purpose")
    with pytest.raises(OSError, match="on purpose"):
        WRITES[write](store)
    inner.reads.clear()
    assert store.get("x") is before
    assert inner.reads == []
    assert in_progress(store) == {}


def test_a_refused_write_keeps_the_entry_of_a_missing_flag(inner: OwnStore) -> None:
    """`set_meta` of a missing flag raises, and the flag stays cached as missing."""
    store = CachedFeatureFlagStore(inner)
    assert store.get("x") is None
    with pytest.raises(FlagDoesNotExistError):
        store.set_meta("x", FeatureFlagStoreMeta(1))
    assert store.get("x") is None
    assert inner.reads == ["x"]


def test_a_failed_read_is_not_cached(inner: OwnStore) -> None:
    """The error of a failed read is raised, and the next read asks again."""
    inner.flags.create("x")
    store = CachedFeatureFlagStore(inner)
    inner.read_error = OSError("on purpose")
    with pytest.raises(OSError, match="on purpose"):
        store.get("x")
    inner.read_error = None
    assert state_of(store.get("x")) is False
    assert in_progress(store) == {}


def test_a_failed_read_keeps_the_expired_entry(inner: OwnStore, clock: Clock) -> None:
    """An expired entry does not answer `get`, but stays the last known state."""
    store = CachedFeatureFlagStore(inner, ttl=1)
    made = store.create("x")
    clock.now += 2
    inner.read_error = OSError("on purpose")
    with pytest.raises(OSError, match="on purpose"):
        store.get("x")
    assert store.last_known("x") is made


@pytest.mark.parametrize("write", ["set", "set_meta", "update"])
def test_a_write_succeeds_though_its_result_cannot_be_read(
    inner: OwnStore, write: str
) -> None:
    """The write raises nothing, and the outdated entry is dropped."""
    store = CachedFeatureFlagStore(inner)
    store.create("x", client_data={"n": 1})
    if write == "update":  # it reads before it writes, so only the second read fails
        reads = iter([None, OSError("on purpose"), None])

        def fail_second(_: str) -> None:
            error = next(reads)
            if error is not None:
                raise error

        inner.after_read = fail_second
    else:
        inner.read_error = OSError("on purpose")
    WRITES[write](store)
    inner.read_error = None
    inner.reads.clear()
    assert store.get("x") is inner.flags.get("x")
    assert inner.reads == ["x"]


@pytest.mark.parametrize("write", WRITES)
def test_an_interrupted_write_drops_the_entry(inner: OwnStore, write: str) -> None:
    """It is unknown whether the write took effect, so the next read asks the store."""
    store = CachedFeatureFlagStore(inner)
    store.create("x")
    inner.write_error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        WRITES[write](store)
    inner.flags.set("x", is_enabled="as written")  # type: ignore[arg-type]
    assert state_of(store.get("x")) == "as written"
