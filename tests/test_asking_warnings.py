# SPDX-License-Identifier: Apache-2.0
"""What a client logs when it cannot answer a question from its store."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore
from flipper.runtime import log_throttle
from flipper.testing.contract import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
from support.answers import DEFAULT, answer_of
from support.clock import Clock
from support.custom_stores import CustomStore, FailingMemoryStore, RemoteStore


class Incomparable:
    """A value whose comparison raises an error of its own."""

    def __gt__(self, other: object) -> bool:
        raise ZeroDivisionError


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace the clock of the log throttle."""
    clock = Clock()
    monkeypatch.setattr(log_throttle, "monotonic", clock)
    return clock


@pytest.fixture
def store() -> MemoryFeatureFlagStore:
    """Return an empty store."""
    return MemoryFeatureFlagStore()


@pytest.fixture
def client(store: MemoryFeatureFlagStore) -> FeatureFlagClient:
    """Return a client of that store."""
    return FeatureFlagClient(store)


@pytest.fixture
def warned(
    caplog: pytest.LogCaptureFixture, clock: Clock
) -> Callable[[], list[logging.LogRecord]]:
    """Return a function that returns what was logged since its last call."""
    caplog.set_level(logging.DEBUG, "flipper")

    def warned() -> list[logging.LogRecord]:
        # Without the records of background threads that other tests have started.
        records = [each for each in caplog.records if each.name == "flipper.client"]
        caplog.clear()
        return records

    return warned


def test_each_flag_and_kind_of_error_is_logged_once_a_minute(
    client: FeatureFlagClient,
    clock: Clock,
    warned: Callable[[], list[logging.LogRecord]],
) -> None:
    """Repeated warnings are counted instead of logged."""
    for name in ("x", "y"):
        client.create(name, is_enabled=True)
        client.add_condition(name, Condition(n__gt=1))
    for _ in range(50):
        client.is_enabled("x", n=None)
        client.explain("x", n=None)
    assert len(warned()) == 1
    client.is_enabled("y", n=None)
    assert len(warned()) == 1
    client.is_enabled("x", n=Incomparable())
    assert len(warned()) == 1
    clock.now += 59.9
    client.is_enabled("x", n=Incomparable())
    assert not warned()
    clock.now += 0.2
    client.is_enabled("x", n=Incomparable())
    client.is_enabled("x", n=Incomparable())
    (record,) = warned()
    assert record.getMessage().endswith("(1 more times since the last warning)")


def test_a_warning_names_the_flag_and_the_error_but_no_argument(
    client: FeatureFlagClient, warned: Callable[[], list[logging.LogRecord]]
) -> None:
    """The record has the name and the error; arguments may be personal data."""
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
def test_an_outage_is_logged_when_it_begins_and_ends_and_once_a_minute(
    kind: Any,
    clock: Clock,
    warned: Callable[[], list[logging.LogRecord]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The number of log records does not grow with flags, questions or threads."""
    store = kind()
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    store.failure = ConnectionError("away")

    def ask() -> None:
        for number in range(1500):
            assert client.is_enabled(f"x{number}", DEFAULT) is DEFAULT

    # First alone: if threads get the same error object at once, that counts as one.
    assert client.is_enabled("first", DEFAULT) is DEFAULT
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
    assert begin.feature_name == "first"
    clock.now += 61
    client.is_enabled("x")
    client.is_enabled("x")
    (again,) = warned()
    assert again.levelno == logging.WARNING
    assert again.getMessage() == (
        f"{begin.getMessage()} (6000 more questions failed since the last warning)"
    )
    assert again.exc_info is None
    store.failure = None
    eventually(lambda: client.explain("x").error is None)
    eventually(
        lambda: (
            ("flipper.client", logging.INFO)
            in {(record.name, record.levelno) for record in [*caplog.records]}
        )
    )
    client.is_enabled("x")
    (end,) = warned()
    assert end.levelno == logging.INFO
    assert end.getMessage().startswith(f"{name} answers again (")


def test_many_short_outages_are_logged_once_a_minute(
    clock: Clock, warned: Callable[[], list[logging.LogRecord]]
) -> None:
    """A store that fails and recovers all the time is logged as one outage a minute."""
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


def test_on_error_raise_logs_nothing(
    warned: Callable[[], list[logging.LogRecord]],
) -> None:
    """With `on_error="raise"` the caller gets the errors, and logs them itself."""
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


def test_a_good_answer_logs_nothing(
    client: FeatureFlagClient, warned: Callable[[], list[logging.LogRecord]]
) -> None:
    """Neither an answer nor a missing flag is logged."""
    client.create("x", is_enabled=True)
    assert answer_of(client, "x") is True
    assert answer_of(client, "missing") is DEFAULT
    assert not warned()


def test_the_memory_of_warnings_is_bounded(
    client: FeatureFlagClient,
    warned: Callable[[], list[logging.LogRecord]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The client forgets the oldest warnings, and then logs them again."""
    monkeypatch.setattr(log_throttle, "MAX_KINDS", 10)
    for number in range(25):
        client.is_enabled([number])  # type: ignore[arg-type]
    assert len(warned()) == 25
    for number in range(15, 25):  # the ten newest are remembered
        client.is_enabled([number])  # type: ignore[arg-type]
    assert not warned()
    for number in range(15):
        client.is_enabled([number])  # type: ignore[arg-type]
    assert len(warned()) == 15


def test_a_missing_flag_is_not_logged_by_default(
    client: FeatureFlagClient, warned: Callable[[], list[logging.LogRecord]]
) -> None:
    """Applications ask for flags before they are created and after they are gone."""
    assert client.is_enabled("missing") is False
    assert client.is_enabled("missing", default="default") == "default"
    assert not warned()


def test_strict_warn_logs_a_missing_flag_once_a_minute(
    store: MemoryFeatureFlagStore,
    warned: Callable[[], list[logging.LogRecord]],
    clock: Clock,
) -> None:
    """With `strict="warn"` a missing flag is logged, and the default answers."""
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
