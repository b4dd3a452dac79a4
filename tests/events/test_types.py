# SPDX-License-Identifier: Apache-2.0
"""`EventType`, the names of the events."""

from __future__ import annotations

import copy

from flipper.events import EventType
from support.copies import pickled


def test_a_copied_event_is_the_same_object() -> None:
    """Copies, pickles and look-ups of an event return the member itself."""
    for event in EventType:
        for twin in (
            copy.copy(event),
            copy.deepcopy(event),
            pickled(event),
            EventType(event.value),
            EventType[event.name],
        ):
            assert twin is event
            assert hash(twin) == hash(event)
        assert event.value == event.name.lower()
