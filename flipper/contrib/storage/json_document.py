# SPDX-License-Identifier: Apache-2.0
"""The JSON document of a flag: what can be written, and how it is read fast."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ...arguments import is_state
from ...bucketing.factory import BucketerFactory
from ...conditions.operators.operator import Operator
from ...exceptions import InvalidArgumentError, InvalidFlagDataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

match_plain_flag = re.compile(
    rb'\{"feature_name": "([^"\\\x00-\x1f\x7f-\xff]*)", "is_enabled": (true|false), '
    rb'"meta": \{"client_data": \{\}, "created_date": (0|[1-9][0-9]{0,15}), '
    rb'"conditions": \[\], "bucketer": \{"type": "NoOpBucketer"\}\}\}'
).fullmatch
"""Matches a document, as `serialize` writes it, of a flag that is just on or off.

The groups are its name, state and creation date. Most flags are like that, and programs
read all flags when they start. This takes half of the time of decoding JSON.
"""
_decoder: Any = json.JSONDecoder()


def parse(text: str) -> Any:
    """Return what a JSON document holds.

    Raises:
        json.JSONDecodeError: the text is not JSON.
    """
    # `json.loads` first looks for white space, which takes a third of its time and
    # which flipper does not write.
    try:
        fields, end = _decoder.scan_once(text, 0)
    except (StopIteration, ValueError):
        end = None
    return fields if end == len(text) else json.loads(text)


def write(feature_name: object, fields: dict[str, Any]) -> str:
    """Return the JSON document of a flag.

    Raises:
        InvalidArgumentError: JSON cannot express a value.
    """
    try:
        return json.dumps(fields)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgumentError(
            f"Feature {feature_name!r} cannot be stored: {error}; use values that JSON "
            f"can express (text, numbers, booleans, None, lists, dicts)",
            feature_name=feature_name,
            value=_find_inexpressible(fields),
        ) from error


def readable_state(feature_name: object, state: Any) -> Any:
    """Return a state that was read, if it is on or off.

    Raises:
        InvalidFlagDataError: it is neither. The text "false" is one example, which
            Python would take for true.
    """
    if type(state) is not bool and not is_state(state):
        message = f"its state is {state!r}, not true, false, null, 0 or 1"
        raise InvalidFlagDataError(message, feature_name=feature_name)
    return state


def _find_inexpressible(value: object) -> object:
    """Return the innermost value that JSON cannot express."""
    entries: Any = ()
    if isinstance(value, dict):
        entries = value.values()
    elif isinstance(value, (list, tuple)):
        entries = value
    for entry in entries:
        try:
            json.dumps(entry)
        except (TypeError, ValueError, RecursionError):
            return _find_inexpressible(entry)
    return value


def refuse_unregistered(feature_name: object, meta: Mapping[str, Any]) -> None:
    """Refuse to write a flag that nobody could read again.

    Raises:
        InvalidArgumentError: an operator or the bucketer in `meta`, which is plain
            data, is not registered.
    """
    kind = meta["bucketer"].get("type")
    if kind not in BucketerFactory.BUCKETER_MAP:
        _refuse(feature_name, "bucketer", kind, "BucketerFactory.register")
    for condition in meta["conditions"]:
        for checks in condition.values():
            for check in checks:
                symbol = check["operator"]
                if symbol not in Operator.OPERATOR_MAP:
                    _refuse(feature_name, "operator", symbol, "OPERATOR_MAP")


def _refuse(feature_name: object, what: str, value: object, registry: str) -> NoReturn:
    raise InvalidArgumentError(
        f"Feature {feature_name!r} cannot be stored: its {what} {value!r} is "
        f"unknown, so nobody could read the flag; add it by {registry}",
        feature_name=feature_name,
        value=value,
    )
