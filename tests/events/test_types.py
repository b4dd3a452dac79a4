# SPDX-License-Identifier: Apache-2.0
"""`EventType`, the names of the events."""

from __future__ import annotations

import copy
import pickle

from flipper.events import (
    EventType,
)


def test_an_event_is_one_object_wherever_it_goes() -> None:
    """It is looked up by identity, so that copies have to be the same."""
    for event in EventType:
        for twin in (
            copy.copy(event),
            copy.deepcopy(event),
            pickle.loads(pickle.dumps(event)),  # noqa: S301 # our own
            EventType(event.value),
            EventType[event.name],
        ):
            assert twin is event
            assert hash(twin) == hash(event)
        assert event.value == event.name.lower()
