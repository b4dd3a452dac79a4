# SPDX-License-Identifier: Apache-2.0
"""The failover store, whose secondary store answers while the primary is away."""

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


class RemoteStore(MemoryFeatureFlagStore):
    """Flags in memory, as if on a server that may be away."""

    outage_errors = (AwayError,)

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None
        self.calls = 0

    def get(self, feature_name: str) -> Any:
        """Read a flag."""
        self._begin()
        return super().get(feature_name)

    def list(self, limit: int | None = None, offset: int = 0) -> Any:
        """List the flags."""
        self._begin()
        for item in super().list(limit, offset):
            self._begin()
            yield item

    def _swap(self, item: Any, expected: Any) -> bool:
        self._begin()
        return super()._swap(item, expected)

    def _begin(self) -> None:
        self.calls += 1
        if self.error is not None:
            raise self.error


@pytest.fixture
def primary() -> RemoteStore:
    """Give a store with a flag "f" that is on."""
    store = RemoteStore()
    store.create("f", is_enabled=True)
    return store


@pytest.fixture
def secondary() -> RemoteStore:
    """Give a store with a flag "f" that is off, and another flag "g"."""
    store = RemoteStore()
    store.create("f")
    store.create("g", is_enabled=True)
    return store


@pytest.fixture
def features(primary: RemoteStore, secondary: RemoteStore) -> FeatureFlagClient:
    """Give a client that raises every error."""
    store = FailoverFeatureFlagStore(primary, secondary)
    return FeatureFlagClient(store, on_error="raise")


@pytest.mark.parametrize("has_listener", [False, True])
def test_the_primary_decides_whether_a_written_flag_exists(
    features: FeatureFlagClient, primary: RemoteStore, has_listener: bool
) -> None:
    """A flag that only the secondary store has cannot be written."""
    events: list[EventType] = []
    if has_listener:
        for event in EventType:
            features.events.on(event, lambda *_, event=event: events.append(event))
    for change in CHANGES.values():
        with pytest.raises(FlagDoesNotExistError):
            change(features, "g")
    primary.error = AwayError()
    for change in CHANGES.values():
        with pytest.raises(AwayError):
            change(features, "f")
        with pytest.raises(AwayError):
            change(features, "g")
    assert not events


def test_the_primary_answers_while_it_works(
    features: FeatureFlagClient, primary: RemoteStore, secondary: RemoteStore
) -> None:
    """The secondary store is not asked, even for a flag the primary does not have."""
    secondary.error = AwayError()
    assert features.is_enabled("f") is True
    assert features.is_enabled("g") is False
    assert [flag.name for flag in features.list()] == ["f"]


def test_the_secondary_answers_while_the_primary_is_away(
    features: FeatureFlagClient, primary: RemoteStore
) -> None:
    """Flags and lists come from the secondary store during an outage only."""
    primary.error = AwayError()
    assert features.is_enabled("f") is False
    assert features.is_enabled("g") is True
    assert [flag.name for flag in features.list()] == ["f", "g"]
    assert [flag.name for flag in features.list(limit=1, offset=1)] == ["g"]
    primary.error = None
    eventually(lambda: features.is_enabled("f") is True)


def test_a_primary_that_is_away_is_rarely_asked(
    features: FeatureFlagClient, primary: RemoteStore
) -> None:
    """Only the background thread asks the primary during an outage."""
    primary.error = AwayError()
    features.is_enabled("f")
    calls = primary.calls
    for _ in range(100):
        features.is_enabled("f")
    assert primary.calls - calls < 100


def test_the_secondary_answers_after_any_other_error_of_the_primary(
    features: FeatureFlagClient, primary: RemoteStore
) -> None:
    """A store without `outage_errors` may raise any error."""
    primary.error = ZeroDivisionError()
    assert features.is_enabled("g") is True
    primary.error = None
    assert features.is_enabled("f") is True


def test_the_error_of_a_broken_flag_is_raised(
    features: FeatureFlagClient, primary: RemoteStore
) -> None:
    """The secondary store may have an old version of a flag that is broken."""
    primary.error = InvalidFlagDataError("no flag", feature_name="f")
    with pytest.raises(InvalidFlagDataError):
        features.is_enabled("f")
    with pytest.raises(InvalidFlagDataError):
        list(features.list())


def test_writes_go_to_the_primary_only(
    features: FeatureFlagClient, primary: RemoteStore, secondary: RemoteStore
) -> None:
    """Writes never reach the secondary store, and fail during an outage."""
    features.create("new")
    features.enable("new")
    assert primary.get("new").raw_is_enabled is True
    assert secondary.get("new") is None
    primary.error = AwayError("cut")
    with pytest.raises(AwayError):
        features.disable("g")
    assert secondary.get("g").raw_is_enabled is True


def test_a_list_that_fails_half_way_raises(
    features: FeatureFlagClient, primary: RemoteStore
) -> None:
    """A list is not continued with flags of the secondary store."""
    primary.create("x")
    flags = features.list()
    assert next(flags).name == "f"
    primary.error = AwayError()
    with pytest.raises(AwayError):
        next(flags)


def test_the_last_known_state_answers_while_both_stores_are_away(
    primary: RemoteStore, secondary: RemoteStore
) -> None:
    """The client answers the last known state, as with any store."""
    features = FeatureFlagClient(FailoverFeatureFlagStore(primary, secondary))
    assert features.is_enabled("f") is True
    primary.error = secondary.error = AwayError()
    assert features.is_enabled("f") is True
    assert features.is_enabled("g") is True
    assert features.is_enabled("missing") is False


def test_a_replica_can_be_the_secondary(primary: RemoteStore) -> None:
    """A replica answers while the primary of a replicated store is away."""
    replica = MemoryFeatureFlagStore()
    replicated = ReplicatedFeatureFlagStore(primary, replica)
    features = FeatureFlagClient(FailoverFeatureFlagStore(replicated, replica))
    features.create("h", is_enabled=True)
    eventually(lambda: replica.get("h"))
    primary.error = AwayError()
    assert features.is_enabled("h") is True


def test_an_outage_of_the_primary_is_logged_once(
    features: FeatureFlagClient, primary: RemoteStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The beginning and the end of an outage are logged."""
    caplog.set_level(logging.INFO, "flipper")
    primary.error = AwayError("cut")
    for _ in range(10):
        features.is_enabled("f")
    primary.error = None
    eventually(lambda: features.is_enabled("f") is True and len(caplog.records) > 1)
    features.is_enabled("f")
    begin, end = (record.getMessage() for record in caplog.records)
    assert (
        begin == "RemoteStore fails (AwayError: cut); flags are read from RemoteStore"
    )
    assert end.startswith("RemoteStore answers again (")


def test_a_flag_that_fails_all_the_time_is_logged_once(
    primary: RemoteStore, caplog: pytest.LogCaptureFixture
) -> None:
    """A flag that always fails is logged once, although other flags are read."""
    caplog.set_level(logging.INFO, "flipper")

    class OneFails(RemoteStore):
        def get(self, feature_name: str) -> Any:
            if feature_name == "bad":
                raise ZeroDivisionError
            return super().get(feature_name)

    features = FeatureFlagClient(FailoverFeatureFlagStore(OneFails(), primary))
    for _ in range(100):
        assert features.is_enabled("bad") is False
        features.is_enabled("f")
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
