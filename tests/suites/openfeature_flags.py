# SPDX-License-Identifier: Apache-2.0
"""Puts the flags of OpenFeature's test suite into a client, by flagd's importer.

The suite describes them much as flagd does. Its conditions are expressions of CEL, of
which only the form `a && b ? 'variant' : ''` is read.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from clients_of_cases import client_of

if TYPE_CHECKING:
    from flipper import FeatureFlagClient

CONDITION = re.compile(r"(?P<clauses>.+?) \? '(?P<variant>[^']+)' : ''")
COMPARISON = re.compile(r"(?P<name>\w+) (?P<sign>==|>) (?P<value>.+)")


def client_of_flags(definitions: dict[str, Any]) -> FeatureFlagClient:
    """Return a client of a memory store with these flags."""
    flags = {name: _as_flagd(each) for name, each in definitions.items()}
    client = client_of("flagd", {"flags": flags})
    for name, each in definitions.items():
        if each.get("flagMetadata"):
            client.set_client_data(name, each["flagMetadata"])
    return client


def _as_flagd(definition: dict[str, Any]) -> dict[str, Any]:
    flag = {
        "state": "DISABLED" if definition.get("disabled") else "ENABLED",
        "variants": definition["variants"],
        "defaultVariant": definition.get("defaultVariant"),
    }
    expression = definition.get("contextEvaluator")
    if expression is not None:
        found = CONDITION.fullmatch(expression)
        assert found, expression
        clauses = [_as_json_logic(each) for each in found["clauses"].split(" && ")]
        flag["targeting"] = {"if": [{"and": clauses}, found["variant"]]}
    return flag


def _as_json_logic(clause: str) -> dict[str, Any]:
    if clause.startswith("!"):
        return {"!": {"var": clause[1:]}}
    found = COMPARISON.fullmatch(clause)
    assert found, clause
    value = json.loads(found["value"].replace("'", '"'))
    return {found["sign"]: [{"var": found["name"]}, value]}
