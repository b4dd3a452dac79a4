# SPDX-License-Identifier: Apache-2.0
"""The event emitters: they call the listeners of each event."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import TYPE_CHECKING, Any, TypeVar, overload

import pyee

from .types import EventType

if TYPE_CHECKING:
    from collections.abc import Callable

    from .subscriber import FlipperEventSubscriber

    class BaseEventEmitter(pyee.EventEmitter):
        """pyee's plain emitter, under the name it had up to 7."""

else:
    # pyee 8 renamed the class. The `EventEmitter` of 6 and 7 is a subclass of it, which
    # schedules coroutines; from 8 on the old name warns, and from 12 on it is gone.
    BaseEventEmitter = next(
        (c for c in pyee.EventEmitter.__mro__ if c.__name__ == "BaseEventEmitter"),
        pyee.EventEmitter,
    )


F = TypeVar("F", bound="Callable[..., Any]")


class IEventEmitter(metaclass=ABCMeta):
    """The abstract base class of emitters. Assign one to `client.events` to use it."""

    @abstractmethod
    def emit(self, event: Any, *args: Any, **kwargs: Any) -> Any:
        """Call all listeners of an event with these arguments."""

    @overload
    def on(self, event: Any, f: None = None) -> Callable[[F], F]: ...

    @overload
    def on(self, event: Any, f: F) -> F: ...

    @abstractmethod
    def on(self, event: Any, f: Any = None) -> Any:
        """Add the listener `f` of an event; without `f`, return a decorator for it."""

    @abstractmethod
    def remove_listener(self, event: Any, f: Any) -> Any:
        """Remove the listener `f` of an event."""

    # Drop-in: not abstract, because emitters written for flipper-client lack it.
    def register_subscriber(self, subscriber: FlipperEventSubscriber) -> None:
        """Add the subscriber's method `on_...` as the listener of each event.

        Raises:
            AttributeError: a method is missing; then none was added.
        """
        for event, listener in _listeners_by_event(subscriber):
            self.on(event, listener)

    @abstractmethod
    def remove_subscriber(self, subscriber: FlipperEventSubscriber) -> Any:
        """Remove all methods of a subscriber."""


class FlipperEventEmitter(BaseEventEmitter, IEventEmitter):
    """pyee's emitter, with subscribers.

    Listeners run in the thread that writes, in order of registration. If one raises,
    the others are not called, and the write raises the exception.
    """

    def emit(self, event: Any, *args: Any, **kwargs: Any) -> bool:
        """Call all listeners of an event; return whether there is any."""
        # Most events have no listener, and pyee takes a lock and copies a table to find
        # that out. For an event "error" without a listener, pyee raises.
        if event in self._events or (
            # In this order, because comparing members with text takes long.
            type(event) is not EventType and event == "error"
        ):
            return bool(super().emit(event, *args, **kwargs))
        return False

    def has_no_listeners(self) -> bool:
        """Return whether no event has a listener, and `emit` is not replaced."""
        return (
            not self._events
            and "emit" not in self.__dict__
            and FlipperEventEmitter.emit is _ORIGINAL_EMIT
        )

    @overload
    def on(self, event: Any, f: None = None) -> Callable[[F], F]: ...

    @overload
    def on(self, event: Any, f: F) -> F: ...

    def on(self, event: Any, f: Any = None) -> Any:
        """Add the listener `f` of an event; without `f`, return a decorator for it."""
        return super().on(event, f)

    def remove_listener(self, event: Any, f: Callable[..., Any]) -> None:
        """Remove the listener `f` of an event.

        Raises:
            KeyError: `f` is not a listener of this event.
        """
        # Drop-in: the pyee that flipper-client pinned raises; newer ones may not.
        if f not in self._listeners_of(event):
            raise KeyError(f)
        super().remove_listener(event, f)

    def remove_subscriber(self, subscriber: FlipperEventSubscriber) -> None:
        """Remove all methods of a subscriber.

        Raises:
            KeyError: it is not registered.
        """
        for event, listener in _listeners_by_event(subscriber):
            self.remove_listener(event, listener)

    def _listeners_of(self, event: Any) -> Any:
        return self._events.get(event, ())


_ORIGINAL_EMIT = FlipperEventEmitter.emit


def _listeners_by_event(
    subscriber: FlipperEventSubscriber,
) -> list[tuple[EventType, Callable[..., Any]]]:
    return [(event, getattr(subscriber, f"on_{event.value}")) for event in EventType]
