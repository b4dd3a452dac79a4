# SPDX-License-Identifier: Apache-2.0
"""The part of the JSON Schema that describes rules.

It cannot express that a variant which is served is among `variants`, that shares have a
sum of at most 1, and that ranges neither overlap nor end before they start.
"""

from __future__ import annotations

from typing import Any, Final

from ..rules.hashing import HASHES
from ..rules.plain import KEYS_OF_EXPRESSIONS
from ..rules.rules import MOST_RULES
from .percentages_schema import FRACTION
from .rules import RULES_KEYS

_NAME: Final = {"type": "string", "minLength": 1}
_RANGES: Final = {
    "type": "array",
    "items": {"type": "array", "items": FRACTION, "minItems": 2, "maxItems": 2},
}
_BUCKETED: Final = {
    "by": {
        "anyOf": [
            _NAME,
            {"type": "array", "items": _NAME, "minItems": 1, "uniqueItems": True},
        ],
        "description": (
            "The argument that is hashed, or several, of which the first given counts."
        ),
    },
    "seed": {
        "type": ["string", "null"],
        "description": "What is hashed with the argument; without it, the flag's name.",
    },
    "hash": {
        "anyOf": [
            {"enum": [*HASHES, None]},
            # The last part is not `$`, which Python also finds before a line break.
            {
                "type": "string",
                "pattern": (
                    r"^unleash-variants:(?:1000000000|[1-9][0-9]{0,8})(?![\s\S])"
                ),
            },
        ],
        "description": "The hash of another system; without it, flipper's own.",
    },
}

FLAG_PROPERTIES: Final = {
    "rules": {
        "type": "array",
        "maxItems": MOST_RULES,
        "items": {"$ref": "#/$defs/rule"},
        "description": (
            "Rules, in order: the first one that holds decides. Instead of a bucketer."
        ),
    },
    "otherwise": {
        "$ref": "#/$defs/served",
        "description": "What is served if no rule holds; without it, off.",
    },
    "variants": {
        "type": ["object", "null"],
        "propertyNames": {"minLength": 1},
        "description": (
            "The values of the variants, by name; without it, each is its name."
        ),
    },
    "off": {
        "type": ["string", "null"],
        "minLength": 1,
        "description": "The variant that counts as off.",
    },
}
"""The keys of a flag that have to do with rules."""

NO_BUCKETER: Final = {key: {"properties": {"bucketer": False}} for key in RULES_KEYS}
"""What these keys exclude, for `dependentSchemas`."""


def definitions() -> dict[str, Any]:
    """Return the definitions that `FLAG_PROPERTIES` refers to, by name."""
    return {
        "rule": {
            "description": "What is served to those for whom an expression holds.",
            "type": "object",
            "required": ["serve"],
            "additionalProperties": False,
            "properties": {
                "when": {
                    "$ref": "#/$defs/expression",
                    "description": "For whom; without it, for everybody.",
                },
                "serve": {"$ref": "#/$defs/served"},
                "name": {
                    "type": ["string", "null"],
                    "description": "For people; it decides nothing.",
                },
            },
        },
        "expression": _expression(),
        "served": _served(),
        "rollout": _bucketed(
            "rollout",
            {
                "description": "The share of the users, or ranges of their buckets.",
                "if": {"type": "array"},
                "then": _RANGES,
                "else": {"$ref": "#/$defs/percentage"},
            },
        ),
        "split": _bucketed(
            "split",
            {
                "description": "The share of each variant; the rest is served off.",
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"minLength": 1},
                "anyOf": [
                    {"additionalProperties": each} for each in (FRACTION, _RANGES)
                ],
            },
        ),
    }


def _served() -> dict[str, Any]:
    return {
        "description": ("true, false, the name of a variant, a rollout, or a split."),
        "if": {"type": "object"},
        "then": {
            "if": {"required": ["rollout"]},
            "then": {"$ref": "#/$defs/rollout"},
            "else": {"$ref": "#/$defs/split"},
        },
        "else": {"type": ["boolean", "string"], "minLength": 1},
    }


def _expression() -> dict[str, Any]:
    parts = {"type": "array", "items": {"$ref": "#/$defs/expression"}}
    inner = {"all": parts, "any": parts, "not": {"$ref": "#/$defs/expression"}}
    made: dict[str, Any] = {"$ref": "#/$defs/condition"}
    for kind in reversed(KEYS_OF_EXPRESSIONS):
        made = {
            "if": {"type": "object", "required": [kind]},
            "then": {
                "additionalProperties": False,
                "properties": {kind: inner[kind]},
            }
            if kind in inner
            else {"$ref": f"#/$defs/{kind}"},
            "else": made,
        }
    return {
        "description": (
            "A condition; or { all = [...] }, { any = [...] } and { not = ... } of "
            "expressions; or a rollout, for a share of the users."
        ),
        **made,
    }


def _bucketed(key: str, shares: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [key, "by"],
        "additionalProperties": False,
        "properties": {key: shares, **_BUCKETED},
    }
