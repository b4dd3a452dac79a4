# SPDX-License-Identifier: Apache-2.0
"""What an event emitter of flipper, or of an application, does when flags are written.

`tests/compat` tests what listeners get, and in which order.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore
from flipper.bucketing import NoOpBucketer
from flipper.events import (
    EventType,
    FlipperEventEmitter,
    FlipperEventSubscriber,
    IEventEmitter,
)

if TYPE_CHECKING:
    from collections.abc import Callable


WRITES: dict[str, Callable[[Any], object]] = {
    "create": lambda client: client.create("x", is_enabled=True, client_data={"a": 1}),
    "enable": lambda client: client.enable("x"),
    "disable": lambda client: client.disable("x"),
    "add_condition": lambda client: client.add_condition("x", Condition(a=1)),
    "set_conditions": lambda client: client.set_conditions("x", [Condition(a=1)]),
    "set_client_data": lambda client: client.set_client_data("x", {"b": 2}),
    "set_bucketer": lambda client: client.set_bucketer("x", NoOpBucketer()),
    "destroy": lambda client: client.destroy("x"),
}


@pytest.fixture
def emitter() -> FlipperEventEmitter:
    """Give an emitter that nobody listens to."""
    return FlipperEventEmitter()


@pytest.fixture
def client() -> FeatureFlagClient:
    """Give a client of an empty store in memory."""
    return FeatureFlagClient(MemoryFeatureFlagStore())


def refuse(*_: Any, **__: Any) -> None:
    """Raise, whatever is announced."""
    raise PermissionError("on purpose")


# Listeners that raise


@pytest.mark.parametrize("write", WRITES)
def test_a_pre_listener_can_refuse_a_write(
    client: FeatureFlagClient, write: str
) -> None:
    """Its exception comes out, nothing is written, and nobody else hears of it."""
    client.create("x", client_data={"first": True})
    (before,) = client._store.list()
    heard: list[Any] = []
    client.events.on(EventType(f"pre_{write}"), refuse)
    client.events.on(EventType(f"pre_{write}"), lambda *_, **__: heard.append("pre"))
    client.events.on(EventType(f"post_{write}"), lambda *_, **__: heard.append("post"))
    with pytest.raises(PermissionError, match="on purpose"):
        WRITES[write](client)
    (after,) = client._store.list()
    assert after is before
    assert not heard


@pytest.mark.parametrize("write", WRITES)
def test_a_post_listener_comes_too_late_to_refuse(
    client: FeatureFlagClient, write: str
) -> None:
    """Its exception comes out, and what was written stays written."""
    client.create("x", client_data={"first": True})
    before = [*client._store.list()]
    client.events.on(EventType(f"post_{write}"), refuse)
    with pytest.raises(PermissionError, match="on purpose"):
        WRITES[write](client)
    after = [*client._store.list()]
    assert len(after) == (0 if write == "destroy" else 1)
    assert not after or after[0] is not before[0]


@pytest.mark.parametrize("write", WRITES)
def test_asking_and_reading_announce_nothing(
    client: FeatureFlagClient, write: str
) -> None:
    """There are events for writes, and for nothing else."""
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
    """No lock is held while it is told: not even for the flag it is told about."""

    def tag(feature_name: str, **_: Any) -> None:
        client.set_client_data(feature_name, {"tagged": True})
        if feature_name != "log":
            client.create("log")

    client.events.on(EventType.POST_CREATE, tag)
    client.create("x")
    assert client.get_client_data("x") == {"tagged": True}
    assert client.get_client_data("log") == {"tagged": True}


def test_a_listener_may_come_and_go_while_it_is_told(
    emitter: FlipperEventEmitter,
) -> None:
    """Who is told is settled when the telling begins."""
    heard: list[str] = []

    def second() -> None:
        heard.append("second")

    def first() -> None:
        heard.append("first")
        emitter.on(EventType.POST_ENABLE, second)
        emitter.remove_listener(EventType.POST_ENABLE, first)

    emitter.on(EventType.POST_ENABLE, first)
    assert emitter.emit(EventType.POST_ENABLE) is True
    assert emitter.emit(EventType.POST_ENABLE) is True
    assert heard == ["first", "second"]


def test_threads_listen_and_leave_while_others_write(
    client: FeatureFlagClient,
) -> None:
    """An emitter is shared by all threads of a program."""
    client.create("x")
    ended = threading.Event()

    def come_and_go(number: int) -> int:
        def listener(*_: Any) -> None:
            nonlocal heard
            heard += 1

        heard = 0
        while not ended.is_set():
            client.events.on(EventType.POST_ENABLE, listener)
            client.events.remove_listener(EventType.POST_ENABLE, listener)
        return heard

    with ThreadPoolExecutor(4) as pool:
        listening = [pool.submit(come_and_go, number) for number in range(4)]
        for _ in range(500):
            client.enable("x")
        ended.set()
        for each in listening:
            assert each.result() >= 0


# What pyee provides


def test_emitting_tells_whether_anybody_heard(emitter: FlipperEventEmitter) -> None:
    """Nobody, somebody, and nobody any more."""
    assert emitter.emit(EventType.PRE_ENABLE, "x") is False
    emitter.on(EventType.PRE_ENABLE, print)
    assert emitter.emit(EventType.POST_ENABLE, "x") is False
    assert emitter.emit(EventType.PRE_ENABLE, end="") is True
    emitter.remove_listener(EventType.PRE_ENABLE, print)
    assert emitter.emit(EventType.PRE_ENABLE, "x") is False


def test_events_of_ones_own_are_told_too(emitter: FlipperEventEmitter) -> None:
    """An emitter serves a whole application, and takes any name of an event."""
    heard: list[Any] = []
    emitter.once("cleaned", heard.append)
    assert emitter.emit("cleaned", 1) is True
    assert emitter.emit("cleaned", 2) is False
    emitter.on("cleaned", heard.append)
    assert emitter.listeners("cleaned") == [heard.append]
    emitter.remove_all_listeners("cleaned")
    assert emitter.emit("cleaned", 3) is False
    assert heard == [1]


def test_an_unheard_error_is_raised(emitter: FlipperEventEmitter) -> None:
    """The event "error" is pyee's own, and is never lost."""
    with pytest.raises(KeyError, match="lost"):
        emitter.emit("error", KeyError("lost"))
    heard: list[Any] = []
    emitter.on("error", heard.append)
    error = KeyError("found")
    assert emitter.emit("error", error) is True
    assert heard == [error]


def test_pyee_tells_who_begins_to_listen(emitter: FlipperEventEmitter) -> None:
    """Its event "new_listener" comes before the listener hears anything."""
    heard: list[Any] = []
    emitter.on("new_listener", lambda event, f: heard.append((event, f)))
    emitter.on(EventType.PRE_ENABLE, print)
    assert heard[-1] == (EventType.PRE_ENABLE, print)


def test_a_decorated_listener_stays_what_it_was(client: FeatureFlagClient) -> None:
    """It can be called, and decorated again for another event."""
    heard: list[str] = []

    @client.events.on(EventType.POST_ENABLE)
    @client.events.on(EventType.POST_DISABLE)
    def listener(feature_name: str) -> None:
        heard.append(feature_name)

    client.create("x")
    client.enable("x")
    client.disable("x")
    listener("y")
    assert heard == ["x", "x", "y"]


def test_removing_who_does_not_listen_is_an_error(
    emitter: FlipperEventEmitter,
) -> None:
    """Whatever pyee makes of it: existing code expects `KeyError`."""
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
    """An emitter of one's own, by the four methods it has to have."""

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
    """A subscriber that cares for two events."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def on_post_enable(self, flag_name: str) -> None:
        """Note it."""
        self.heard.append(("on", flag_name))

    def on_post_disable(self, flag_name: str) -> None:
        """Note it."""
        self.heard.append(("off", flag_name))


def test_an_emitter_of_ones_own_tells_and_refuses(client: FeatureFlagClient) -> None:
    """It is called as the library's is, and its exceptions count as much."""
    client.create("x")
    client.events = Bus()
    heard: list[str] = []
    client.events.on(EventType.PRE_ENABLE)(heard.append)
    client.enable("x")
    assert heard == ["x"]
    client.events.on(EventType.PRE_ENABLE, refuse)
    with pytest.raises(PermissionError):
        client.enable("x")
    assert heard == ["x"]


def test_an_emitter_of_ones_own_takes_subscribers(client: FeatureFlagClient) -> None:
    """By the method it inherits, which asks for nothing but its `on`."""
    client.events = Bus()
    subscriber = Switches()
    client.events.register_subscriber(subscriber)
    client.create("x")
    client.enable("x")
    assert subscriber.heard == [("on", "x")]
    client.events.remove_subscriber(subscriber)
    client.disable("x")
    assert subscriber.heard == [("on", "x")]


@pytest.mark.parametrize(
    "method", ["emit", "on", "remove_listener", "remove_subscriber"]
)
def test_an_emitter_of_ones_own_has_four_methods(method: str) -> None:
    """One that lacks a method cannot be made."""
    rest = dict.fromkeys(IEventEmitter.__abstractmethods__ - {method}, print)
    with pytest.raises(TypeError, match=method):
        type("Partial", (IEventEmitter,), rest)()


def test_what_only_emits_will_do(client: FeatureFlagClient) -> None:
    """The client asks no more of it than that."""

    class Printer:
        def __init__(self) -> None:
            self.told: list[Any] = []

        def emit(self, *announced: Any, **more: Any) -> None:
            self.told.append((announced, more))

    printer: Any = Printer()
    client.events = printer
    client.create("x", client_data={"a": 1})
    announced = {"is_enabled": False, "client_data": {"a": 1}}
    assert printer.told == [
        ((EventType.PRE_CREATE, "x"), announced),
        ((EventType.POST_CREATE, "x"), announced),
    ]
