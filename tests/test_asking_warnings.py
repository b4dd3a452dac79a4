# SPDX-License-Identifier: Apache-2.0
"""What a client logs when it cannot answer a question from its store."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from flipper import (
    Condition,
    FeatureFlagClient,
    MemoryFeatureFlagStore,
)
from flipper.runtime import log_throttle
from flipper.testing.contract import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
from support.answers import DEFAULT, answer_of
from support.clock import Clock
from support.custom_stores import CustomStore, FailingMemoryStore, RemoteStore


class Hostile:
    """Cannot be compared, by an error of its own."""

    def __gt__(self, other: object) -> bool:
        raise ZeroDivisionError


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Stop the clock of warnings."""
    clock = Clock()
    monkeypatch.setattr(log_throttle, "monotonic", clock)
    return clock


@pytest.fixture
def store() -> MemoryFeatureFlagStore:
    """Give an empty store."""
    return MemoryFeatureFlagStore()


@pytest.fixture
def client(store: MemoryFeatureFlagStore) -> FeatureFlagClient:
    """Give a client of that store."""
    return FeatureFlagClient(store)


@pytest.fixture
def warned(
    caplog: pytest.LogCaptureFixture, clock: Clock
) -> Callable[[], list[logging.LogRecord]]:
    """Give what has been warned of since the last look."""
    caplog.set_level(logging.DEBUG, "flipper")

    def warned() -> list[logging.LogRecord]:
        # Not what background threads of stores of other tests log.
        records = [each for each in caplog.records if each.name == "flipper.client"]
        caplog.clear()
        return records

    return warned


def test_one_warning_per_flag_and_kind_of_error_in_a_minute(
    client: FeatureFlagClient,
    clock: Clock,
    warned: Callable[[], list[logging.LogRecord]],
) -> None:
    """Asked a thousand times a second, one is a warning and the others are noise."""
    for name in ("x", "y"):
        client.create(name, is_enabled=True)
        client.add_condition(name, Condition(n__gt=1))
    for _ in range(50):
        client.is_enabled("x", n=None)
        client.explain("x", n=None)
    assert len(warned()) == 1
    client.is_enabled("y", n=None)
    assert len(warned()) == 1
    client.is_enabled("x", n=Hostile())
    assert len(warned()) == 1
    clock.now += 59.9
    client.is_enabled("x", n=Hostile())
    assert not warned()
    clock.now += 0.2
    client.is_enabled("x", n=Hostile())
    client.is_enabled("x", n=Hostile())
    (record,) = warned()
    assert record.getMessage().endswith("(1 more times since the last warning)")


def test_a_warning_says_which_flag_and_what_happened(
    client: FeatureFlagClient, warned: Callable[[], list[logging.LogRecord]]
) -> None:
    """The text is constant, so that logs can be grouped; the facts are attributes."""
    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(email__gt=1))
    client.is_enabled("x", email="ann@example.org")
    (record,) = warned()
    assert record.name == "flipper.client"
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "Feature 'x' could not be read or evaluated (TypeError); the last known "
        "state or the default answers"
    )
    assert record.feature_name == "x"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], TypeError)


@pytest.mark.parametrize("kind", [CustomStore, FailingMemoryStore, RemoteStore])
def test_an_outage_is_told_at_its_begin_its_end_and_once_a_minute(
    kind: Any, clock: Clock, warned: Callable[[], list[logging.LogRecord]]
) -> None:
    """Whatever the number of flags and of threads: 1,500 flags are asked four times."""
    store = kind()
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    store.failure = ConnectionError("away")

    def ask() -> None:
        for number in range(1500):
            assert client.is_enabled(f"x{number}", DEFAULT) is DEFAULT

    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(ask) for _ in range(4)]:
            each.result()
    (begin,) = warned()
    name = kind.__name__
    assert begin.getMessage() == (
        f"{name} fails (ConnectionError: away); flags are answered by their last known "
        f"state, else by the default"
    )
    assert begin.exc_info is not None
    assert begin.feature_name.startswith("x")
    clock.now += 61
    client.is_enabled("x")
    client.is_enabled("x")
    (again,) = warned()
    assert again.levelno == logging.WARNING
    assert again.getMessage() == (
        f"{begin.getMessage()} (5999 more questions failed since the last warning)"
    )
    assert again.exc_info is None
    store.failure = None
    eventually(lambda: client.explain("x").error is None)
    eventually(lambda: client._reader is client._source.fast_path())
    client.is_enabled("x")
    (end,) = warned()
    assert end.levelno == logging.INFO
    assert end.getMessage().startswith(f"{name} answers again (")


def test_a_store_that_comes_and_goes_is_told_of_once_a_minute(
    clock: Clock, warned: Callable[[], list[logging.LogRecord]]
) -> None:
    """Hundreds of short outages would fill the log as well as one long one."""
    store = CustomStore()
    client = FeatureFlagClient(store)
    for _ in range(100):
        store.failure = ConnectionError("away")
        client.is_enabled("x")
        store.failure = None
        client.is_enabled("x")
    assert [record.levelname for record in warned()] == ["WARNING", "INFO"]
    clock.now += 61
    store.failure = ConnectionError("away")
    client.is_enabled("x")
    (record,) = warned()
    assert "99 more questions" in record.getMessage()


def test_who_wants_errors_gets_no_log(
    warned: Callable[[], list[logging.LogRecord]],
) -> None:
    """They are the caller's to log."""
    store = RemoteStore()
    client = FeatureFlagClient(store, on_error="raise")
    client.create("x", is_enabled=True)
    client.add_condition("x", Condition(n__gt=1))
    with pytest.raises(TypeError):
        client.is_enabled("x", n=None)
    store.failure = ConnectionError("away")
    with pytest.raises(ConnectionError):
        client.is_enabled("x")
    assert not warned()


def test_a_good_answer_warns_of_nothing(
    client: FeatureFlagClient, warned: Callable[[], list[logging.LogRecord]]
) -> None:
    """Neither does a missing flag: code is often there before its flag."""
    client.create("x", is_enabled=True)
    assert answer_of(client, "x") is True
    assert answer_of(client, "missing") is DEFAULT
    assert not warned()


def test_what_was_warned_of_is_bounded(
    client: FeatureFlagClient,
    warned: Callable[[], list[logging.LogRecord]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Names that come from outside must not fill the memory."""
    monkeypatch.setattr(log_throttle, "MAX_KINDS", 10)
    for number in range(25):
        client.is_enabled([number])  # type: ignore[arg-type]
    assert len(warned()) == 25
    assert len(client._log._kinds) == 10
    for number in range(15, 25):  # only the oldest are forgotten
        client.is_enabled([number])  # type: ignore[arg-type]
    assert not warned()


def test_an_unknown_flag_is_nothing_special_as_a_rule(
    client: FeatureFlagClient, warned: Callable[[], list[logging.LogRecord]]
) -> None:
    """Flags are asked for before they are created, and after they are gone."""
    assert client.is_enabled("missing") is False
    assert client.is_enabled("missing", default="default") == "default"
    assert not warned()


def test_on_request_an_unknown_flag_is_warned_of(
    store: MemoryFeatureFlagStore,
    warned: Callable[[], list[logging.LogRecord]],
    clock: Clock,
) -> None:
    """Once per flag in a minute; the default answers as ever."""
    client = FeatureFlagClient(store, strict="warn")
    client.create("x")
    for _ in range(5):
        assert client.is_enabled("missing", default=True) is True
        assert client.is_enabled("other") is False
        assert client.is_enabled("x") is False
    assert [record.getMessage() for record in warned()] == [
        "Feature missing does not exist; the default answers",
        "Feature other does not exist; the default answers",
    ]
    clock.now += 61
    client.is_enabled("missing")
    assert len(warned()) == 1
