# SPDX-License-Identifier: Apache-2.0
"""Flags in a file as plain data: reads them, and makes them of stored flags."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from ..arguments import RESERVED_KEY, check_feature_name
from ..contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from ..exceptions import InvalidArgumentError
from .bucketers import plain_bucketer, read_bucketer
from .conditions import plain_conditions, read_conditions
from .problems import FewerProblems, check_keys, told
from .rules import RULES_KEYS, read_rules, refuse_reserved
from .values import check_value, is_number

if TYPE_CHECKING:
    from .problems import Place

VERSION: Final = 1
"""The version of the form that this library reads and writes."""
_TOP: Final = {"version": "version = 1", "flags": "[flags.NAME] with enabled = true"}
_FLAG: Final = {"enabled": "enabled = false"}
_OPTIONAL: Final = (
    *("conditions", "bucketer", "created_date", "client_data"),
    *RULES_KEYS,
)


def read_flags_data(place: Place, data: Any) -> list[FeatureFlagStoreItem]:
    """Return the flags of a file, in its order, and report mistakes."""
    if not isinstance(data, dict):
        place.refuse(f"holds {told(data)}; write a table with version and flags")
        return []
    version = data.get("version", VERSION)
    if not is_number(version) or version != VERSION:
        # All else may have another meaning there.
        place.at("version").refuse(
            f"is {told(version)}; this library reads version {VERSION}: write version "
            f"= {VERSION}, or upgrade the library if a newer one has written the file"
        )
        return []
    check_keys(place, data, _TOP, ("$schema",))
    if not isinstance(data.get("$schema", ""), str):
        place.at("$schema").refuse(
            f"is {told(data['$schema'])}; write the address of the JSON Schema"
        )
    flags = data.get("flags", {})
    place = place.at("flags")
    if not isinstance(flags, dict):
        place.refuse(f"is {told(flags)}; write a table with a table for each flag")
        return []
    found = [_read_flag(place.at(name), name, flag) for name, flag in flags.items()]
    return [item for item in found if item is not None]


def _read_flag(place: Place, name: str, flag: Any) -> FeatureFlagStoreItem | None:
    is_right = FewerProblems.since_now(place)
    try:
        check_feature_name(name)
    except InvalidArgumentError as error:
        place.refuse(str(error), at_name=True)
    if not check_keys(place, flag, _FLAG, _OPTIONAL):
        return None
    conditions: list[Any] = []
    bucketer = None
    if "enabled" in flag and not _is_state(flag["enabled"]):
        place.at("enabled").refuse(f"is {told(flag['enabled'])}; write true or false")
    if "conditions" in flag:
        conditions = read_conditions(place.at("conditions"), flag["conditions"])
    if "bucketer" in flag:
        bucketer = read_bucketer(place.at("bucketer"), flag["bucketer"], name)
    rules = read_rules(place, flag)
    created_date = flag.get("created_date")
    _check_date(place.at("created_date"), created_date)
    client_data = flag.get("client_data", {})
    if isinstance(client_data, dict):
        check_value(place.at("client_data"), client_data)
        refuse_reserved(place.at("client_data"), client_data)
    else:
        place.at("client_data").refuse(
            f"is {told(client_data)}; write a table of names and values"
        )
    if not is_right:
        return None
    meta = FeatureFlagStoreMeta(created_date, client_data, conditions, bucketer)
    meta.set_rules(rules)
    return FeatureFlagStoreItem(name, flag["enabled"], meta)


def _is_state(value: Any) -> bool:
    # Stores may also hold null and 0 for off and 1 for on, by flipper-client.
    return value is None or (isinstance(value, (int, float)) and value in (0, 1))


def _check_date(place: Place, value: Any) -> None:
    if value is None or (is_number(value) and value - value == 0):
        check_value(place, value)
        return
    example = 1767225600
    if isinstance(value, datetime) and value.tzinfo is not None:
        example = int(value.timestamp())
    place.refuse(
        f"is {told(value)}; write seconds since 1970, such as {example}, or leave it "
        f"out"
    )


def plain_flag(item: FeatureFlagStoreItem) -> dict[str, Any]:
    """Return a flag as a file has it, without what is default.

    Raises:
        InvalidArgumentError: no store could keep the flag.
    """
    stored = json.loads(item.serialize())
    meta = stored["meta"]
    # A document has the rules of the flag here, and its state beside them.
    rules = meta["client_data"].pop(RESERVED_KEY, None)
    bucketer = None if rules else plain_bucketer(meta["bucketer"])
    plain = {
        "enabled": (rules or stored)["is_enabled"],
        "conditions": plain_conditions(meta["conditions"]) or None,
        "bucketer": bucketer,
        "created_date": meta["created_date"],
        "client_data": meta["client_data"] or None,
        **{key: rules[key] for key in RULES_KEYS if rules and key in rules},
    }
    return {k: v for k, v in plain.items() if v is not None or k == "enabled"}
