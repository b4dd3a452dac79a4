# SPDX-License-Identifier: Apache-2.0
"""Events before and after each write of a client.

`types` lists the events, `emitter` calls the listeners, and `subscriber` is an object
with a listener for every event.
"""

from .emitter import FlipperEventEmitter, IEventEmitter
from .subscriber import FlipperEventSubscriber
from .types import EventType

__all__ = [
    "EventType",
    "FlipperEventEmitter",
    "FlipperEventSubscriber",
    "IEventEmitter",
]
