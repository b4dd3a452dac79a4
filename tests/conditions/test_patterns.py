# SPDX-License-Identifier: Apache-2.0
"""Regular expressions find what the module `re` finds, in linear time."""

from __future__ import annotations

import re
import time
import warnings
from threading import Thread
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flipper.conditions.patterns import LONGEST_TEXT, Pattern, compiled_pattern, search
from support.fuzz import PHASES

CHARS = "abB_1 \n-é"
ATOMS = st.sampled_from(
    [
        *("a", "b", "B", "_", "1", " ", "-", "é", r"\.", r"\-", r"\n", r"\x61", "."),
        *(r"\d", r"\w", r"\s", r"\D", r"\W", r"\S", "[ab]", "[^ab]", r"[\w-]", "[a-b]"),
        *(r"[^\s1]", "[]a]", "[^]a]", "[B-b]", r"[\x61-\x62é]", "{", "}", "a{,", "]"),
    ]
)
PLACES = st.sampled_from(["^", "$", r"\b", r"\B", r"\A"])
QUANTIFIERS = st.sampled_from(
    ["*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,2}", "{2,}", "{,1}", "{0}"]
)


def extended(inner: Any) -> Any:
    """Combine regular expressions to larger ones."""
    group = st.one_of(
        inner.map("(?:{})".format),
        inner.map("({})".format),
    )
    return st.one_of(
        st.lists(inner, min_size=2, max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=3).map("|".join).map("(?:{})".format),
        st.tuples(group | ATOMS, QUANTIFIERS).map("".join),
        st.just("()"),
    )


EXPRESSIONS = st.recursive(ATOMS | PLACES, extended, max_leaves=12)
FLAGS = st.sampled_from(["", "", "", "(?i)", "(?s)", "(?m)", "(?im)", "(?ims)"])
TEXTS = st.text(CHARS, max_size=8)


def model(expression: str) -> re.Pattern[str]:
    r"""Compile with `re`, where the end of the text is `\Z`, and `$` means more."""
    has_lines = expression.startswith("(?") and "m" in expression.partition(")")[0]
    expression = expression.replace("$", r"(?=\n|\Z)" if has_lines else r"\Z")
    # Before Python 3.14, `\\B` is not found in the empty text.
    expression = expression.replace(r"\B", r"(?!\b)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of a set in a set
        return re.compile(expression)


@settings(max_examples=300, deadline=None, database=None, phases=PHASES)
@given(FLAGS, EXPRESSIONS, st.lists(TEXTS, min_size=1, max_size=6))
def test_a_pattern_finds_what_re_finds(
    flags: str, expression: str, texts: list[str]
) -> None:
    """`search` of `re` is an independent model."""
    expected = model(flags + expression)
    pattern = Pattern(flags + expression)
    for text in texts:
        found = expected.search(text) is not None
        assert pattern.is_found_in(text) is found, (flags + expression, text)
        assert pattern.is_found_in(text) is found  # by the states that are kept


GROUPS = "is not supported; use '(...)' or '(?:...)'; flags come first"
REFERENCE = "a reference to a group is not supported; use the text itself"
TOO_LARGE = (
    "is too large a regular expression; use a shorter one, or smaller numbers in braces"
)
# Expressions, where the problem is, and what the error says.
REFUSED = [
    *(
        (each, 0, "lookaround is not supported; use several checks")
        for each in ("(?=a)", "(?!a)", "(?<=a)", "(?<!a)b")
    ),
    *((r"(a)\1", 3, REFERENCE), (r"\01a", 0, REFERENCE), (r"[\1]", 1, REFERENCE)),
    *((f"a{start}a)", 1, f"'{start}' {GROUPS}") for start in ("(?P", "(?>", "(?#")),
    *((f"{start}a)", 0, f"'{start[:3]}' {GROUPS}") for start in ("(?i:", "(?(1)")),
    *(("a(?i)b", 1, f"'(?i' {GROUPS}"), ("(?", 0, f"'(?' {GROUPS}")),
    ("(?x)a", 0, "the flag 'x' is not supported; use i, m or s"),
    ("(?iX)a", 0, "the flag 'X' is not supported; use i, m or s"),
    ("(?LIi)a", 0, "the flag 'I' is not supported; use i, m or s"),
    ("a++", 2, "a possessive quantifier is not supported; use one without '+'"),
    *(
        (each, len(each), "a quantifier follows another one; use a group, as '(a*)*'")
        for each in ("a**", "a{2}{3}")
    ),
    ("a{3,2}b", 6, "a quantifier has its limits in the wrong order; use '{1,2}'"),
    *(
        (f"a|{each}", 2, rf"'{each}' has nothing to repeat; use '\{each}'")
        for each in "*+?"
    ),
    ("(a", 2, r"a parenthesis is not closed; use ')', or '\(' for this one"),
    ("a)b", 1, r"a parenthesis is closed that is not open; use '\)'"),
    *(
        (each, 2, r"a bracket is not closed; use ']', or '\[' for this one")
        for each in ("[a", "[]")
    ),
    *(
        (
            f"[{each}]",
            len(each) + 1,
            "a range has no order; use 'a-z', or '-' at the end",
        )
        for each in ("b-a", r"\d-z", r"a-\d")
    ),
    ("a\\", 2, r"the pattern ends too early; use '\\' for a backslash"),
    *(
        (each, each.index("\\"), rf"'\{char}' is not supported; use the text itself")
        for each, char in ((r"\p{L}", "p"), (r"a\q", "q"), (r"\X", "X"), (r"[\B]", "B"))
    ),
    *(
        (rf"\{each}", 2, rf"a code after \{each[0]} is not complete; use '\x41'")
        for each in ("x4", "u004", "U00110000", "x+1", "xag")
    ),
    ("(" * 51 + ")" * 51, 50, "more than 50 groups are in each other; use fewer"),
]


@pytest.mark.parametrize(("expression", "place", "problem"), REFUSED)
def test_what_needs_backtracking_is_refused(
    expression: str, place: int, problem: str
) -> None:
    """The error says what, where, and what to use instead."""
    with pytest.raises(ValueError, match="regular expression") as caught:
        Pattern(expression)
    assert str(caught.value) == (
        f"is not a supported regular expression: at position {place}, {problem}"
    )


def test_only_groups_in_each_other_count() -> None:
    """Any number may follow each other."""
    deepest = f"{'(' * 50}b{')' * 50}"
    assert Pattern("(a)" * 60 + deepest).is_found_in("a" * 60 + "b")
    with pytest.raises(ValueError, match="at position 59, more than 50 groups"):
        Pattern(f"(a)(a)(a){'(' * 51}{')' * 51}")


@pytest.mark.parametrize(
    ("largest", "larger"),
    [
        ("a{599}", "a{600}"),
        ("(){599}", "(){600}"),
        ("(a{2,}){149}bcd", "(a{2,}){149}bcde"),
        ("(a{0}){599}", "(a{0}){600}"),
        ("(a{,1}){299}b", "(a?){299}^$"),
        ("(a|b){199}cd", r"(a|b){199}\b\B."),
    ],
)
def test_an_expression_of_too_many_parts_is_refused(largest: str, larger: str) -> None:
    """The error says what to use instead."""
    Pattern(largest)
    with pytest.raises(ValueError, match="too large") as caught:
        Pattern(larger)
    assert str(caught.value) == TOO_LARGE


@pytest.mark.parametrize(
    ("expression", "found", "missed"),
    [
        (
            r"^[a-z0-9._%+-]+@example\.(com|org)$",
            ["a.b@example.com"],
            ["a@example.comx"],
        ),
        (r"^\d{3}-\d{4}\Z", ["555-1234"], ["555-12345", "555-1234\n"]),
        (r"(?P<year>\d{4})|(?<name>x)", ["in 2026", "x"], ["202"]),
        (r"\bcat\b", ["a cat!", "cat"], ["concat", "cats"]),
        (r"\x41\u00e9\U0001F42C\t\0", ["A\u00e9\U0001f42c\t\0"], ["A"]),
        (r"(?i)straßE|[k-l]", ["STRAßE", "K", "l"], ["strasse", "j"]),
        (r"(?i)^[^a]$", ["b", "B"], ["a", "A"]),
        # The Kelvin sign is another upper case of "k", and the long s another "s".
        ("(?i)K", ["k", "\u212a"], ["l"]),
        ("(?i)s", ["S", "\u017f"], ["t"]),
        ("[b-c]|[x-x]", ["b", "c", "x"], ["a", "d", "w", "y"]),
        (r"\U0010ffff|\xAf", ["\U0010ffff", "\xaf"], ["\U0010fffe"]),
        (r"[\]\-\b^]", ["]", "-", "\b", "^"], ["b"]),
        (r"^a{,2}$", ["", "aa"], ["aaa", "a{,2}"]),
        (r"a{x}|b{}", ["a{x}", "b{}"], ["ax", "b"]),
        *((f"(?m){start}b", ["b", "a\nb"], ["ab"]) for start in ("^", r"(?:^|\A)")),
        *((f"{start}b", ["b"], ["a\nb", "ab"]) for start in ("^", r"\A", r"(?s)^")),
        *((f"(?m)a{end}", ["a", "a\nb"], ["ab"]) for end in ("$", r"(?:$|\Z)")),
        *((f"a{end}", ["a"], ["a\nb", "ab", "a\n"]) for end in ("$", r"\Z", r"\z")),
        ("abcdefghijk", ["abcabcdefghijk", "abcdefghiabcdefghijk"], ["abcdefghij"]),
        ("(?s)a.b", ["a\nb", "axb"], ["a\n"]),
        ("a.b", ["axb"], ["a\nb"]),
        ("XY", ["XY"], ["", "X", "Y"]),
        ("", ["", "a"], []),
        ("(|a)+$", ["", "a"], []),
    ],
)
def test_the_usual_syntax_is_understood(
    expression: str, found: list[str], missed: list[str]
) -> None:
    """It is that of `re`, without what needs backtracking."""
    pattern = Pattern(expression)
    assert [text for text in [*found, *missed] if pattern.is_found_in(text)] == found


HOSTILE = [
    ("(a+)+$", "a" * (LONGEST_TEXT - 1) + "b"),
    ("(a|aa)+$", "a" * (LONGEST_TEXT - 1) + "b"),
    ("(.*)*x", "y" * LONGEST_TEXT),
    ("(a?){190}c", "a" * LONGEST_TEXT),
    ("(a|b)*a(a|b){100}c", "abbabaab" * (LONGEST_TEXT // 8)),
    (r"(\w+\s?)*:$", "ab " * (LONGEST_TEXT // 3)),
]


@pytest.mark.parametrize(("expression", "text"), HOSTILE)
def test_no_text_takes_long(expression: str, text: str) -> None:
    """The same patterns keep `re` busy for years; the limit is very generous."""
    started = time.thread_time()
    assert Pattern(expression).is_found_in(text) is False
    assert time.thread_time() - started < 10


def test_long_texts_are_not_searched() -> None:
    """Nothing is found in them, and what is no text is none."""
    pattern = Pattern("b$")
    assert pattern.is_found_in("a" * (LONGEST_TEXT - 1) + "b")
    assert not pattern.is_found_in("a" * LONGEST_TEXT + "b")
    assert not pattern.is_found_in(None)
    assert not pattern.is_found_in(b"b")


def test_what_is_kept_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern forgets states, and goes on with the same answers."""
    monkeypatch.setattr(search, "_MOST_KEPT", 7)
    pattern, expected = Pattern("(?:a|b)*a..c"), re.compile("(?:a|b)*a..c")
    for number in range(500):
        text = "".join("abcd"[number >> shift & 3] for shift in range(0, 10, 2))
        assert pattern.is_found_in(text) is (expected.search(text) is not None)
        assert len(pattern._states) <= 8


def test_threads_share_a_pattern(
    threads_switch_often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They keep and forget states at the same time."""
    monkeypatch.setattr(search, "_MOST_KEPT", 20)
    pattern, expected = Pattern("a[bc]*d|cc"), re.compile("a[bc]*d|cc")
    wrong = []

    def run(seed: int) -> None:
        for number in range(seed, 1500, 4):
            text = "".join("abcd"[number >> shift & 3] for shift in range(0, 12, 2))
            if pattern.is_found_in(text) is not (expected.search(text) is not None):
                wrong.append(text)

    threads = [Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_pattern_never_has_a_state_that_is_not_complete() -> None:
    """Another thread may take the state of a match as soon as the pattern has it."""
    complete = []

    class Watched(Pattern):
        def __setattr__(self, name: str, value: Any) -> None:
            if name == "_found":
                complete.append(value.found)
            super().__setattr__(name, value)

    assert Watched("a").is_found_in("cba")
    assert complete == [True]


def test_checks_with_one_expression_share_its_pattern() -> None:
    """The states that one flag needed help the others."""
    assert compiled_pattern("^x") is compiled_pattern("^x")
    assert compiled_pattern("^x") is not compiled_pattern("^y")
