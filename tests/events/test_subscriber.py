# SPDX-License-Identifier: Apache-2.0
"""Subscribers: objects with a method for each event."""

from __future__ import annotations

from typing import Any

import pytest

from flipper import FeatureFlagClient, MemoryFeatureFlagStore
from flipper.events import EventType, FlipperEventEmitter, FlipperEventSubscriber
from support.writes import WRITES


@pytest.fixture
def client() -> FeatureFlagClient:
    """Return a client of an empty store in memory."""
    return FeatureFlagClient(MemoryFeatureFlagStore())


class Switches(FlipperEventSubscriber):
    """A subscriber that overrides the methods of two events."""

    def __init__(self) -> None:
        self.received: list[tuple[str, str]] = []

    def on_post_enable(self, flag_name: str) -> None:
        """Record the event."""
        self.received.append(("on", flag_name))

    def on_post_disable(self, flag_name: str) -> None:
        """Record the event."""
        self.received.append(("off", flag_name))


def test_a_subscriber_overrides_the_events_that_it_needs(
    client: FeatureFlagClient,
) -> None:
    """The inherited method of every other event does nothing."""
    subscriber = Switches()
    client.events.register_subscriber(subscriber)
    client.events.register_subscriber(FlipperEventSubscriber())
    for write in WRITES.values():
        write(client)
    assert subscriber.received == [("on", "x"), ("off", "x")]
    client.events.remove_subscriber(subscriber)
    for write in WRITES.values():
        write(client)
    assert subscriber.received == [("on", "x"), ("off", "x")]


def test_a_subscriber_has_a_method_for_every_event() -> None:
    """An event without a method could not reach a subscriber."""
    methods = {name for name in vars(FlipperEventSubscriber) if name.startswith("on_")}
    assert methods == {f"on_{event.value}" for event in EventType}


def test_an_incomplete_subscriber_is_not_registered(
    emitter: FlipperEventEmitter,
) -> None:
    """It would get the event before a write, and not the one after it."""

    class Half:
        def on_pre_create(self, *_: Any, **__: Any) -> None:
            """Do nothing."""

    with pytest.raises(AttributeError, match="on_post_create"):
        emitter.register_subscriber(Half())  # type: ignore[arg-type]
    assert not any(emitter.listeners(event) for event in EventType)
