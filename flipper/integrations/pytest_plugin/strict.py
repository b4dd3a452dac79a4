# SPDX-License-Identifier: Apache-2.0
"""The option `--flipper-strict`: tests ask only about flags that exist."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

from ...overrides import listen_to_missing_flags

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import FrameType

    from ...client import FeatureFlagClient

_PACKAGE: Final = f"{Path(__file__).parents[2]}{os.sep}"
_TITLE: Final = "flags that nobody has made"


class _Question(NamedTuple):
    """A question about a flag that did not exist."""

    client: FeatureFlagClient
    feature_name: Any
    place: str  # that asked: path and line


class MissingFlags:
    """Fails the tests that ask about missing flags, in whichever thread.

    The questions themselves get their usual answer: an error could be caught by the
    code that asks. They count for the test that is running, with its fixtures.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._root = config.rootpath
        self._questions: list[_Question] = []

    def pytest_sessionstart(self) -> None:
        """Start to listen."""
        listen_to_missing_flags(self._record)

    def pytest_unconfigure(self) -> None:
        """Stop listening."""
        listen_to_missing_flags(None)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """Forget what was asked outside of tests, such as by imports."""
        self._questions.clear()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Fail the test after its function."""
        return (yield from self._checked(item, "call"))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(
        self, item: pytest.Item
    ) -> Generator[None, object, object]:
        """Fail the test after its fixtures."""
        return (yield from self._checked(item, "teardown"))

    def _checked(self, item: pytest.Item, when: str) -> Generator[None, object, object]:
        try:
            result = yield
        except BaseException:
            if message := self._take_message():
                item.add_report_section(when, _TITLE, message)
            raise
        if message := self._take_message():
            pytest.fail(message, pytrace=False)
        return result

    def _record(self, client: Any, feature_name: Any) -> None:
        self._questions.append(_Question(client, feature_name, self._asking_place()))

    def _asking_place(self) -> str:
        """Return the path and the line of the code that asks, outside of flipper."""
        frame: FrameType | None = sys._getframe(2)  # noqa: SLF001  (the fast way)
        while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
            frame = frame.f_back
        if frame is None:
            return "an unknown place"
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(self._root):
            path = path.relative_to(self._root)
        return f"{path}:{frame.f_lineno}"

    def _take_message(self) -> str:
        """Return what was asked since the last call, or an empty text."""
        questions, self._questions = self._questions, []
        known = {id(one.client): _known_names(one.client) for one in questions}
        # A dict, to have each line once and in order.
        lines = {_describe(one, known[id(one.client)]): None for one in questions}
        if not lines:
            return ""
        remedy = _remedy(str(questions[0].feature_name))
        return "\n".join([f"The test asked about {_TITLE}:", *lines, remedy])


def _describe(question: _Question, known: list[str]) -> str:
    name = str(question.feature_name)
    if name in known:
        hint = "it was made only later"
    elif nearest := get_close_matches(name, known, cutoff=0.5):
        hint = f"did you mean {' or '.join(map(repr, nearest))}?"
    else:
        hint = "no flag has a name like this"
    return f"  {name!r}, asked by {question.place}: {hint}"


def _remedy(name: str) -> str:
    arguments = f"{name}=True" if name.isidentifier() else f"**{{{name!r}: True}}"
    return (
        f"Correct the name, create the flag by client.create({name!r}), or override "
        f"it by flipper_flags[{name!r}] = True or @pytest.mark.flipper({arguments})."
    )


def _known_names(client: FeatureFlagClient) -> list[str]:
    """Return the names of all flags of a client; none if its store cannot be read."""
    try:
        return [str(flag.name) for flag in client.list()]
    except Exception:  # noqa: BLE001  (a hint is not worth an error)
        return []
