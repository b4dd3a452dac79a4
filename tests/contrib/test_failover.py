# SPDX-License-Identifier: Apache-2.0
"""A second store answers while the first is away."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from flipper import (
    FailoverFeatureFlagStore,
    FeatureFlagClient,
    MemoryFeatureFlagStore,
    ReplicatedFeatureFlagStore,
)
from flipper.events import EventType
from flipper.exceptions import FlagDoesNotExistError, InvalidFlagDataError
from flipper.testing.contract import CHANGES, eventually


class AwayError(Exception):
    """The server is away."""


class Server(MemoryFeatureFlagStore):
    """Flags in memory, as if on a server that may be away."""

    outage_errors = (AwayError,)

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None
        self.asked = 0

    def get(self, feature_name: str) -> Any:
        """Read one."""
        self._ask()
        return super().get(feature_name)

    def list(self, limit: int | None = None, offset: int = 0) -> Any:
        """Read all."""
        self._ask()
        for item in super().list(limit, offset):
            self._ask()
            yield item

    def _swap(self, item: Any, expected: Any) -> bool:
        self._ask()
        return super()._swap(item, expected)

    def _ask(self) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error


@pytest.fixture
def primary() -> Server:
    """Give a server with a flag that is on."""
    server = Server()
    server.create("f", is_enabled=True)
    return server


@pytest.fixture
def secondary() -> Server:
    """Give a server with the same flag, which is off here, and another."""
    server = Server()
    server.create("f")
    server.create("g", is_enabled=True)
    return server


@pytest.mark.parametrize("is_heard", [False, True])
def test_the_primary_decides_whether_a_written_flag_exists(
    features: FeatureFlagClient, primary: Server, is_heard: bool
) -> None:
    """What only the secondary has cannot be written, away or not."""
    told: list[EventType] = []
    if is_heard:
        for event in EventType:
            features.events.on(event, lambda *_, event=event: told.append(event))
    for change in CHANGES.values():
        with pytest.raises(FlagDoesNotExistError):
            change(features, "g")
    primary.error = AwayError()
    for change in CHANGES.values():
        with pytest.raises(AwayError):
            change(features, "f")
        with pytest.raises(AwayError):
            change(features, "g")
    assert not told


@pytest.fixture
def features(primary: Server, secondary: Server) -> FeatureFlagClient:
    """Give a client that lets every error out."""
    store = FailoverFeatureFlagStore(primary, secondary)
    return FeatureFlagClient(store, on_error="raise")


def test_the_primary_answers_as_long_as_it_can(
    features: FeatureFlagClient, primary: Server, secondary: Server
) -> None:
    """And it alone: also that a flag is missing is an answer."""
    secondary.error = AwayError()
    assert features.is_enabled("f") is True
    assert features.is_enabled("g") is False
    assert [flag.name for flag in features.list()] == ["f"]


def test_the_secondary_answers_while_the_primary_is_away(
    features: FeatureFlagClient, primary: Server
) -> None:
    """Flags and lists; and the primary again, soon after it is back."""
    primary.error = AwayError()
    assert features.is_enabled("f") is False
    assert features.is_enabled("g") is True
    assert [flag.name for flag in features.list()] == ["f", "g"]
    assert [flag.name for flag in features.list(limit=1, offset=1)] == ["g"]
    primary.error = None
    eventually(lambda: features.is_enabled("f") is True)


def test_a_primary_that_is_away_is_hardly_asked(
    features: FeatureFlagClient, primary: Server
) -> None:
    """Each call would wait for its time limit."""
    primary.error = AwayError()
    features.is_enabled("f")
    asked = primary.asked
    for _ in range(100):
        features.is_enabled("f")
    assert primary.asked - asked < 100


def test_any_other_failure_is_one_too(
    features: FeatureFlagClient, primary: Server
) -> None:
    """A store of one's own tells by any error that it cannot answer."""
    primary.error = ZeroDivisionError()
    assert features.is_enabled("g") is True
    primary.error = None
    assert features.is_enabled("f") is True


def test_a_broken_flag_is_no_outage(
    features: FeatureFlagClient, primary: Server
) -> None:
    """It would be on or off by an old version of it otherwise."""
    primary.error = InvalidFlagDataError("no flag", feature_name="f")
    with pytest.raises(InvalidFlagDataError):
        features.is_enabled("f")
    with pytest.raises(InvalidFlagDataError):
        list(features.list())


def test_writes_are_for_the_primary(
    features: FeatureFlagClient, primary: Server, secondary: Server
) -> None:
    """Of two stores that are both written, none would count."""
    features.create("new")
    features.enable("new")
    assert primary.get("new").raw_is_enabled is True
    assert secondary.get("new") is None
    primary.error = AwayError("cut")
    with pytest.raises(AwayError):
        features.disable("g")
    assert secondary.get("g").raw_is_enabled is True


def test_a_list_that_breaks_off_is_an_error(
    features: FeatureFlagClient, primary: Server
) -> None:
    """It is not continued by another store's flags."""
    primary.create("x")
    flags = features.list()
    assert next(flags).name == "f"
    primary.error = AwayError()
    with pytest.raises(AwayError):
        next(flags)


def test_without_both_the_last_known_state_answers(
    primary: Server, secondary: Server
) -> None:
    """As over every store."""
    features = FeatureFlagClient(FailoverFeatureFlagStore(primary, secondary))
    assert features.is_enabled("f") is True
    primary.error = secondary.error = AwayError()
    assert features.is_enabled("f") is True
    assert features.is_enabled("g") is True
    assert features.is_enabled("missing") is False


def test_a_replica_takes_over(primary: Server) -> None:
    """The stack that the class is made for."""
    replica = MemoryFeatureFlagStore()
    replicated = ReplicatedFeatureFlagStore(primary, replica)
    features = FeatureFlagClient(FailoverFeatureFlagStore(replicated, replica))
    features.create("h", is_enabled=True)
    eventually(lambda: replica.get("h"))
    primary.error = AwayError()
    assert features.is_enabled("h") is True


def test_an_outage_is_logged_once(
    features: FeatureFlagClient, primary: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Its beginning and its end."""
    caplog.set_level(logging.INFO, "flipper")
    primary.error = AwayError("cut")
    for _ in range(10):
        features.is_enabled("f")
    primary.error = None
    eventually(lambda: features.is_enabled("f") is True and len(caplog.records) > 1)
    features.is_enabled("f")
    begin, end = (record.getMessage() for record in caplog.records)
    assert begin == "Server fails (AwayError: cut); flags are read from Server"
    assert end.startswith("Server answers again (")


def test_a_flag_that_fails_all_the_time_is_logged_once(
    primary: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Though all others are read, and each of them seems to be the end of it."""
    caplog.set_level(logging.INFO, "flipper")

    class OneFails(Server):
        def get(self, feature_name: str) -> Any:
            if feature_name == "bad":
                raise ZeroDivisionError
            return super().get(feature_name)

    features = FeatureFlagClient(FailoverFeatureFlagStore(OneFails(), primary))
    for _ in range(100):
        assert features.is_enabled("bad") is False
        features.is_enabled("f")
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
