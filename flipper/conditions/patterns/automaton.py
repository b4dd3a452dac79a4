# SPDX-License-Identifier: Apache-2.0
"""Makes an automaton of the tree of a regular expression.

Its nodes are characters, branches and places such as `^`. Counted repetitions become
copies, whose number is limited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from .syntax import Assertion, Chars, Choice, Repeat, Sequence

if TYPE_CHECKING:
    from .charset import CharSet
    from .syntax import Node

MOST_NODES: Final = 600
MATCH: Final = 0
"""The number of the last node, which means that the pattern is found."""

# What is before or after a place.
EDGE, OTHER, WORD, LINE_BREAK = range(4)


class Step(NamedTuple):
    """A node: what it needs, and the nodes that follow.

    Attributes:
        charset: it needs one of these characters; `None` for a branch or a place.
        assertion: the place that it needs to be at, `None` for none.
        follows: the numbers of the next nodes.
    """

    charset: CharSet | None
    assertion: str | None
    follows: tuple[int, ...]


_NO_STEP: Final = Step(None, None, ())


class Automaton:
    """The automaton of a pattern.

    Attributes:
        steps: all nodes; the first one is `MATCH`.
        start: the number of the node to begin with.
        assertions: the places that the pattern asks for.

    Raises:
        ValueError: it would have too many nodes.
    """

    def __init__(self, node: Node) -> None:
        self.steps = [_NO_STEP]
        self.assertions: set[str] = set()
        self.start = self._add(node, MATCH)

    def _new(self, step: Step) -> int:
        if len(self.steps) == MOST_NODES:
            message = (
                "is too large a regular expression; use a shorter one, or smaller "
                "numbers in braces"
            )
            raise ValueError(message)
        self.steps.append(step)
        return len(self.steps) - 1

    def _add(self, node: Node, following: int) -> int:
        """Add the nodes of a part before those that follow; return the first one."""
        if isinstance(node, Chars):
            return self._new(Step(node.charset, None, (following,)))
        if isinstance(node, Assertion):
            self.assertions.add(node.kind)
            return self._new(Step(None, node.kind, (following,)))
        if isinstance(node, Choice):
            starts = tuple(self._add(part, following) for part in node.parts)
            return self._new(Step(None, None, starts))
        if isinstance(node, Sequence):
            if not node.parts:
                # The number of nodes limits the work, so the empty text has one, too.
                return self._new(Step(None, None, (following,)))
            for part in reversed(node.parts):
                following = self._add(part, following)
            return following
        return self._add_repeat(node, following)

    def _add_repeat(self, node: Repeat, following: int) -> int:
        start = following
        if node.most is None:
            start = self._new(_NO_STEP)  # until its body, which leads to it, is added
            body = self._add(node.part, start)
            self.steps[start] = Step(None, None, (body, following))
        else:
            if not node.most:
                start = self._new(Step(None, None, (following,)))
            for _ in range(node.most - node.least):
                body = self._add(node.part, start)
                start = self._new(Step(None, None, (body, following)))
        for _ in range(node.least):
            start = self._add(node.part, start)
        return start

    def reachable(self, nodes: tuple[int, ...], before: int, after: int) -> set[int]:
        """Return the nodes that need a character, and `MATCH`, that can come next.

        Args:
            nodes: the nodes to begin with.
            before: what is before the place that has been reached in the text.
            after: what is after it.
        """
        found: set[int] = set()
        seen = set(nodes)
        left = list(nodes)
        while left:
            number = left.pop()
            step = self.steps[number]
            if number == MATCH or step.charset is not None:
                found.add(number)
            elif step.assertion is None or _holds(step.assertion, before, after):
                left += [each for each in step.follows if each not in seen]
                seen.update(step.follows)
        return found


def _holds(assertion: str, before: int, after: int) -> bool:
    if assertion[0] == "^":
        return before == EDGE or (assertion == "^m" and before == LINE_BREAK)
    if assertion[0] == "$":
        return after == EDGE or (assertion == "$m" and after == LINE_BREAK)
    return ((before == WORD) is not (after == WORD)) is (assertion == "b")
