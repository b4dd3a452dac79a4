# SPDX-License-Identifier: Apache-2.0
"""Who is told about writes."""

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
    """The promise that an emitter of one's own keeps, to be set as `client.events`."""

    @abstractmethod
    def emit(self, event: Any, *args: Any, **kwargs: Any) -> Any:
        """Call everybody who listens to `event`."""

    @overload
    def on(self, event: Any, f: None = None) -> Callable[[F], F]: ...

    @overload
    def on(self, event: Any, f: F) -> F: ...

    @abstractmethod
    def on(self, event: Any, f: Any = None) -> Any:
        """Listen to `event` by `f`; without `f`, return a decorator that does."""

    @abstractmethod
    def remove_listener(self, event: Any, f: Any) -> Any:
        """Stop listening by `f`."""

    # Drop-in: not abstract, since an emitter written for flipper-client lacks it.
    def register_subscriber(self, subscriber: FlipperEventSubscriber) -> None:
        """Listen by the method `on_...` of `subscriber` for each event.

        Raises:
            AttributeError: a method is missing; then none listens.
        """
        for event, listener in _methods(subscriber):
            self.on(event, listener)

    @abstractmethod
    def remove_subscriber(self, subscriber: FlipperEventSubscriber) -> Any:
        """Stop listening by each method of `subscriber`."""


class FlipperEventEmitter(BaseEventEmitter, IEventEmitter):
    """pyee's emitter, with subscribers.

    Listeners run in the thread that writes, in order of registration; an exception in
    one comes out of the write and ends the emission.
    """

    def emit(self, event: Any, *args: Any, **kwargs: Any) -> bool:
        """Call everybody who listens to `event`; return whether anybody did."""
        # Most programs listen to next to nothing: pyee takes a lock and copies a table
        # to find that out. An unheard event "error" is pyee's affair.
        if event in self._events or (
            # Asked in this order, since comparing members with text takes long.
            type(event) is not EventType and event == "error"
        ):
            return bool(super().emit(event, *args, **kwargs))
        return False

    def has_no_listeners(self) -> bool:
        """Whether nobody listens to any event, nor stands in for `emit`."""
        return (
            not self._events
            and "emit" not in self.__dict__
            and FlipperEventEmitter.emit is _EMIT
        )

    @overload
    def on(self, event: Any, f: None = None) -> Callable[[F], F]: ...

    @overload
    def on(self, event: Any, f: F) -> F: ...

    def on(self, event: Any, f: Any = None) -> Any:
        """Listen to `event` by `f`; without `f`, return a decorator that does."""
        return super().on(event, f)

    def remove_listener(self, event: Any, f: Callable[..., Any]) -> None:
        """Stop listening by `f`.

        Raises:
            KeyError: `f` does not listen to `event`.
        """
        # Drop-in: the pyee that flipper-client pinned raised; newer ones may not.
        if f not in self._listeners_of(event):
            raise KeyError(f)
        super().remove_listener(event, f)

    def remove_subscriber(self, subscriber: FlipperEventSubscriber) -> None:
        """Stop listening by each method of `subscriber`.

        Raises:
            KeyError: it was not registered.
        """
        for event, listener in _methods(subscriber):
            self.remove_listener(event, listener)

    def _listeners_of(self, event: Any) -> Any:
        return self._events.get(event, ())


_EMIT = FlipperEventEmitter.emit


def _methods(
    subscriber: FlipperEventSubscriber,
) -> list[tuple[EventType, Callable[..., Any]]]:
    return [(event, getattr(subscriber, f"on_{event.value}")) for event in EventType]
