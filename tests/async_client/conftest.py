# SPDX-License-Identifier: Apache-2.0
"""What the tests of the async client share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


def _answer_at_once(question: Coroutine[Any, Any, T]) -> T:
    try:
        question.send(None)
    except StopIteration as answer:
        value: T = answer.value
        return value
    question.close()
    pytest.fail("the question waits for a thread")


@pytest.fixture
def at_once() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Give a function that runs a coroutine, and fails if that has to wait.

    There is no event loop, so that a question to a thread raises an error.
    """
    return _answer_at_once
