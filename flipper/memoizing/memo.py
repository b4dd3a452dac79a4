# SPDX-License-Identifier: Apache-2.0
"""`Memo`: the flags of one block."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from .answers import MemoizedDecider, has_prerequisites

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..contracts.last_known import FailedReadError


class Memo(dict[str, Any]):
    """The flags of one block by name, as first read. Safe for threads.

    Most blocks need none of its attributes, so they are in the class at first: a block
    takes no longer than a request can afford.
    """

    outer: Memo | None = None
    """The block around this one. What one of them has read, both answer."""
    failures: Mapping[str, FailedReadError] = MappingProxyType({})
    """The failed reads, by feature name."""
    names: tuple[str, ...] | None = None
    """The names of all flags, once they were listed."""
    last_write: object = None
    """Stands for the last write in this block."""
    is_over = False
    """Whether the block has ended."""

    def put(self, feature_name: str, item: Any, last_write: object) -> Any:
        """Remember a flag that was read after this write; return what is remembered."""
        if self.last_write is not last_write:
            # Race: the store may have been read before a write, which is newer.
            return item
        if self.names is not None and feature_name not in self.names:
            item = None  # it was created after all flags were listed
        item = self.setdefault(feature_name, item)
        if self.last_write is not last_write:
            # Race: it was written after the comparison above.
            self.pop(feature_name, None)
        if self.is_over:
            # Race: a task that has outlived the block must not keep this state.
            self.end()
        return item

    def put_failure(
        self, feature_name: str, failure: FailedReadError, last_write: object
    ) -> None:
        """Remember that a flag could not be read after this write."""
        if self.last_write is last_write:
            # Race: two threads may fail at once, and must not replace each other's.
            failures = self.__dict__.setdefault("failures", {})
            failures.setdefault(feature_name, failure)

    def forget(self, feature_name: str) -> None:
        """Read a flag again, because it was written."""
        self.last_write = object()
        self.pop(feature_name, None)
        self.__dict__.get("failures", {}).pop(feature_name, None)
        self.names = None
        for item in self.copy().values():
            decider = getattr(item, "decider", None)
            if type(decider) is MemoizedDecider and has_prerequisites(item):
                decider.forget()

    def end(self) -> None:
        """End the block. Tasks that have outlived it then read the store again."""
        self.is_over = True
        self.clear()
        self.__dict__.pop("failures", None)


def ongoing(memo: Memo | None) -> Memo | None:
    """Return this block, or the innermost around it that is not over."""
    while memo is not None and memo.is_over:
        memo = memo.outer
    return memo
