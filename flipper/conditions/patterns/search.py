# SPDX-License-Identifier: Apache-2.0
"""Runs an automaton on a text, following all alternatives at once.

A state is the set of nodes whose character was read last, as the bits of a number. The
states that follow are computed when they are first needed, and kept.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from .automaton import EDGE, LINE_BREAK, MATCH, OTHER, WORD, Automaton
from .charset import Alphabet, CharSet, is_word
from .syntax import Parser

LONGEST_TEXT: Final = 2048
"""The longest text that is searched, in characters; nothing is found in longer ones."""

_MOST_KEPT: Final = 1000  # characters that lead to another state
_BYTE: Final = 8
_MATCH_BIT: Final = 1 << MATCH


class _State(dict):  # type: ignore[type-arg]
    """A state, and the next states by their character. `found`: nothing else counts."""

    __slots__ = ("active", "before", "found", "found_at_end", "pattern")

    def __init__(self, pattern: Pattern, active: int, before: int) -> None:
        self.pattern = pattern
        self.active = active
        self.before = before
        self.found = False
        self.found_at_end: bool | None = None

    def __missing__(self, char: str) -> _State:
        # Race: two threads may compute the same state, and keep either.
        following = self[char] = self.pattern.following(self, char)
        return following


class Pattern:
    """A compiled regular expression; threads may share it.

    Args:
        text: the regular expression.

    Raises:
        ValueError: the text is no regular expression, or one that is not supported.
    """

    def __init__(self, text: str) -> None:
        parser = Parser(text)
        self._automaton = Automaton(parser.parse())
        self._tells_words = bool(self._automaton.assertions & {"b", "B"})
        self._tells_lines = bool(self._automaton.assertions & {"^m", "$m"})
        self._charsets: dict[CharSet, int] = {}
        for number, step in enumerate(self._automaton.steps):
            if step.charset is not None:
                bits = self._charsets.get(step.charset, 0)
                self._charsets[step.charset] = bits | 1 << number
        self._alphabet = Alphabet(self._charsets, ignores_case=parser.ignores_case)
        self._masks: dict[object, int] = {}
        # The bit of MATCH, after which no character is read, stands for the start.
        self._reached: dict[tuple[int, int, int], int] = {}
        self._forget()

    def is_found_in(self, argument: object) -> bool:
        """Return whether the argument is a text in which the pattern is found.

        The time is proportional to the length of the text.
        """
        if not isinstance(argument, str) or len(argument) > LONGEST_TEXT:
            return False
        state = self._start
        for char in str.__str__(argument):
            state = state[char]
            if state.found:
                return True
        if state.found_at_end is None:
            state.found_at_end = self._is_match(state, EDGE)
        return state.found_at_end

    def _forget(self) -> None:
        self._kept = 0
        self._parts: defaultdict[tuple[int, int], dict[int, int]] = defaultdict(dict)
        self._states: dict[tuple[int, int], _State] = {}
        self._start = _State(self, _MATCH_BIT, EDGE)
        # Race: another thread may take this state as soon as it is the pattern's.
        found = _State(self, 0, OTHER)
        found.found = True
        self._found = found

    def following(self, state: _State, char: str) -> _State:
        """Return the state after one more character."""
        self._kept += 1
        if self._kept > _MOST_KEPT:
            self._forget()
        after = self._kind(char)
        reached = self._reachable(state.active, state.before, after)
        if reached & _MATCH_BIT:
            return self._found
        # A match may begin at any place, so the start stays in every state.
        active = (reached & self._mask(char)) | _MATCH_BIT
        return self._states.setdefault((active, after), _State(self, active, after))

    def _is_match(self, state: _State, after: int) -> bool:
        return bool(self._reachable(state.active, state.before, after) & _MATCH_BIT)

    def _kind(self, char: str) -> int:
        if self._tells_lines and char == "\n":
            return LINE_BREAK
        return WORD if self._tells_words and is_word(char) else OTHER

    def _mask(self, char: str) -> int:
        """Return the nodes that accept a character."""
        cases = self._alphabet.cases(char)
        group = self._alphabet.group(cases)
        mask = self._masks.get(group)
        if mask is None:
            mask = 0
            for charset, bits in self._charsets.items():
                if charset.has(cases):
                    mask |= bits
            self._masks[group] = mask
        return mask

    def _reachable(self, active: int, before: int, after: int) -> int:
        """Return the nodes that can come after any of these nodes."""
        # Eight nodes at a time, since a state may have hundreds.
        parts = self._parts[before, after]
        found = 0
        data = active.to_bytes((active.bit_length() + 7) // _BYTE, "little")
        for place, byte in enumerate(data):
            if byte:
                key = place << _BYTE | byte
                part = parts.get(key)
                if part is None:
                    part = parts[key] = self._reachable_from_byte(key, before, after)
                found |= part
        return found

    def _reachable_from_byte(self, key: int, before: int, after: int) -> int:
        place, byte = divmod(key, 1 << _BYTE)
        found = 0
        for offset in range(_BYTE):
            if byte >> offset & 1:
                found |= self._reachable_from(place * _BYTE + offset, before, after)
        return found

    def _reachable_from(self, number: int, before: int, after: int) -> int:
        key = (number, before, after)
        found = self._reached.get(key)
        if found is None:
            automaton = self._automaton
            starts = automaton.steps[number].follows
            if number == MATCH:
                starts = (automaton.start,)
            found = 0
            for each in automaton.reachable(starts, before, after):
                found |= 1 << each
            self._reached[key] = found
        return found
