# SPDX-License-Identifier: Apache-2.0
"""What an event emitter of flipper, or of an application, does when flags are written.

`tests/compat` tests what listeners get, and in which order.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from flipper import FeatureFlagClient, MemoryFeatureFlagStore
from flipper.events import (
    EventType,
    FlipperEventEmitter,
    FlipperEventSubscriber,
    IEventEmitter,
)
from support.writes import WRITES


@pytest.fixture
def store() -> MemoryFeatureFlagStore:
    """Return an empty store."""
    return MemoryFeatureFlagStore()


@pytest.fixture
def client(store: MemoryFeatureFlagStore) -> FeatureFlagClient:
    """Return a client of that store."""
    return FeatureFlagClient(store)


def refuse(*_: Any, **__: Any) -> None:
    """Raise an error, whatever the event is."""
    raise PermissionError("on purpose")


# Listeners that raise


@pytest.mark.parametrize("write", WRITES)
def test_a_pre_listener_can_refuse_a_write(
    client: FeatureFlagClient, store: MemoryFeatureFlagStore, write: str
) -> None:
    """Its error reaches the caller, nothing is written, and no other one is called."""
    client.create("x", client_data={"first": True})
    (before,) = store.list()
    received: list[Any] = []
    client.events.on(EventType(f"pre_{write}"), refuse)
    client.events.on(EventType(f"pre_{write}"), lambda *_, **__: received.append("pre"))
    client.events.on(
        EventType(f"post_{write}"), lambda *_, **__: received.append("post")
    )
    with pytest.raises(PermissionError, match="on purpose"):
        WRITES[write](client)
    (after,) = store.list()
    assert after is before
    assert not received


@pytest.mark.parametrize("write", WRITES)
def test_an_error_of_a_post_listener_does_not_undo_the_write(
    client: FeatureFlagClient, store: MemoryFeatureFlagStore, write: str
) -> None:
    """Its error reaches the caller, and the flag stays as it was written."""
    client.create("x", client_data={"first": True})
    before = [*store.list()]
    client.events.on(EventType(f"post_{write}"), refuse)
    with pytest.raises(PermissionError, match="on purpose"):
        WRITES[write](client)
    after = [*store.list()]
    assert len(after) == (0 if write == "destroy" else 1)
    assert not after or after[0] is not before[0]


@pytest.mark.parametrize("write", WRITES)
def test_questions_and_reads_emit_no_events(
    client: FeatureFlagClient, write: str
) -> None:
    """Only writes emit events."""
    client.create("x", is_enabled=True)
    for moment in ("pre", "post"):
        client.events.on(EventType(f"{moment}_{write}"), refuse)
    client.is_enabled("x", a=1)
    client.explain("x", a=1)
    client.exists("x")
    client.get_meta("x")
    client.get_client_data("x")
    assert [flag.name for flag in client.list()] == ["x"]


# Listeners that do things


def test_a_listener_may_write(client: FeatureFlagClient) -> None:
    """No lock is held while listeners run, so they may write, even the same flag."""

    def tag(feature_name: str, **_: Any) -> None:
        client.set_client_data(feature_name, {"tagged": True})
        if feature_name != "log":
            client.create("log")

    client.events.on(EventType.POST_CREATE, tag)
    client.create("x")
    assert client.get_client_data("x") == {"tagged": True}
    assert client.get_client_data("log") == {"tagged": True}


def test_a_listener_may_add_and_remove_listeners(
    emitter: FlipperEventEmitter,
) -> None:
    """The listeners of one `emit` are fixed when it begins."""
    received: list[str] = []

    def second() -> None:
        received.append("second")

    def first() -> None:
        received.append("first")
        emitter.on(EventType.POST_ENABLE, second)
        emitter.remove_listener(EventType.POST_ENABLE, first)

    emitter.on(EventType.POST_ENABLE, first)
    assert emitter.emit(EventType.POST_ENABLE) is True
    assert emitter.emit(EventType.POST_ENABLE) is True
    assert received == ["first", "second"]


def test_threads_may_add_and_remove_listeners_during_writes(
    client: FeatureFlagClient,
) -> None:
    """All threads of a program may share one emitter."""
    client.create("x")
    ended = threading.Event()

    def come_and_go(number: int) -> int:
        def listener(*_: Any) -> None:
            nonlocal received
            received += 1

        received = 0
        while not ended.is_set():
            client.events.on(EventType.POST_ENABLE, listener)
            client.events.remove_listener(EventType.POST_ENABLE, listener)
        return received

    with ThreadPoolExecutor(4) as pool:
        listening = [pool.submit(come_and_go, number) for number in range(4)]
        for _ in range(500):
            client.enable("x")
        ended.set()
        for each in listening:
            assert each.result() >= 0


# What pyee provides


def test_emit_returns_whether_there_is_a_listener(emitter: FlipperEventEmitter) -> None:
    """`emit` returns `True` while a listener of the event is registered."""
    assert emitter.emit(EventType.PRE_ENABLE, "x") is False
    emitter.on(EventType.PRE_ENABLE, print)
    assert emitter.emit(EventType.POST_ENABLE, "x") is False
    assert emitter.emit(EventType.PRE_ENABLE, end="") is True
    emitter.remove_listener(EventType.PRE_ENABLE, print)
    assert emitter.emit(EventType.PRE_ENABLE, "x") is False


def test_an_application_may_emit_its_own_events(emitter: FlipperEventEmitter) -> None:
    """An emitter accepts any name of an event."""
    received: list[Any] = []
    emitter.once("cleaned", received.append)
    assert emitter.emit("cleaned", 1) is True
    assert emitter.emit("cleaned", 2) is False
    emitter.on("cleaned", received.append)
    assert emitter.listeners("cleaned") == [received.append]
    emitter.remove_all_listeners("cleaned")
    assert emitter.emit("cleaned", 3) is False
    assert received == [1]


def test_an_error_event_without_listener_is_raised(
    emitter: FlipperEventEmitter,
) -> None:
    """The event "error" belongs to pyee, which raises it if there is no listener."""
    with pytest.raises(KeyError, match="lost"):
        emitter.emit("error", KeyError("lost"))
    received: list[Any] = []
    emitter.on("error", received.append)
    error = KeyError("found")
    assert emitter.emit("error", error) is True
    assert received == [error]


def test_pyee_announces_new_listeners(emitter: FlipperEventEmitter) -> None:
    """Pyee emits "new_listener" before it adds a listener."""
    received: list[Any] = []
    emitter.on("new_listener", lambda event, f: received.append((event, f)))
    emitter.on(EventType.PRE_ENABLE, print)
    assert received[-1] == (EventType.PRE_ENABLE, print)


def test_a_decorated_listener_stays_a_function(client: FeatureFlagClient) -> None:
    """A decorated listener can be called, and decorated for another event."""
    received: list[str] = []

    @client.events.on(EventType.POST_ENABLE)
    @client.events.on(EventType.POST_DISABLE)
    def listener(feature_name: str) -> None:
        received.append(feature_name)

    client.create("x")
    client.enable("x")
    client.disable("x")
    listener("y")
    assert received == ["x", "x", "y"]


def test_removing_an_unknown_listener_is_a_key_error(
    emitter: FlipperEventEmitter,
) -> None:
    """Existing code expects `KeyError`, whatever this version of pyee raises."""
    with pytest.raises(KeyError):
        emitter.remove_subscriber(Switches())
    with pytest.raises(KeyError):
        emitter.remove_listener(EventType.PRE_CREATE, print)
    emitter.on(EventType.PRE_CREATE, repr)
    with pytest.raises(KeyError):
        emitter.remove_listener(EventType.PRE_CREATE, print)
    assert emitter.listeners(EventType.PRE_CREATE) == [repr]


# Emitters of an application


class Bus(IEventEmitter):
    """An emitter of an application, with the four methods that it must have."""

    def __init__(self) -> None:
        self.listening: dict[Any, list[Any]] = {}

    def emit(self, event: Any, *args: Any, **kwargs: Any) -> None:
        """Call everybody, the last first."""
        for listener in reversed(self.listening.get(event, ())):
            listener(*args, **kwargs)

    def on(self, event: Any, f: Any = None) -> Any:
        """Listen."""
        if f is None:
            return lambda f: self.on(event, f)
        self.listening.setdefault(event, []).append(f)
        return f

    def remove_listener(self, event: Any, f: Any) -> None:
        """Stop listening."""
        self.listening[event].remove(f)

    def remove_subscriber(self, subscriber: FlipperEventSubscriber) -> None:
        """Stop all listening."""
        self.listening.clear()


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


def test_a_custom_emitter_gets_events_and_may_refuse_them(
    client: FeatureFlagClient,
) -> None:
    """The client calls it like its own emitter, and raises its errors."""
    client.create("x")
    client.events = Bus()
    received: list[str] = []
    client.events.on(EventType.PRE_ENABLE)(received.append)
    client.enable("x")
    assert received == ["x"]
    client.events.on(EventType.PRE_ENABLE, refuse)
    with pytest.raises(PermissionError):
        client.enable("x")
    assert received == ["x"]


def test_a_custom_emitter_accepts_subscribers(client: FeatureFlagClient) -> None:
    """The inherited `register_subscriber` calls only its `on`."""
    client.events = Bus()
    subscriber = Switches()
    client.events.register_subscriber(subscriber)
    client.create("x")
    client.enable("x")
    assert subscriber.received == [("on", "x")]
    client.events.remove_subscriber(subscriber)
    client.disable("x")
    assert subscriber.received == [("on", "x")]


@pytest.mark.parametrize(
    "method", ["emit", "on", "remove_listener", "remove_subscriber"]
)
def test_a_custom_emitter_must_have_four_methods(method: str) -> None:
    """A class that lacks one of the methods cannot be instantiated."""
    rest = dict.fromkeys(IEventEmitter.__abstractmethods__ - {method}, print)
    with pytest.raises(TypeError, match=method):
        type("Partial", (IEventEmitter,), rest)()


def test_an_object_with_emit_is_enough_of_an_emitter(client: FeatureFlagClient) -> None:
    """The client calls no other method than `emit`."""

    class Printer:
        def __init__(self) -> None:
            self.emitted: list[Any] = []

        def emit(self, *announced: Any, **more: Any) -> None:
            self.emitted.append((announced, more))

    printer: Any = Printer()
    client.events = printer
    client.create("x", client_data={"a": 1})
    announced = {"is_enabled": False, "client_data": {"a": 1}}
    assert printer.emitted == [
        ((EventType.PRE_CREATE, "x"), announced),
        ((EventType.POST_CREATE, "x"), announced),
    ]
