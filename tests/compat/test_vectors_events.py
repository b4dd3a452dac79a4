# SPDX-License-Identifier: Apache-2.0
"""Golden cases: events, store calls and results in the order they happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from golden import Case, Raised, agree, cases, decode, encode

from flipper import FeatureFlagClient, MemoryFeatureFlagStore, decorators
from flipper.contrib.interface import AbstractFeatureFlagStore
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.events import EventType, FlipperEventEmitter, FlipperEventSubscriber

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Log = list[Any]


class LoggingStore(AbstractFeatureFlagStore):
    """Forward to a memory store, logging writes and `list` as they were called."""

    def __init__(self, log: Log, fails_on: list[str]) -> None:
        self.inner = MemoryFeatureFlagStore()
        self._log = log
        self._fails_on = fails_on

    def _forward(self, method: str, args: Any, kwargs: Any) -> Any:
        self._log.append(["store", method, encode(list(args)), encode(kwargs)])
        if method in self._fails_on:
            raise RuntimeError(method)
        return getattr(self.inner, method)(*args, **kwargs)

    def create(self, *args: Any, **kwargs: Any) -> Any:
        """Log and forward."""
        return self._forward("create", args, kwargs)

    def set(self, *args: Any, **kwargs: Any) -> None:
        """Log and forward."""
        self._forward("set", args, kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> None:
        """Log and forward."""
        self._forward("delete", args, kwargs)

    def set_meta(self, *args: Any, **kwargs: Any) -> None:
        """Log and forward."""
        self._forward("set_meta", args, kwargs)

    def list(self, *args: Any, **kwargs: Any) -> Iterator[FeatureFlagStoreItem]:
        """Log and forward."""
        return self._forward("list", args, kwargs)

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Forward without a log entry."""
        return self.inner.get(feature_name)

    def preload(self, text: str) -> None:
        """Put a stored document into the memory store."""
        item = FeatureFlagStoreItem.deserialize(text.encode())
        self.inner.create(item.feature_name, item.raw_is_enabled)
        meta = FeatureFlagStoreMeta.from_dict(item.meta)
        self.inner.set_meta(item.feature_name, meta)


def make_listener(sign: str, name: str, log: Log) -> Callable[..., None]:
    """Make a function that logs its arguments as they are when it is called."""

    def heard(*args: Any, **kwargs: Any) -> None:
        log.append([sign, name, encode(list(args)), encode(kwargs)])

    return heard


def make_failing(listener: Callable[..., None]) -> Callable[..., None]:
    """Make a listener that raises after it has done its work."""

    def heard(*args: Any, **kwargs: Any) -> None:
        listener(*args, **kwargs)
        raise RuntimeError

    return heard


def client(given: Any) -> Log:
    """Take the steps on a client, or on its flag objects."""
    log: Log = []
    store = LoggingStore(log, given.get("store_fails_on", []))
    for text in given.get("preload", []):
        store.preload(text)
    asked = FeatureFlagClient(store)
    for event in EventType:
        listener = make_listener("event", event.name, log)
        fails = event.name in given.get("listener_fails_on", [])
        asked.events.on(event, f=make_failing(listener) if fails else listener)
    for step in given["steps"]:
        target, name = asked, step["call"]
        if name.startswith("flag."):
            target, name = asked.get(step["flag"]), name.removeprefix("flag.")
        args, kwargs = decode(step.get("args", [])), decode(step.get("kwargs", {}))
        try:
            value = getattr(target, name)(*args, **kwargs)
            value = encode(list(value) if name == "list" else value)
        except Exception as error:  # noqa: BLE001 (the case says which one is right)
            log.append(["raised", name, Raised(error)])
        else:
            log.append(["returned", name, value])
    return log


def make_subscriber(name: str, log: Log) -> FlipperEventSubscriber:
    """Make a subscriber with every method overridden by one that logs."""
    methods = {}
    for event in EventType:
        method = f"on_{event.value}"
        listener = make_listener("heard", f"{name}.{method}", log)
        methods[method] = lambda _, *args, _listener=listener, **kwargs: _listener(
            *args, **kwargs
        )
    return type("Subscriber", (FlipperEventSubscriber,), methods)()


class EmitterSteps:
    """One emitter, with a method for each thing that a step can do."""

    def __init__(self) -> None:
        self.log: Log = []
        self._emitter = FlipperEventEmitter()
        self._listeners: dict[str, Any] = {}
        self._subscribers: dict[str, Any] = {}

    def take(self, step: dict[str, Any]) -> None:
        """Do what the step says, and log what it raises."""
        event = EventType[step["event"]] if "event" in step else None
        try:
            getattr(self, step["do"])(event, step)
        except Exception as error:  # noqa: BLE001 (the case says which one is right)
            self.log.append(["raised", Raised(error)])

    def _listener(self, step: dict[str, Any]) -> Any:
        name = step["listener"]
        if name not in self._listeners:
            self._listeners[name] = make_listener("heard", name, self.log)
        return self._listeners[name]

    def _subscriber(self, step: dict[str, Any]) -> Any:
        name = step["subscriber"]
        if name not in self._subscribers:
            self._subscribers[name] = make_subscriber(name, self.log)
        return self._subscribers[name]

    def on(self, event: Any, step: dict[str, Any]) -> None:
        """Register a listener in a call."""
        listener = self._listener(step)
        same = self._emitter.on(event, f=listener) is listener
        self.log.append(["on returned the function", same])

    def on_as_decorator(self, event: Any, step: dict[str, Any]) -> None:
        """Register a listener as a decorator does."""
        listener = self._listener(step)
        same = self._emitter.on(event)(listener) is listener
        self.log.append(["on returned the function", same])

    def once(self, event: Any, step: dict[str, Any]) -> None:
        """Register a listener for one event."""
        self._emitter.once(event, self._listener(step))

    def remove_listener(self, event: Any, step: dict[str, Any]) -> None:
        """Remove a listener."""
        self._emitter.remove_listener(event, f=self._listener(step))

    def remove_all_listeners(self, event: Any, _: dict[str, Any]) -> None:
        """Remove all listeners of an event."""
        self._emitter.remove_all_listeners(event)

    def listeners(self, event: Any, _: dict[str, Any]) -> None:
        """Log the listeners."""
        names = {listener: name for name, listener in self._listeners.items()}
        found = [names[each] for each in self._emitter.listeners(event)]
        self.log.append(["listeners", found])

    def register_subscriber(self, _: Any, step: dict[str, Any]) -> None:
        """Register a subscriber."""
        self._emitter.register_subscriber(self._subscriber(step))

    def remove_subscriber(self, _: Any, step: dict[str, Any]) -> None:
        """Remove a subscriber."""
        self._emitter.remove_subscriber(self._subscriber(step))

    def emit(self, event: Any, step: dict[str, Any]) -> None:
        """Emit, and log the answer."""
        args, kwargs = decode(step.get("args", [])), decode(step.get("kwargs", {}))
        self.log.append(["emit returned", self._emitter.emit(event, *args, **kwargs)])


def emitter(given: Any) -> Log:
    """Take the steps on one emitter."""
    steps = EmitterSteps()
    for step in given["steps"]:
        steps.take(step)
    return steps.log


def decorator(given: Any) -> Log:
    """Call a decorated function while its flag changes."""
    log: Log = []
    features = FeatureFlagClient(MemoryFeatureFlagStore())
    if given["flag"] != "missing":
        features.create("decorated", is_enabled=given["flag"] == "on")

    def redirect(*args: Any, **kwargs: Any) -> str:
        log.append(["redirect", encode(list(args)), encode(kwargs)])
        return "redirect result"

    options = {"redirect": redirect} if given["redirect"] else {}

    @decorators.is_enabled(features, "decorated", **options)
    def function(*args: Any, **kwargs: Any) -> str:
        log.append(["function", encode(list(args)), encode(kwargs)])
        return "function result"

    for method, call in given["calls"]:
        if method:
            getattr(features, method)("decorated")
        result = function(*decode(call["args"]), **decode(call["kwargs"]))
        log.append(["returned", encode(result)])
    return log


KINDS = {"client": client, "emitter": emitter, "decorator": decorator}


@pytest.mark.parametrize("case", cases("events"))
def test_events_are_those_of_flipper_client(case: Case) -> None:
    """Each listener gets the same events in the same order as in flipper-client."""
    agree(case["expect"], KINDS[case["kind"]](case["given"]))
