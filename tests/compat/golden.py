# SPDX-License-Identifier: Apache-2.0
"""Reads the golden cases, and compares outcomes with them.

A case file is JSON; what JSON lacks is written as an object with a key that starts
with `$` (see `vectors/README.md`). Three steps, one function each: `decode` makes
Python values of what a case gives, `encode` writes an outcome down in the same
notation, `agree` compares the two after settling what the format leaves open.
`FLIPPER_VECTORS` names another directory of files of the same kind.
"""

from __future__ import annotations

import functools
import json
import math
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flipper import Condition, bucketing
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.flag import FeatureFlag
from flipper_thrift.python.feature_flag_store import ttypes

if TYPE_CHECKING:
    from collections.abc import Callable

VECTORS = Path(os.environ.get("FLIPPER_VECTORS") or Path(__file__).parent / "vectors")
TWO_DAYS = 2 * 24 * 60 * 60

Case = dict[str, Any]


class Raised:
    """An exception that was raised, for comparison with `{"raises": ...}`."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __repr__(self) -> str:
        return f"Raised({self.error!r})"

    def is_what(self, wanted: Any) -> bool:
        """Return whether it has the expected class or message."""
        if not isinstance(wanted, dict) or "raises" not in wanted:
            return False
        if wanted.get("message", str(self.error)) != str(self.error):
            return False
        return wanted["raises"] in {cls.__name__ for cls in type(self.error).__mro__}


def cases(
    name: str, marker: Callable[[Case], str | None] = lambda _: None
) -> list[Any]:
    """Return the cases of one file as parameters, with their ids.

    `marker` names the pytest marker that a case needs, if any.
    """
    text = (VECTORS / f"{name}.json").read_text(encoding="utf-8")
    params = []
    for case in json.loads(text)["cases"]:
        mark = marker(case)
        marks = [getattr(pytest.mark, mark)] if mark else []
        params.append(pytest.param(case, id=case["id"], marks=marks))
    return params


def outcome(act: Callable[[], Any]) -> Any:
    """Return what `act` returns, in the notation of the cases, or has raised."""
    try:
        return encode(act())
    except Exception as error:  # noqa: BLE001 (the case says which one is right)
        return Raised(error)


# From the notation


def decode(value: Any) -> Any:
    """Return the Python value of a notation."""
    if isinstance(value, list):
        return [decode(each) for each in value]
    if not isinstance(value, dict):
        return value
    for sign, make in NOTATIONS.items():
        if sign in value:
            return make(value)
    return {key: decode(each) for key, each in value.items()}


def make_meta(fields: dict[str, Any]) -> FeatureFlagStoreMeta:
    """Make metadata with the given fields of `$new_meta`."""
    return FeatureFlagStoreMeta(fields["created_date"], **meta_fields(fields))


def meta_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the optional arguments for metadata from `$new_meta`."""
    given: dict[str, Any] = {}
    if "client_data" in fields:
        given["client_data"] = decode(fields["client_data"])
    if "conditions" in fields:
        conditions = fields["conditions"]
        given["conditions"] = conditions and [
            Condition(**decode(each)) for each in conditions
        ]
    if "bucketer" in fields:
        bucketer = fields["bucketer"]
        given["bucketer"] = bucketer and _bucketer(bucketer)
    return given


def _bucketer(fields: dict[str, Any]) -> Any:
    arguments = {name: each for name, each in fields.items() if name != "class"}
    if "percentage" in arguments:
        percentage = dict(arguments["percentage"])
        make = getattr(bucketing, percentage.pop("class"))
        arguments["percentage"] = make(**percentage)
    return getattr(bucketing, fields["class"])(**arguments)


def _thrift(value: dict[str, Any]) -> Any:
    return getattr(ttypes, value["$thrift"])(**decode(value["fields"]))


NOTATIONS: dict[str, Callable[[Any], Any]] = {
    "$tuple": lambda value: tuple(decode(value["$tuple"])),
    "$set": lambda value: set(decode(value["$set"])),
    "$bytes": lambda value: bytes.fromhex(value["$bytes"]),
    "$float": lambda value: float(value["$float"]),
    "$pairs": lambda value: dict(map(decode, value["$pairs"])),
    "$object": lambda _: object(),
    "$new_condition": lambda value: Condition(**decode(value["$new_condition"])),
    "$new_bucketer": lambda value: _bucketer(value["$new_bucketer"]),
    "$new_meta": lambda value: make_meta(value["$new_meta"]),
    "$thrift": _thrift,
}


# Into the notation


@functools.singledispatch
def encode(value: Any) -> Any:
    """Write a Python value in the notation of the cases."""
    if value is None or isinstance(value, (int, str, Raised)):
        return value
    if hasattr(value, "get_type"):
        return {"$bucketer": encode(value.to_dict())}
    if hasattr(value, "thrift_spec"):
        names = [spec[2] for spec in value.thrift_spec if spec]
        fields = {name: encode(getattr(value, name)) for name in names}
        return {"$thrift": type(value).__name__, "fields": fields}
    return {"$object": True}


@encode.register
def _(value: float) -> Any:
    return value if math.isfinite(value) else {"$float": str(value)}


@encode.register
def _(value: bytes) -> Any:
    return {"$bytes": value.hex()}


@encode.register
def _(value: list) -> Any:
    return [encode(each) for each in value]


@encode.register
def _(value: tuple) -> Any:
    return {"$tuple": [encode(each) for each in value]}


@encode.register
def _(value: set) -> Any:
    return {"$set": [encode(each) for each in value]}


@encode.register
def _(value: dict) -> Any:
    if all(isinstance(key, str) for key in value):
        return {key: encode(each) for key, each in value.items()}
    return {"$pairs": [[encode(key), encode(each)] for key, each in value.items()]}


@encode.register
def _(value: Condition) -> Any:
    return {"$condition": encode(value.to_dict())}


@encode.register
def _(value: FeatureFlag) -> Any:
    return {"$flag": value.name}


@encode.register
def _(value: FeatureFlagStoreMeta) -> Any:
    return {"$meta": encode(value.to_dict())}


@encode.register
def _(value: FeatureFlagStoreItem) -> Any:
    return {"$item": encode(value.to_dict())}


# Comparison


def agree(expect: Any, actual: Any, tolerance: float | None = None) -> None:
    """Fail unless `actual` is what the `expect` of a case says."""
    if "raises" in expect:
        assert same(expect, actual), f"expected {expect}, got {actual!r}"
        return
    (wanted,) = expect.values()
    if tolerance is not None:
        assert type(actual) is type(wanted)
        assert actual == pytest.approx(wanted, rel=0, abs=tolerance)
        return
    wanted, actual = definite(wanted), definite(actual)
    assert same(wanted, actual), f"expected {wanted}\n     got {actual}"


def same(wanted: Any, actual: Any) -> bool:
    """Return whether two written values are the same, with their types."""
    if isinstance(actual, Raised):
        return actual.is_what(wanted)
    if type(wanted) is not type(actual):
        return False
    if isinstance(wanted, dict):
        return wanted.keys() == actual.keys() and all(
            same(wanted[key], actual[key]) for key in wanted
        )
    if isinstance(wanted, list):
        return len(wanted) == len(actual) and all(map(same, wanted, actual))
    return repr(wanted) == repr(actual)


def definite(value: Any) -> Any:
    """Replace what the format leaves open by a fixed value.

    White lists are sorted, a creation date of these days is `"NOW"`, variables without
    a check are dropped, and the long form of an object is made short.
    """
    if isinstance(value, list):
        return [definite(each) for each in value]
    if isinstance(value, str):
        return _definite_text(value)
    if not isinstance(value, dict):
        return value
    if "$set" in value:
        return {"$set": sorted(definite(value["$set"]), key=repr)}
    if "$pairs" in value:
        return _definite_pairs(value["$pairs"])
    return {key: _definite_field(key, each) for key, each in value.items()}


def _definite_pairs(pairs: list[Any]) -> Any:
    if all(isinstance(key, str) for key, _ in pairs):
        return definite(dict(pairs))
    return {"$pairs": sorted(definite(pairs), key=repr)}


def _definite_field(key: str, value: Any) -> Any:
    if key == "created_date" and _is_now(value):
        return "NOW"
    if key == "key_whitelist" and isinstance(value, list):
        return sorted(value, key=json.dumps)
    if key == "conditions" and isinstance(value, list):
        return [definite(_without_empty(each)) for each in value]
    if key in ("$condition", "to_dict"):
        return definite(_without_empty(value))
    return definite(value)


def _without_empty(condition: Any) -> Any:
    if not isinstance(condition, dict):
        return condition
    return {variable: checks for variable, checks in condition.items() if checks != []}


def _is_now(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return abs(value - time.time()) < TWO_DAYS


def _definite_text(text: str) -> str:
    """Do the same inside a stored document, which is compared as text."""
    if not text.startswith('{"feature_name"'):
        return text

    def date(found: re.Match[str]) -> str:
        return '"created_date": NOW' if _is_now(int(found[1])) else found[0]

    text = re.sub(r'"created_date": (\d+)', date, text)
    sign = '"key_whitelist": '
    at = text.find(sign)
    while at >= 0:
        at += len(sign)
        names, end = json.JSONDecoder().raw_decode(text, at)
        text = text[:at] + json.dumps(sorted(names, key=json.dumps)) + text[end:]
        at = text.find(sign, at)
    return text
