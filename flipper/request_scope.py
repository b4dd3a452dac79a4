# SPDX-License-Identifier: Apache-2.0
"""What the questions of one request share, in a framework with a present request.

A `with client.memoize():` block has to begin and end in the right place. Here, answers
belong to the object of the request instead, wherever it goes. A request that asks
nothing costs nothing.

This module is loaded when an integration first uses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .argument_context import LazyArguments
from .memoizing.memo import Memo

if TYPE_CHECKING:
    from collections.abc import Callable


class RequestScope:
    """What the questions of one client in one request share. Safe for threads.

    Args:
        find_arguments: returns the arguments that all questions get; called at most
            once, by the first question that needs them.
    """

    __slots__ = ("arguments", "memo")

    def __init__(self, find_arguments: Callable[[], Any] | None = None) -> None:
        self.memo = Memo()
        self.arguments: LazyArguments | None = None
        if find_arguments is not None:
            self.arguments = LazyArguments(find_arguments)

    def end(self) -> None:
        """Let what has outlived the request read the store again."""
        self.memo.end()
