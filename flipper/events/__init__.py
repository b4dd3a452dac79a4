# SPDX-License-Identifier: Apache-2.0
"""Events before and after each write of a client."""

from .emitter import FlipperEventEmitter, IEventEmitter
from .subscriber import FlipperEventSubscriber
from .types import EventType

__all__ = [
    "EventType",
    "FlipperEventEmitter",
    "FlipperEventSubscriber",
    "IEventEmitter",
]
