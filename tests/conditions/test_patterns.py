# SPDX-License-Identifier: Apache-2.0
"""Regular expressions find what the module `re` finds, in linear time."""

from __future__ import annotations

import re
import warnings
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flipper.conditions.patterns import Pattern

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


@settings(max_examples=300, deadline=None, database=None)
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
