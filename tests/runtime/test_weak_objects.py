# SPDX-License-Identifier: Apache-2.0
"""`WeakObjects` keeps no object alive, and threads may share it."""

from __future__ import annotations

import gc
import threading

from flipper.runtime.weak_objects import WeakObjects
from flipper.testing.waiting import at_once


class Thing:
    """An object that equals all others of its class, and cannot be hashed."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


def test_objects_are_told_apart_by_identity_and_not_kept() -> None:
    """Equal objects are all there, each once, until they are freed."""
    things: WeakObjects[Thing] = WeakObjects()
    first, second = Thing(), Thing()
    for thing in (first, second, first):
        things.add(thing)
    assert [id(thing) for thing in things] == [id(first), id(second)]
    del first, thing
    gc.collect()
    assert [id(thing) for thing in things] == [id(second)]


def test_threads_may_add_and_free_objects_during_an_iteration() -> None:
    """No iteration fails, and each finds the objects that stay."""
    things: WeakObjects[Thing] = WeakObjects()
    stay = [Thing() for _ in range(20)]
    for thing in stay:
        things.add(thing)
    end = threading.Event()

    def change() -> None:
        while not end.is_set():
            for each in [Thing() for _ in range(50)]:
                things.add(each)

    def iterate() -> None:
        try:
            for _ in range(500):
                found = {id(thing) for thing in things}
                assert found.issuperset(map(id, stay))
        finally:
            end.set()

    at_once(iterate, change, change)
