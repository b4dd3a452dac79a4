# SPDX-License-Identifier: Apache-2.0
"""`Memoization`: what one client memoizes, and how its writes are seen."""

from __future__ import annotations

from contextvars import ContextVar
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any

from ..contracts.last_known import FailedReadError, put_bounded
from ..contracts.transactions import is_uncommitted
from ..contracts.update import get_many
from ..contrib.storage.item import FeatureFlagStoreItem
from .answers import MemoizedDecider, has_fixed_answers
from .block import MemoizedBlock
from .memo import ongoing
from .reader import MemoizingReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from weakref import WeakMethod

    from ..runtime.request_variable import RequestVariable
    from .memo import Memo


class Memoization:
    """What one client memoizes. Safe for threads, asyncio and gevent.

    Each block belongs to the thread, the task or the greenlet that it began in, and to
    the tasks of asyncio that begin in it.

    Args:
        after_failed_read: the method of the client that returns the last known state of
            a flag that could not be read.
    """

    def __init__(self, after_failed_read: WeakMethod[Callable[..., Any]]) -> None:
        self.current: ContextVar[Memo | None] | RequestVariable
        self.current = ContextVar("flipper", default=None)
        self._after_failed_read = after_failed_read
        # By feature name: a flag, and its decision with reason if it has to be
        # memoized. A block has no time to find that out for each flag.
        self._deciders: dict[str, tuple[Any, Any]] = {}

    def reader(self, reader: Any) -> MemoizingReader:
        """Return what reads each flag once in a block, given what reads the store."""
        return MemoizingReader(
            reader, self.current.get, self.memoized, self.after_failed_read
        )

    def new_block(self, preload: Callable[[], object] | None) -> MemoizedBlock:
        """Return a context manager that begins and ends a block."""
        return MemoizedBlock(self.current, preload)

    def block(self) -> Memo | None:
        """Return the innermost block of this thread or task that is not over."""
        return ongoing(self.current.get())

    def forget(self, feature_name: str) -> None:
        """Let the blocks of this thread or task read a flag again."""
        forget_in(self.current.get(), feature_name)

    def memoized(self, item: Any) -> Any:
        """Return a flag that gives the same answer to the same question."""
        if type(item) is not FeatureFlagStoreItem or item.answer is not None:
            return item
        if type(item.decider) is MemoizedDecider:
            return item
        known, decide = self._deciders.get(item.feature_name, (None, None))
        if known is not item:
            is_fixed = has_fixed_answers(item)
            decide = None if is_fixed else item.compiled(with_reason=True)
            put_bounded(self._deciders, item.feature_name, (item, decide))
        if decide is None:
            return item
        made = copy(item)
        made.decider = MemoizedDecider(decide)
        return made

    def all_items(
        self,
        memo: Memo,
        reader: Any,
        list_items: Callable[[], list[Any] | None],
        known_names: Callable[[], Iterable[str]],
    ) -> list[Any]:
        """Return all flags as a block knows them, the same ones whenever it is asked.

        Args:
            memo: the block, which is not over.
            reader: the object whose `get` reads the store.
            list_items: lists the store, and returns `None` if it fails.
            known_names: returns the names of the flags to answer then.
        """
        failures = {name: each.item for name, each in [*memo.failures.items()]}
        known = memo.copy() | failures
        names = memo.names
        if names is not None:
            return [known[name] for name in names if known.get(name) is not None]
        last_write, outer = memo.last_write, ongoing(memo.outer)
        if outer is None:
            items = list_items()
        else:
            items = self.all_items(outer, reader, list_items, known_names)
        if items is None:
            items = self._known_items(reader, known_names())
        found = {}
        for item in items:
            name = item.feature_name
            if name in known:
                found[name] = known.pop(name)
            else:
                found[name] = memo.put(name, self.memoized(item), last_write)
        found.update(known)
        found = {name: item for name, item in found.items() if item is not None}
        if memo.last_write is last_write:
            memo.names = tuple(found)
        return [*found.values()]

    def _known_items(self, reader: Any, names: Iterable[str]) -> list[Any]:
        """Return those of these flags that can be read, or have a last known state."""
        memoizing = self.reader(reader)
        items = []
        for name in names:
            try:
                items.append(memoizing.get(name))
            except FailedReadError as failure:
                items.append(failure.item)
        return [item for item in items if item is not None]

    def preload(self, reader: Any, feature_names: Iterable[str]) -> None:
        """Read flags that the present block does not know, in one round trip.

        Raises:
            Exception: the store has failed.
        """
        memo = self.block()
        if memo is None:
            return
        while (outer := ongoing(memo.outer)) is not None:
            memo = outer  # the blocks in it take the flag from there
        names = [
            name
            for name in dict.fromkeys(feature_names)
            if name not in memo and name not in memo.failures
        ]
        if not names:
            return
        last_write = memo.last_write
        for name, item in get_many(reader, names).items():
            memo.put(name, self.memoized(item), last_write)

    def after_failed_read(self, feature_name: str, error: Exception) -> Any:
        """Log a failure, and return the last known state of the flag.

        Raises:
            Exception: `error`, if the client raises the errors of its store.
        """
        after_failed_read = self._after_failed_read()
        return after_failed_read and after_failed_read(feature_name, error)


class WriteRecorder:
    """Records the writes of a client, and lets its blocks read these flags again.

    Args:
        recorder: records the writes, too.
        memoization: of the client.
        store: of the client.
    """

    def __init__(self, recorder: Any, memoization: Memoization, store: Any) -> None:
        self._recorder = recorder
        self._memoization = memoization
        self._store = store

    def record_write(self, feature_name: str, item: Any) -> None:
        """Record that a flag was written or deleted."""
        self._recorder.record_write(feature_name, item)
        self._forget(feature_name)

    def record_state(self, feature_name: str, is_enabled: bool) -> None:
        """Record that the state of a flag was written."""
        self._recorder.record_state(feature_name, is_enabled)
        self._forget(feature_name)

    def _forget(self, feature_name: str) -> None:
        self._memoization.forget(feature_name)
        memo = self._memoization.current.get()
        if memo is not None and is_uncommitted(self._store, feature_name):
            # The blocks read what the transaction has written. If it is rolled back,
            # they read the flag again.
            forget_later = partial(forget_in, memo, feature_name)
            self._store.after_transaction(feature_name, forget_later)


def forget_in(memo: Memo | None, feature_name: str) -> None:
    """Let a block and those around it read a flag again."""
    while memo is not None:
        memo.forget(feature_name)
        memo = memo.outer
