# SPDX-License-Identifier: Apache-2.0
"""Unleash's client specification, through the importer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from clients_of_cases import client_of

from suites import names_of_files, read_suite

# These are about the wire protocol between Unleash's server and its SDKs.
OUT_OF_SCOPE = ("19-", "20-")
FILES = [
    name for name in names_of_files("unleash") if not name.startswith(OUT_OF_SCOPE)
]


def arguments_of(context: dict[str, Any]) -> dict[str, Any]:
    """Return a context of Unleash as keyword arguments."""
    top = {name: value for name, value in context.items() if name != "properties"}
    return {**context.get("properties", {}), **top}


def value_of(variant: dict[str, Any]) -> Any:
    """Return the value that flipper serves for a variant of Unleash."""
    payload = variant.get("payload", {"value": variant["name"]})
    is_text = payload.get("type") not in ("number", "json")
    return payload["value"] if is_text else json.loads(payload["value"])


@pytest.mark.parametrize("file", FILES)
def test_the_answers_agree(file: str) -> None:
    """`is_enabled` and `explain` give what Unleash expects."""
    suite = read_suite(f"unleash/{file}")
    client = client_of("unleash", suite["state"])
    cases = suite.get("tests", [])
    assert cases or suite["variantTests"]
    for case in cases:
        name, arguments = case["toggleName"], arguments_of(case["context"])
        shown = (case["description"], client.get_rules(name))
        assert client.is_enabled(name, **arguments) is case["expectedResult"], shown
        assert bool(client.explain(name, **arguments)) is case["expectedResult"], shown


@pytest.mark.parametrize("file", FILES)
def test_the_variants_agree(file: str) -> None:
    """`variant` gives the payload, and `explain` the name of the variant."""
    suite = read_suite(f"unleash/{file}")
    client = client_of("unleash", suite["state"])
    for case in suite.get("variantTests", []):
        name, arguments = case["toggleName"], arguments_of(case["context"])
        expected, found = case["expectedResult"], client.explain(name, **arguments)
        shown = (case["description"], client.get_rules(name), found)
        is_on = expected["feature_enabled"]
        assert client.is_enabled(name, **arguments) is is_on, shown
        assert found.enabled is is_on, shown
        value, variant = value_of(expected), expected["name"]
        if not expected["enabled"]:  # the flag is off, or has no variants
            value, variant = is_on, None
        assert found.variant == variant, shown
        assert client.variant(name, False, **arguments) == value, shown
