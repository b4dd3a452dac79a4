# SPDX-License-Identifier: Apache-2.0
"""Regular expressions whose search takes time in proportion to the text.

The module `re` tries alternatives one after another, and some patterns need years for a
text of 40 characters. Here `syntax` reads a pattern, `automaton` makes an automaton of
it that follows all alternatives at once, and `search` runs it. What such an automaton
cannot do, as references back to a group, is refused.
"""

from __future__ import annotations

from functools import lru_cache

from .search import LONGEST_TEXT, Pattern

__all__ = ["LONGEST_TEXT", "Pattern", "compiled_pattern"]


@lru_cache(maxsize=256)
def compiled_pattern(text: str) -> Pattern:
    """Return the pattern for a regular expression; checks with the same text share it.

    Raises:
        ValueError: the text is no regular expression, or one that is not supported.
    """
    return Pattern(text)
