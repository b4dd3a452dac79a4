# SPDX-License-Identifier: Apache-2.0
"""The types of OpenFeature's questions, and the values of flags that have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Convert = Callable[[Any], Any]


class WrongTypeError(Exception):
    """A flag serves a value of another type than it was asked for."""


def boolean(value: Any) -> bool:
    """Return a value that is on or off.

    Raises:
        WrongTypeError: it is anything else.
    """
    if type(value) is bool:
        return value
    raise WrongTypeError


def string(value: Any) -> str:
    """Return a text.

    Raises:
        WrongTypeError: it is anything else.
    """
    if isinstance(value, str):
        return value
    raise WrongTypeError


def integer(value: Any) -> int:
    """Return a whole number; JSON does not tell 10.0 from 10.

    Raises:
        WrongTypeError: it is anything else.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise WrongTypeError


def floating(value: Any) -> float:
    """Return a number as a `float`.

    Raises:
        WrongTypeError: it is no number, or a `float` cannot express it.
    """
    if isinstance(value, float):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            found = float(value)
        except OverflowError:
            raise WrongTypeError from None
        if found == value:
            return found
    raise WrongTypeError


def structure(value: Any) -> Any:
    """Return a list or a dict.

    Raises:
        WrongTypeError: it is anything else.
    """
    if isinstance(value, (dict, list)):
        return value
    raise WrongTypeError


_NAMES: dict[type, str] = {
    bool: "a boolean",
    str: "a string",
    int: "an integer",
    float: "a float",
    dict: "an object",
    list: "an object",
}
_ASKED: dict[Convert, str] = {
    boolean: "a boolean",
    string: "a string",
    integer: "an integer",
    floating: "a float",
    structure: "an object",
}


def describe_mismatch(feature_name: str, value: Any, asked: Convert) -> str:
    """Return what is wrong, for people; without the value, which may be long."""
    served = _NAMES.get(type(value), type(value).__name__)
    return (
        f"Feature {feature_name!r} serves {served}, but {_ASKED[asked]} was asked for; "
        f"ask for {served}, or change the variants of the flag"
    )
