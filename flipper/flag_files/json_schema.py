# SPDX-License-Identifier: Apache-2.0
"""The JSON Schema of files of flags, for editors and other programs.

The parser of this package decides. The schema says the same, with a few exceptions
that JSON Schema cannot express: the length of a name in bytes, how deep values are
nested, the order of the entries of a schedule, the form of dates, versions, networks
and regular expressions, what bucketers of an application's own accept, and what
`rules_schema` lists.
"""

from __future__ import annotations

import re
from typing import Any, Final

from ..arguments import LONGEST_NAME, RESERVED_KEY
from ..bucketing.consistent_hash_percentage_bucketer import (
    ConsistentHashPercentageBucketer,
)
from ..bucketing.factory import BucketerFactory
from ..bucketing.noop_bucketer import NoOpBucketer
from ..bucketing.percentage_bucketer import PercentageBucketer
from ..conditions.operators.operator import Operator
from .conditions import MEMBERSHIP, symbols
from .flags import VERSION
from .percentages_schema import definitions as percentage_definitions
from .rules_schema import FLAG_PROPERTIES, NO_BUCKETER
from .rules_schema import definitions as rules_definitions

_FRACTION: Final = {"type": "number", "minimum": 0, "maximum": 1}
_NO_DELIMITER: Final = r"(?:(?!__)[\s\S])*"
_END: Final = r"(?![\s\S])"  # not `$`, which Python also finds before a line break


def schema() -> dict[str, Any]:
    """Return the JSON Schema of files of flags; see `flipper.flag_files.schema`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Feature flags of flipper",
        "type": "object",
        "required": ["version", "flags"],
        "additionalProperties": False,
        "properties": {
            "$schema": {
                "type": "string",
                "description": "The address of this schema, for editors.",
            },
            "version": {
                "const": VERSION,
                "description": f"The version of the form, {VERSION}.",
            },
            "flags": {
                "type": "object",
                "description": "The flags, by name.",
                "propertyNames": {
                    "maxLength": LONGEST_NAME,
                    "pattern": rf"^[^\u0000]*[^\s\u0000][^\u0000]*{_END}",
                },
                "additionalProperties": {"$ref": "#/$defs/flag"},
            },
        },
        "$defs": {
            "flag": _flag(),
            "condition": _condition(),
            "check": _check(),
            "bucketer": _bucketer(),
            **percentage_definitions(),
            **rules_definitions(),
        },
    }


def _flag() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["enabled"],
        "additionalProperties": False,
        "properties": {
            "enabled": {
                "enum": [True, False, 1, 0, None],
                "description": (
                    "true or false. A disabled flag is off for everybody. 1, 0 and "
                    "null mean on, off and off."
                ),
            },
            "conditions": {
                "type": "array",
                "items": {"$ref": "#/$defs/condition"},
                "description": (
                    "The flag is on only if all conditions hold that look at the "
                    "arguments of the call."
                ),
            },
            "bucketer": {"$ref": "#/$defs/bucketer"},
            "created_date": {
                "type": ["number", "null"],
                "description": "When the flag was created, in seconds since 1970.",
            },
            "client_data": {
                "type": "object",
                "propertyNames": {"not": {"const": RESERVED_KEY}},
                "description": "Data of the application's own, by name.",
            },
            **FLAG_PROPERTIES,
        },
        "dependentSchemas": NO_BUCKETER,
    }


def _condition() -> dict[str, Any]:
    in_keywords = [symbol for symbol in symbols() if "__" not in symbol]
    known = "|".join(map(_escaped, in_keywords))
    operator = rf"(?:{_NO_DELIMITER}__)+(?:{known}){_END}"
    return {
        "description": (
            "Checks of arguments: { country = 'SE', age__gte = 18 }, or a list of "
            "checks."
        ),
        "if": {"type": "array"},
        "then": {"items": {"$ref": "#/$defs/check"}},
        "else": {
            "type": "object",
            "propertyNames": {"pattern": rf"^(?:{_NO_DELIMITER}{_END}|{operator})"},
            "patternProperties": {
                rf"^(?:{_NO_DELIMITER}__)+(?:{'|'.join(map(_escaped, each))}){_END}": (
                    values
                )
                for each, values in _values_by_symbols(in_keywords)
            },
        },
    }


def _values_by_symbols(known: list[str]) -> list[tuple[list[str], dict[str, Any]]]:
    """Return the schemas of values, each with the symbols of its operators."""
    found: list[tuple[list[str], dict[str, Any]]] = []
    for symbol in known:
        kind: Any = Operator.OPERATOR_MAP[symbol]
        if kind in MEMBERSHIP:
            values: dict[str, Any] = {"type": ["array", "object", "string"]}
        elif getattr(kind, "IS_TYPED", False):
            values = kind.SCHEMA
        else:
            continue
        symbols_of = next((each for each, schema in found if schema == values), None)
        if symbols_of is None:
            found.append(([symbol], values))
        else:
            symbols_of.append(symbol)
    return found


def _check() -> dict[str, Any]:
    return {
        "description": "A comparison of one argument of the call with a value.",
        "type": "object",
        "required": ["variable", "value"],
        "additionalProperties": False,
        "properties": {
            "variable": {"type": "string", "description": "The name of the argument."},
            "operator": {
                "enum": [*symbols(), None],
                "description": "The comparison; without it, equality.",
            },
            "value": {"description": "What the argument is compared with."},
        },
        "allOf": [
            {
                "if": {
                    "required": ["operator"],
                    "properties": {"operator": {"enum": each}},
                },
                "then": {"properties": {"value": values}},
            }
            for each, values in _values_by_symbols(symbols())
        ],
    }


def _bucketer() -> dict[str, Any]:
    percentage = {"percentage": {"$ref": "#/$defs/percentage"}}
    names = {
        "type": "array",
        "items": {"type": "string"},
        "description": "The arguments that are hashed; without it, all of them.",
    }
    own_fields: dict[Any, dict[str, Any]] = {
        NoOpBucketer: {},
        PercentageBucketer: percentage,
        ConsistentHashPercentageBucketer: {**percentage, "key_whitelist": names},
    }
    return {
        "type": "object",
        "required": ["type"],
        "description": (
            "Decides whom the flag is on for if no condition looks at the arguments."
        ),
        "properties": {"type": {"enum": sorted(BucketerFactory.BUCKETER_MAP)}},
        "allOf": [
            _if_type(name, own_fields[kind], required=percentage)
            for name, kind in sorted(BucketerFactory.BUCKETER_MAP.items())
            if kind in own_fields
        ],
    }


def _if_type(
    name: str, fields: dict[str, Any], *, required: dict[str, Any]
) -> dict[str, Any]:
    return {
        "if": {"required": ["type"], "properties": {"type": {"const": name}}},
        "then": {
            "required": [key for key in fields if key in required],
            "additionalProperties": False,
            "properties": {"type": True, **fields},
        },
    }


def _escaped(symbol: str) -> str:
    return re.sub(r"[\^$\\.*+?()[\]{}|/]", r"\\\g<0>", symbol)
