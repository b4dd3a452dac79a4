# SPDX-License-Identifier: Apache-2.0
"""Reads regular expressions: text to a tree of nodes.

The syntax is that of `re` without what needs backtracking. `$` is the end of the text
only, and not also a place before a line break at the end.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, NoReturn

from .charset import ANY, ANY_BUT_LINE_BREAK, KINDS, CharSet

_DEEPEST: Final = 50  # groups in each other
_ESCAPES: Final = {
    "t": "\t",
    "n": "\n",
    "r": "\r",
    "f": "\f",
    "v": "\v",
    "a": "\a",
    "0": "\0",
}
_HEX_LENGTHS: Final = {"x": 2, "u": 4, "U": 8}
_HEX: Final = re.compile("[0-9a-fA-F]+")
_COUNT: Final = re.compile(r"\{(\d*)(,?)(\d*)\}", re.ASCII)
_FLAGS: Final = re.compile(r"\(\?([a-zA-Z]+)\)")
_NAMED: Final = re.compile(r"\(\?P?<[A-Za-z_]\w*>", re.ASCII)
_LOOKAROUNDS: Final = ("(?=", "(?!", "(?<=", "(?<!")


class Chars(NamedTuple):
    """One character of a set."""

    charset: CharSet


class Assertion(NamedTuple):
    r"""A place between characters: `^`, `$`, `b` or `B`; `^m`, `$m` at line breaks."""

    kind: str


class Sequence(NamedTuple):
    """All parts one after another; without parts, the empty text."""

    parts: list[Node]


class Choice(NamedTuple):
    """One of the parts."""

    parts: list[Node]


class Repeat(NamedTuple):
    """A part, `least` to `most` times; `None` is any number."""

    part: Node
    least: int
    most: int | None


Node = Chars | Assertion | Sequence | Choice | Repeat


class Parser:
    """Reads one regular expression."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self._flags = ""

    @property
    def ignores_case(self) -> bool:
        """Whether the flag `i` was read."""
        return "i" in self._flags

    def parse(self) -> Node:
        """Return the tree.

        Raises:
            ValueError: the text is no regular expression, or one that is not supported.
        """
        flags = _FLAGS.match(self._text)
        if flags is not None:
            self._flags = flags[1]
            unknown = set(self._flags) - set("ims")
            if unknown:
                self._refuse(f"the flag {min(unknown)!r} is not supported", "i, m or s")
            self._at = flags.end()
        node = self._choice()
        if self._at < len(self._text):
            self._refuse("a parenthesis is closed that is not open", r"'\)'")
        return node

    def _refuse(self, problem: str, remedy: str) -> NoReturn:
        message = (
            f"is not a supported regular expression: at position {self._at}, "
            f"{problem}; use {remedy}"
        )
        raise ValueError(message)

    def _sees(self, *starts: str) -> bool:
        return self._text.startswith(starts, self._at)

    def _next(self) -> str:
        if self._at == len(self._text):
            self._refuse("the pattern ends too early", r"'\\' for a backslash")
        char = self._text[self._at]
        self._skip(char)
        return char

    def _skip(self, part: str) -> None:
        """Go on after a part of the text, which is the next one."""
        self._at += len(part)

    def _choice(self) -> Node:
        parts = [self._sequence()]
        while self._sees("|"):
            self._skip("|")
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else Choice(parts)

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while self._at < len(self._text) and not self._sees("|", ")"):
            parts.append(self._repeated(self._atom()))
        return parts[0] if len(parts) == 1 else Sequence(parts)

    def _repeated(self, part: Node) -> Node:
        limits = self._read_limits()
        if limits is None:
            return part
        if self._sees("+"):
            self._refuse("a possessive quantifier is not supported", "one without '+'")
        if self._sees("?"):  # a lazy quantifier finds the same texts
            self._skip("?")
        if self._read_limits() is not None:
            self._refuse("a quantifier follows another one", "a group, as '(a*)*'")
        return Repeat(part, *limits)

    def _read_limits(self) -> tuple[int, int | None] | None:
        limits = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        if self._sees(*limits):
            return limits[self._next()]
        found = _COUNT.match(self._text, self._at)
        if found is None or found[0] == "{}":
            return None  # then the brace is a character
        self._at = found.end()
        first, comma, last = found.groups()
        least = int(first or 0)
        most = least if not comma else int(last) if last else None
        if most is not None and most < least:
            self._refuse("a quantifier has its limits in the wrong order", "'{1,2}'")
        return least, most

    def _atom(self) -> Node:
        if self._sees("("):
            return self._group()
        char = self._next()
        if char == "[":
            return Chars(self._set())
        if char == "\\":
            return self._escape()
        if char == ".":
            return Chars(ANY if "s" in self._flags else ANY_BUT_LINE_BREAK)
        if char in "^$":
            return Assertion(f"{char}m" if "m" in self._flags else char)
        if char in "*+?":
            self._at -= 1
            self._refuse(f"{char!r} has nothing to repeat", rf"'\{char}'")
        return self._literal(char)

    def _literal(self, char: str) -> Chars:
        return Chars(CharSet(frozenset(char)))

    def _group(self) -> Node:
        named = _NAMED.match(self._text, self._at)
        if self._sees(*_LOOKAROUNDS):
            self._refuse("lookaround is not supported", "several checks")
        if named is not None:
            opening = named[0]
        elif self._sees("(?:"):
            opening = "(?:"
        elif self._sees("(?"):
            start = self._text[self._at : self._at + 3]
            self._refuse(
                f"{start!r} is not supported", "'(...)' or '(?:...)'; flags come first"
            )
        else:
            opening = "("
        if self._depth == _DEEPEST:
            self._refuse(f"more than {_DEEPEST} groups are in each other", "fewer")
        self._skip(opening)
        self._depth += 1
        node = self._choice()
        self._depth -= 1
        if not self._sees(")"):
            self._refuse("a parenthesis is not closed", r"')', or '\(' for this one")
        self._skip(")")
        return node

    def _escape(self) -> Node:
        char = self._next()
        if char in KINDS:
            return Chars(CharSet(kinds=(char,)))
        if char in "bB":
            return Assertion(char)
        if char in "AZz":
            return Assertion("^" if char == "A" else "$")
        return self._literal(self._escaped_char(char))

    def _escaped_char(self, char: str) -> str:
        """Return the character after a backslash that `char` stands for."""
        if char in _HEX_LENGTHS:
            digits = self._text[self._at : self._at + _HEX_LENGTHS[char]]
            whole = _HEX.fullmatch(digits) and len(digits) == _HEX_LENGTHS[char]
            if not whole or int(digits, 16) > 0x10FFFF:  # noqa: PLR2004
                self._refuse(f"a code after \\{char} is not complete", r"'\x41'")
            self._skip(digits)
            return chr(int(digits, 16))
        follows_digit = self._text[self._at : self._at + 1].isdigit()
        if char in _ESCAPES and not (char == "0" and follows_digit):
            return _ESCAPES[char]
        if char.isascii() and char.isalnum():
            self._at -= 2
            what = "a reference to a group" if char.isdigit() else f"'\\{char}'"
            self._refuse(f"{what} is not supported", "the text itself")
        return char

    def _set(self) -> CharSet:
        is_negated = self._sees("^")
        if is_negated:
            self._skip("^")
        chars: set[str] = set()
        ranges: list[tuple[str, str]] = []
        kinds: list[str] = []
        start = self._at
        while not self._sees("]") or self._at == start:
            first = self._set_member()
            if self._sees("-") and not self._sees("-]"):
                self._skip("-")
                last = self._set_member()
                if not first[0] or not last[0] or first[1] > last[1]:
                    self._refuse("a range has no order", "'a-z', or '-' at the end")
                ranges.append((first[1], last[1]))
            elif first[0]:
                chars.add(first[1])
            else:
                kinds.append(first[1])
        self._skip("]")
        return CharSet(
            frozenset(chars),
            tuple(ranges),
            tuple(kinds),
            is_negated=is_negated,
        )

    def _set_member(self) -> tuple[bool, str]:
        """Return whether the next member is a character, and it or its kind."""
        if self._at == len(self._text):
            self._refuse("a bracket is not closed", r"']', or '\[' for this one")
        char = self._next()
        if char != "\\":
            return True, char
        char = self._next()
        if char in KINDS:
            return False, char
        return True, "\b" if char == "b" else self._escaped_char(char)
