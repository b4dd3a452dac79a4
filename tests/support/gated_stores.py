# SPDX-License-Identifier: Apache-2.0
"""A store that answers only if the event loop goes on while it is asked."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from flipper.contrib.interface import AbstractFeatureFlagStore

from .custom_stores import ForwardingStore

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

PATIENCE = 20  # seconds until a blocked event loop fails the test


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a thread has made a condition true."""
    while not condition():  # noqa: ASYNC110  (no thread tells the event loop)
        await asyncio.sleep(0.001)


class GatedStore(ForwardingStore):
    """Waits in each of its six methods until its gate is open.

    Attributes:
        gate: is open at first.
        entered: is set when a method was called.
        threads: the threads that have called a method.
    """

    def __init__(self, flags: Any = None) -> None:
        super().__init__(flags)
        self.gate, self.entered = threading.Event(), threading.Event()
        self.gate.set()
        self.threads: list[int] = []

    def close_gate(self) -> None:
        """Let the methods wait from now on, and forget earlier calls."""
        self.gate.clear()
        self.entered.clear()
        self.threads.clear()

    def wait(self) -> None:
        """Wait for the gate."""
        self.threads.append(threading.get_ident())
        self.entered.set()
        assert self.gate.wait(PATIENCE), "the event loop was blocked"

    async def open_when_entered(self) -> None:
        """Open the gate as soon as a method was called."""
        await until(self.entered.is_set)
        self.gate.set()

    async def while_closed(self, question: Coroutine[Any, Any, T]) -> T:
        """Await a question that calls a method, whose gate the event loop opens.

        It fails if the event loop is blocked meanwhile, or if nothing is called.
        """
        self.close_gate()
        task = asyncio.ensure_future(question)
        try:
            await asyncio.wait_for(self.open_when_entered(), PATIENCE)
            return await task
        finally:
            self.gate.set()


def _gated(name: str) -> Any:
    forwarded = getattr(ForwardingStore, name)

    def method(self: GatedStore, *args: Any, **kwargs: Any) -> Any:
        self.wait()
        return forwarded(self, *args, **kwargs)

    return method


for _name in AbstractFeatureFlagStore.__abstractmethods__:
    setattr(GatedStore, _name, _gated(_name))
