# SPDX-License-Identifier: Apache-2.0
"""What emitters, subscribers and events do, rule by rule."""

from __future__ import annotations

import logging
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

CREATE = EventType.POST_CREATE
ENABLE = EventType.POST_ENABLE


@pytest.fixture
def emitter() -> FlipperEventEmitter:
    """An emitter without listeners."""
    return FlipperEventEmitter()


@pytest.fixture
def client() -> FeatureFlagClient:
    """A client of an empty store."""
    return FeatureFlagClient(MemoryFeatureFlagStore())


class Everything(FlipperEventSubscriber):
    """Records every call with the name of the method."""

    def __init__(self) -> None:
        self.recorded: list[Any] = []

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("on_"):
            return super().__getattribute__(name)
        return self._Noted(self, name)

    class _Noted:
        """A method, equal to the one of the same object and name."""

        def __init__(self, owner: Everything, name: str) -> None:
            self.owner, self.name = owner, name

        def __call__(self, *args: Any, **kwargs: Any) -> None:
            self.owner.recorded.append((self.name, args, kwargs))

        def __eq__(self, other: object) -> bool:
            return isinstance(other, type(self)) and vars(other) == vars(self)

        def __hash__(self) -> int:
            return hash((id(self.owner), self.name))


# Listeners


def test_on_returns_the_function(emitter: FlipperEventEmitter) -> None:
    """`on` returns the function, as a call and as a decorator."""

    def listener() -> None:
        """Hear it."""

    assert emitter.on(CREATE, listener) is listener
    assert emitter.on(CREATE, f=listener) is listener

    @emitter.on(ENABLE)
    def decorated() -> None:
        """Hear it."""

    assert decorated.__name__ == "decorated"
    assert list(emitter.listeners(ENABLE)) == [decorated]


def test_on_with_an_event_alone_registers_nothing(
    emitter: FlipperEventEmitter,
) -> None:
    """`on` with an event alone returns a decorator, and registers nothing."""
    emitter.on(CREATE)
    assert list(emitter.listeners(CREATE)) == []
    assert emitter.emit(CREATE) is False


def test_listeners_are_called_in_order_of_registration(
    emitter: FlipperEventEmitter,
) -> None:
    """Listeners are called in order, in the calling thread, with all arguments."""
    recorded: list[Any] = []
    emitter.on(CREATE, lambda *args, **kwargs: recorded.append((1, args, kwargs)))
    emitter.on(CREATE, lambda *args, **kwargs: recorded.append((2, args, kwargs)))
    emitter.on(ENABLE, lambda *args, **kwargs: recorded.append((3, args, kwargs)))
    assert emitter.emit(CREATE, "x", is_enabled=True) is True
    expected = (("x",), {"is_enabled": True})
    assert recorded == [(1, *expected), (2, *expected)]
    assert emitter.emit(EventType.PRE_DESTROY, "x") is False


def test_a_listener_is_registered_once(emitter: FlipperEventEmitter) -> None:
    """A listener that is registered twice is called once."""
    recorded: list[Any] = []
    emitter.on(CREATE, recorded.append)
    emitter.on(CREATE, recorded.append)
    emitter.emit(CREATE, "x")
    assert recorded == ["x"]


def test_once_is_for_one_event(emitter: FlipperEventEmitter) -> None:
    """A listener of `once` is called for one event."""
    recorded: list[Any] = []
    emitter.once(CREATE, recorded.append)
    assert emitter.emit(CREATE, 1) is True
    assert emitter.emit(CREATE, 2) is False
    assert recorded == [1]


def test_an_exception_ends_the_emission(emitter: FlipperEventEmitter) -> None:
    """The exception of a listener is raised, and later listeners are not called."""
    recorded: list[Any] = []

    def fail() -> None:
        raise RuntimeError("on purpose")

    emitter.on(CREATE, fail)
    emitter.on(CREATE, lambda: recorded.append(1))
    with pytest.raises(RuntimeError, match="on purpose"):
        emitter.emit(CREATE)
    assert recorded == []


def test_listeners_can_be_removed(emitter: FlipperEventEmitter) -> None:
    """One listener, or all listeners of an event, can be removed."""
    recorded: list[Any] = []
    emitter.on(CREATE, recorded.append)
    emitter.remove_listener(CREATE, recorded.append)
    assert emitter.emit(CREATE, 1) is False
    emitter.on(CREATE, recorded.append)
    emitter.remove_listener(CREATE, f=recorded.append)
    emitter.on(CREATE, recorded.append)
    emitter.remove_all_listeners(CREATE)
    assert emitter.emit(CREATE, 1) is False
    assert recorded == []


@pytest.mark.parametrize("others", [0, 1, 2])
def test_removing_an_unknown_listener_is_a_key_error(
    emitter: FlipperEventEmitter, others: int
) -> None:
    """To remove an unknown listener raises `KeyError`, with any version of pyee."""
    recorded: list[Any] = []
    for number in range(others):
        emitter.on(CREATE, lambda _, number=number: recorded.append(number))
    with pytest.raises(KeyError):
        emitter.remove_listener(CREATE, print)
    emitter.emit(CREATE, "x")
    assert recorded == list(range(others))


# Subscribers


def test_a_subscriber_gets_every_event(emitter: FlipperEventEmitter) -> None:
    """A subscriber gets each event by the method of that name."""
    subscriber = Everything()
    assert emitter.register_subscriber(subscriber) is None
    for event in EventType:
        emitter.emit(event, "x", more=1)
    expected = [(f"on_{event.value}", ("x",), {"more": 1}) for event in EventType]
    assert subscriber.recorded == expected


def test_a_subscriber_is_registered_once_and_can_be_removed(
    emitter: FlipperEventEmitter,
) -> None:
    """A subscriber that is registered twice is called once, until it is removed."""

    class Counter(FlipperEventSubscriber):
        count = 0

        def on_post_enable(self, flag_name: str) -> None:
            assert flag_name == "x"
            self.count += 1

    one, other = Counter(), Counter()
    for subscriber in (one, one, other):
        emitter.register_subscriber(subscriber)
    emitter.emit(ENABLE, "x")
    assert (one.count, other.count) == (1, 1)
    emitter.remove_subscriber(one)
    assert emitter.emit(ENABLE, "x") is True
    assert (one.count, other.count) == (1, 2)
    emitter.remove_subscriber(other)
    assert emitter.emit(ENABLE, "x") is False


def test_removing_an_unknown_subscriber_is_a_key_error(
    emitter: FlipperEventEmitter,
) -> None:
    """To remove an unknown subscriber raises `KeyError`."""
    with pytest.raises(KeyError):
        emitter.remove_subscriber(Everything())
    other = Everything()
    emitter.register_subscriber(other)
    with pytest.raises(KeyError):
        emitter.remove_subscriber(Everything())
    emitter.emit(ENABLE, "x")
    assert other.recorded == [("on_post_enable", ("x",), {})]


def test_an_incomplete_subscriber_is_not_registered(
    emitter: FlipperEventEmitter,
) -> None:
    """A subscriber that lacks a method raises, and registers no other method."""

    class Half:
        recorded = False

        def on_pre_create(self, *_: Any, **__: Any) -> None:
            self.recorded = True

        def on_post_create(self, *_: Any, **__: Any) -> None:
            self.recorded = True

    half = Half()
    with pytest.raises(AttributeError):
        emitter.register_subscriber(half)
    for event in EventType:
        assert emitter.emit(event) is False
    assert half.recorded is False


def test_a_subscriber_method_can_be_called_by_keyword() -> None:
    """A subclass may call the method of its base class as with flipper-client."""
    subscriber: Any = FlipperEventSubscriber()
    subscriber.on_pre_enable(flag_name="x")
    subscriber.on_post_create(flag_name="x", is_enabled=True, client_data=None)


def test_a_subscriber_need_not_be_a_subclass(emitter: FlipperEventEmitter) -> None:
    """Every object with the methods can be a subscriber."""

    class Mine:
        pass

    def nothing(*_: Any, **__: Any) -> None:
        """Do nothing."""

    for event in EventType:
        setattr(Mine, f"on_{event.value}", nothing)
    mine = Mine()
    emitter.register_subscriber(mine)
    assert emitter.emit(ENABLE, "x") is True
    emitter.remove_subscriber(mine)
    assert emitter.emit(ENABLE, "x") is False


def test_the_logging_subscriber_of_the_readme(
    client: FeatureFlagClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The methods of the README's subscriber get the name by position."""
    logger = logging.getLogger("application")

    class LoggingEventSubscriber(FlipperEventSubscriber):
        def on_post_create(
            self, feature_name: str, is_enabled: bool, client_data: Any
        ) -> None:
            logger.info("create %s %s %s", feature_name, is_enabled, client_data)

        def on_post_enable(self, feature_name: str) -> None:
            logger.info("enable %s", feature_name)

        def on_post_add_condition(self, feature_name: str, condition: Any) -> None:
            logger.info("add_condition %s %s", feature_name, condition.to_dict())

    client.events.register_subscriber(LoggingEventSubscriber())
    with caplog.at_level(logging.INFO, logger="application"):
        client.create("x", client_data={"a": 1})
        client.enable("x")
        client.add_condition("x", Condition())
        client.set_bucketer("x", NoOpBucketer())
    assert [record.message for record in caplog.records] == [
        "create x False {'a': 1}",
        "enable x",
        "add_condition x {}",
    ]


# What the events of the client carry


CONDITION = Condition(a=1)
BUCKETER = NoOpBucketer()
PAYLOADS: dict[str, tuple[Callable[[FeatureFlagClient], Any], Any, Any]] = {
    "CREATE": (
        lambda client: client.create("x", is_enabled=True, client_data={"a": 1}),
        ("x",),
        {"is_enabled": True, "client_data": {"a": 1}},
    ),
    "ENABLE": (lambda client: client.enable("x"), ("x",), {}),
    "DISABLE": (lambda client: client.disable("x"), ("x",), {}),
    "DESTROY": (lambda client: client.destroy("x"), ("x",), {}),
    "ADD_CONDITION": (
        lambda client: client.add_condition("x", CONDITION),
        ("x", CONDITION),
        {},
    ),
    "SET_CONDITIONS": (
        lambda client: client.set_conditions("x", [CONDITION]),
        ("x", [CONDITION]),
        {},
    ),
    "SET_CLIENT_DATA": (
        lambda client: client.set_client_data("x", {"b": 2}),
        ("x", {"first": 1, "b": 2}),
        {},
    ),
    "SET_BUCKETER": (
        lambda client: client.set_bucketer("x", BUCKETER),
        ("x", BUCKETER),
        {},
    ),
}


@pytest.mark.parametrize("through", ["client", "flag"])
@pytest.mark.parametrize("action", PAYLOADS)
def test_listeners_get_the_documented_arguments(
    client: FeatureFlagClient, action: str, through: str
) -> None:
    """PRE and POST listeners get the name by position, and the merged client data."""
    act, args, kwargs = PAYLOADS[action]
    client.create("x", client_data={"first": 1})
    subscriber = Everything()
    client.events.register_subscriber(subscriber)
    if through == "client" or action == "CREATE":
        act(client)
    else:
        getattr(client.get("x"), action.lower())(*given(action))
    assert subscriber.recorded == [
        (f"on_{time}_{action.lower()}", args, kwargs) for time in ("pre", "post")
    ]


def given(action: str) -> list[Any]:
    """Return the arguments of a flag's method for this action."""
    return {
        "ADD_CONDITION": [CONDITION],
        "SET_CONDITIONS": [[CONDITION]],
        "SET_CLIENT_DATA": [{"b": 2}],
        "SET_BUCKETER": [BUCKETER],
    }.get(action, [])


def test_create_emits_the_data_as_given(client: FeatureFlagClient) -> None:
    """The events of `create` have the client data as given, even `None`."""
    subscriber = Everything()
    client.events.register_subscriber(subscriber)
    client.create("x")
    assert subscriber.recorded[0] == (
        "on_pre_create",
        ("x",),
        {"is_enabled": False, "client_data": None},
    )


def test_listeners_get_the_given_objects(client: FeatureFlagClient) -> None:
    """Listeners get the same condition and bucketer objects that the call got."""
    client.create("x")
    subscriber = Everything()
    client.events.register_subscriber(subscriber)
    client.add_condition("x", CONDITION)
    client.set_bucketer("x", BUCKETER)
    given = [args[1] for _, args, _ in subscriber.recorded]
    assert [each is CONDITION for each in given[:2]] == [True, True]
    assert [each is BUCKETER for each in given[2:]] == [True, True]


def test_listeners_get_a_list_instead_of_a_generator(
    client: FeatureFlagClient,
) -> None:
    """Listeners get a list if the call got a generator."""
    client.create("x")
    subscriber = Everything()
    client.events.register_subscriber(subscriber)
    client.set_conditions("x", (each for each in [CONDITION]))
    assert [args for _, args, _ in subscriber.recorded] == [("x", [CONDITION])] * 2
    assert client.get_meta("x")["conditions"] == [CONDITION.to_dict()]
    subscriber.recorded.clear()
    conditions = (CONDITION,)
    client.set_conditions("x", conditions)
    assert [args[1] == conditions for _, args, _ in subscriber.recorded] == [True, True]


# Emitters of one's own


def test_an_own_emitter_needs_only_emit(
    client: FeatureFlagClient,
) -> None:
    """The client calls only `emit` of a user's emitter, with the event first."""

    class Mine:
        def __init__(self) -> None:
            self.emitted: list[Any] = []

        def emit(self, event: EventType, *args: Any, **kwargs: Any) -> None:
            self.emitted.append((event, args, kwargs))

    client.events = Mine()
    client.create("x")
    client.enable("x")
    client.set_conditions("x", iter([]))
    assert [event.name for event, *_ in client.events.emitted] == [
        "PRE_CREATE",
        "POST_CREATE",
        "PRE_ENABLE",
        "POST_ENABLE",
        "PRE_SET_CONDITIONS",
        "POST_SET_CONDITIONS",
    ]
    assert client.events.emitted[2] == (EventType.PRE_ENABLE, ("x",), {})


def test_a_subclass_of_the_emitter_interface_can_be_used(
    client: FeatureFlagClient,
) -> None:
    """A subclass with the four methods of the interface can be used."""

    class Mine(IEventEmitter):
        count = 0

        def emit(self, event: Any, *args: Any, **kwargs: Any) -> None:
            self.count += 1

        def on(self, event: Any, f: Any = None) -> None:
            """Ignore it."""

        def remove_listener(self, event: Any, f: Any) -> None:
            """Ignore it."""

        def remove_subscriber(self, subscriber: Any) -> None:
            """Ignore it."""

    client.events = Mine()
    client.create("x")
    assert client.events.count == 2
