# SPDX-License-Identifier: Apache-2.0
r"""Sets of characters, such as `[a-z\d]` and `.`."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable


def is_word(char: str) -> bool:
    r"""Return whether a character belongs to a word, as `\w`."""
    return char.isalnum() or char == "_"


# As in `re`: a letter or a digit of any script.
KINDS: Final[dict[str, Callable[[str], bool]]] = {
    "d": str.isdecimal,
    "w": is_word,
    "s": str.isspace,
    "D": lambda char: not char.isdecimal(),
    "W": lambda char: not is_word(char),
    "S": lambda char: not char.isspace(),
}


class CharSet(NamedTuple):
    """A set of characters.

    Attributes:
        chars: single characters.
        ranges: first and last characters.
        kinds: keys of `KINDS`.
        is_negated: whether it has all characters but these.
    """

    chars: frozenset[str] = frozenset()
    ranges: tuple[tuple[str, str], ...] = ()
    kinds: tuple[str, ...] = ()
    is_negated: bool = False

    def has(self, cases: frozenset[str]) -> bool:
        """Return whether a character is in the set.

        Args:
            cases: the character, and its other cases if they do not matter.
        """
        found = (
            not self.chars.isdisjoint(cases)
            or any(first <= c <= last for first, last in self.ranges for c in cases)
            or any(KINDS[kind](c) for kind in self.kinds for c in cases)
        )
        return found is not self.is_negated


ANY: Final = CharSet(is_negated=True)
ANY_BUT_LINE_BREAK: Final = CharSet(frozenset("\n"), is_negated=True)


class Alphabet:
    """Tells characters apart as far as some sets do.

    A search looks at all sets once for each group of characters that are the same to
    them, and not for each of the characters.

    Args:
        charsets: the sets.
        ignores_case: whether a set has a character if it has its upper or lower case.
    """

    def __init__(self, charsets: Iterable[CharSet], *, ignores_case: bool) -> None:
        self._ignores_case = ignores_case
        limits: set[int] = set()
        for each in charsets:
            ranges = [*((char, char) for char in each.chars), *each.ranges]
            for first, last in ranges:
                limits.update((ord(first), ord(last) + 1))
        self._limits = sorted(limits)

    def cases(self, char: str) -> frozenset[str]:
        """Return the character, and its other cases if they do not matter."""
        if not self._ignores_case:
            return frozenset(char)
        lower, upper = char.lower(), char.upper()
        found = (char, lower, upper, lower.upper(), upper.lower())
        return frozenset(each for each in found if len(each) == 1)

    def group(self, cases: frozenset[str]) -> frozenset[Hashable]:
        """Return a value that is equal for characters that are the same to the sets."""
        return frozenset(
            (
                bisect_right(self._limits, ord(each)),
                each.isdecimal(),
                is_word(each),
                each.isspace(),
            )
            for each in cases
        )
