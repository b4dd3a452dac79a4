# SPDX-License-Identifier: Apache-2.0
"""Comparisons of versions, of which other systems may leave out the last numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .translation import UntranslatableError, check

if TYPE_CHECKING:
    from ..conditions.expression import Expression

_OPERATORS: Final = {"=": "eq", "<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}
_LOWEST: Final = "-0"  # the first pre-release of a version
_NUMBERS: Final = 3


def compared_version(argument: str, sign: Any, value: Any) -> Expression:
    """Return an expression that compares an argument with a version.

    Args:
        argument: the name of the argument.
        sign: one of `= != < <= > >=`, `^` for the same major version, or `~` for the
            same minor version.
        value: the version; numbers that are left out at its end are 0.

    Raises:
        UntranslatableError: expressions cannot say it.
    """
    version = _whole(value)
    if sign in _OPERATORS:
        return check(argument, f"semver_{_OPERATORS[sign]}", version)
    if sign == "!=":
        is_version = check(argument, "semver_gte", f"0.0.0{_LOWEST}")
        return is_version & ~check(argument, "semver_eq", version)
    if sign not in ("^", "~"):
        message = f"versions are compared by the unknown sign {sign!r}"
        raise UntranslatableError(message)
    major, minor, *_ = version.lstrip("vV").split(".")
    first, after = f"{major}.{minor}.0", f"{major}.{int(minor) + 1}.0"
    if sign == "^":
        first, after = f"{major}.0.0", f"{int(major) + 1}.0.0"
    is_not_before = check(argument, "semver_gte", f"{first}{_LOWEST}")
    return is_not_before & check(argument, "semver_lt", f"{after}{_LOWEST}")


def _whole(value: Any) -> str:
    """Return a version with all numbers; any other text is returned as it is."""
    if not isinstance(value, str):
        message = f"a version is compared with {value!r}, not with a text"
        raise UntranslatableError(message)
    numbers = value.lstrip("vV").split(".")
    if len(numbers) < _NUMBERS and all(map(str.isdecimal, numbers)):
        return value + ".0" * (_NUMBERS - len(numbers))
    return value
