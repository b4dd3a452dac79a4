# SPDX-License-Identifier: Apache-2.0
"""The operators that look for a text in a text, and `matches`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .typed import TypedOperator

if TYPE_CHECKING:
    from .typed import Predicate

LONGEST_PATTERN = 500
"""The longest regular expression, in characters."""


def _contains(text: str, parts: tuple[str, ...]) -> bool:
    return any(part in text for part in parts)


class _TextOperator(TypedOperator):
    """The base class of the operators whose value is a text or a list of texts."""

    SCHEMA: ClassVar[dict[str, Any]] = {
        "type": ["string", "array"],
        "items": {"type": "string"},
    }
    IGNORES_CASE: ClassVar[bool] = False
    SOURCE: ClassVar[str]
    holds: ClassVar[Any]  # a function of a text and a tuple of texts

    @classmethod
    def _texts(cls, value: Any) -> tuple[str, ...]:
        given = value if isinstance(value, (list, tuple)) else [value]
        if not all(isinstance(each, str) for each in given):
            message = "is not a text; use a text, or a list of texts"
            raise ValueError(message)
        # A plain copy, since a subclass of str may override methods.
        plain = [str.__str__(each) for each in given]
        return tuple(map(str.casefold, plain) if cls.IGNORES_CASE else plain)

    @classmethod
    def predicate(cls, value: Any) -> Predicate:
        """Return a function that holds if any of the texts is found."""
        texts, holds = cls._texts(value), cls.holds
        if cls.IGNORES_CASE:
            return lambda argument: (
                isinstance(argument, str) and holds(str.casefold(argument), texts)
            )
        return lambda argument: (
            isinstance(argument, str) and holds(str.__str__(argument), texts)
        )

    @classmethod
    def text_source(cls, value: Any) -> tuple[str, Any] | None:
        """Return the call of the method of `str`, which is faster than a function."""
        texts = cls._texts(value)
        if len(texts) != 1:
            return None
        folded = ".casefold()" if cls.IGNORES_CASE else ""
        return cls.SOURCE.replace("{argument}", "{argument}" + folded), texts[0]


class _StartsWith(_TextOperator):
    SOURCE = "{argument}.startswith({operand})"
    holds = staticmethod(str.startswith)


class _EndsWith(_TextOperator):
    SOURCE = "{argument}.endswith({operand})"
    holds = staticmethod(str.endswith)


class _Contains(_TextOperator):
    SOURCE = "{operand} in {argument}"
    holds = staticmethod(_contains)


# The public classes do not derive from each other: a test may replace `compare` of one.
class StartsWithOperator(_StartsWith):
    """The argument is a text that begins with the value, or with one of a list."""

    SYMBOL = "startswith"


class EndsWithOperator(_EndsWith):
    """The argument is a text that ends with the value, or with one of a list."""

    SYMBOL = "endswith"


class ContainsOperator(_Contains):
    """The argument is a text that contains the value, or one of a list."""

    SYMBOL = "contains"


class CaseInsensitiveStartsWithOperator(_StartsWith):
    """`startswith`, of the texts after `str.casefold`."""

    SYMBOL = "istartswith"
    IGNORES_CASE = True


class CaseInsensitiveEndsWithOperator(_EndsWith):
    """`endswith`, of the texts after `str.casefold`."""

    SYMBOL = "iendswith"
    IGNORES_CASE = True


class CaseInsensitiveContainsOperator(_Contains):
    """`contains`, of the texts after `str.casefold`."""

    SYMBOL = "icontains"
    IGNORES_CASE = True


class MatchesOperator(TypedOperator):
    """A regular expression is found in the argument, a text; see `patterns`."""

    SYMBOL = "matches"
    SCHEMA: ClassVar[dict[str, Any]] = {
        "type": "string",
        "maxLength": LONGEST_PATTERN,
    }

    @classmethod
    def predicate(cls, value: Any) -> Predicate:
        """Return a function that searches an argument."""
        if not isinstance(value, str):
            message = "is not a text; use a regular expression, as '^[a-z]+$'"
            raise ValueError(message)  # noqa: TRY004  (one class for all)
        if len(value) > LONGEST_PATTERN:
            message = (
                f"has {len(value)} characters; use a regular expression of at most "
                f"{LONGEST_PATTERN}, or several checks"
            )
            raise ValueError(message)
        # Imported here, because few applications need it.
        from ..patterns import compiled_pattern

        return compiled_pattern(str.__str__(value)).is_found_in


TEXT_OPERATORS: tuple[type[TypedOperator], ...] = (
    StartsWithOperator,
    EndsWithOperator,
    ContainsOperator,
    CaseInsensitiveStartsWithOperator,
    CaseInsensitiveEndsWithOperator,
    CaseInsensitiveContainsOperator,
    MatchesOperator,
)
