# SPDX-License-Identifier: Apache-2.0
"""The operators that compare versions, by the precedence of Semantic Versioning 2.0.

See https://semver.org/spec/v2.0.0.html, section 11. A "v" may be in front.
"""

from __future__ import annotations

import operator
import re
from typing import Any, ClassVar, Final

from .typed import OrderedOperator, TypedOperator

_LONGEST: Final = 256  # characters
_NUMBER: Final = "(0|[1-9][0-9]*)"
_PART: Final = "(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_VERSION: Final = re.compile(
    rf"[vV]?{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_PART}(?:\.{_PART})*))?"
    r"(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?"
)


class _VersionOperator(OrderedOperator):
    SCHEMA: ClassVar[dict[str, Any]] = {"type": "string", "maxLength": _LONGEST}
    PROBLEM = "is not a semantic version; use a text as '2.1.0' or '2.1.0-beta.1'"

    @staticmethod
    def meaning(given: Any) -> tuple[Any, ...] | None:
        """Return what orders versions, `None` if this is no version."""
        if not isinstance(given, str) or len(given) > _LONGEST:
            return None
        found = _VERSION.fullmatch(given)
        if found is None:
            return None
        major, minor, patch, labels = found.groups()
        core = (int(major), int(minor), int(patch))
        if labels is None:  # a release comes after its pre-releases
            return (*core, 1)
        # Numbers come before words.
        order = [
            (0, int(each)) if each.isdecimal() else (1, each)
            for each in labels.split(".")
        ]
        return (*core, 0, order)


class VersionEqualOperator(_VersionOperator):
    """The two versions have the same precedence."""

    SYMBOL = "semver_eq"
    holds = staticmethod(operator.eq)


class VersionGreaterThanOperator(_VersionOperator):
    """The argument is a later version."""

    SYMBOL = "semver_gt"
    holds = staticmethod(operator.gt)


class VersionGreaterThanOrEqualToOperator(_VersionOperator):
    """The argument is a later version, or the same."""

    SYMBOL = "semver_gte"
    holds = staticmethod(operator.ge)


class VersionLessThanOperator(_VersionOperator):
    """The argument is an earlier version."""

    SYMBOL = "semver_lt"
    holds = staticmethod(operator.lt)


class VersionLessThanOrEqualToOperator(_VersionOperator):
    """The argument is an earlier version, or the same."""

    SYMBOL = "semver_lte"
    holds = staticmethod(operator.le)


VERSION_OPERATORS: tuple[type[TypedOperator], ...] = (
    VersionEqualOperator,
    VersionGreaterThanOperator,
    VersionGreaterThanOrEqualToOperator,
    VersionLessThanOperator,
    VersionLessThanOrEqualToOperator,
)
