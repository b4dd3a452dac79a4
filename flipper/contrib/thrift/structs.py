# SPDX-License-Identifier: Apache-2.0
"""Converts flags to Thrift's structs and back, for the store and for the server.

The module of the structs is an argument where one is needed: a user's own compiler of
Thrift may have generated it.
"""

from __future__ import annotations

import json
from typing import Any, Final

from ...arguments import check_state
from ...exceptions import InvalidArgumentError, InvalidFlagDataError
from ..storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from ..storage.json_document import readable_state

NO_LIMIT: Final = 2**31 - 1
"""The limit that stands for no limit: more flags than there are, in 32 bits, so that a
server can add an offset to it in 64 bits."""
LARGEST_I64: Final = 2**63 - 1
"""The largest integer that the service can carry."""


def item_from_struct(
    struct: Any, feature_name: str | None = None
) -> FeatureFlagStoreItem:
    """Make a flag from a struct of the service. Absent fields get their defaults.

    A flag without a state is off. Every check becomes a condition of its own.

    Args:
        struct: a `FeatureFlagStoreItem` of Thrift.
        feature_name: the name, if the struct has none.

    Raises:
        InvalidFlagDataError: the struct is not a flag.
    """
    name = getattr(struct, "feature_name", None)
    if name is None:
        name = feature_name
    if name is None:
        message = "it has no name"
        raise InvalidFlagDataError(message)
    try:
        meta = FeatureFlagStoreMeta(None)
        if getattr(struct, "meta", None) is not None:
            meta = meta_from_struct(struct.meta)
        state = bool(readable_state(name, struct.is_enabled))
        return FeatureFlagStoreItem(name, state, meta)
    except Exception as error:
        raise InvalidFlagDataError.from_error(error, feature_name=name) from error


def meta_from_struct(struct: Any) -> FeatureFlagStoreMeta:
    """Make metadata from a struct of the service, as `item_from_struct` does.

    Raises:
        ValueError: a field is not JSON.
        Exception: the fields are no metadata; see `FeatureFlagStoreMeta.from_dict`.
    """
    # The structs of a test double may have no attribute for an absent field.
    names = ("created_date", "client_data", "conditions", "bucketer")
    date, client_data, found, bucketer = (getattr(struct, n, None) for n in names)
    conditions = [
        {variable: [_check_from_struct(variable, check)]}
        for condition in found or ()
        for variable, checks in condition.items()
        for check in checks
    ]
    return FeatureFlagStoreMeta.from_dict(
        {
            "created_date": date,
            "client_data": json.loads(client_data or "null"),
            "conditions": conditions,
            "bucketer": json.loads(bucketer or "null"),
        }
    )


def _check_from_struct(variable: str, check: Any) -> dict[str, Any]:
    return {
        "variable": variable if check.variable is None else check.variable,
        "value": None if check.value is None else json.loads(check.value),
        "operator": None if check.operator is None else check.operator.symbol,
    }


def item_to_struct(item: FeatureFlagStoreItem, types: Any) -> Any:
    """Make the struct of the service for a flag.

    Args:
        item: the flag.
        types: the module of Thrift's structs.

    Raises:
        InvalidArgumentError: the service cannot carry the flag.
    """
    name = sendable_name(item.feature_name, item.feature_name)
    check_state(name, item.raw_is_enabled)
    return types.FeatureFlagStoreItem(
        feature_name=name,
        is_enabled=bool(item.document_state),
        meta=meta_to_struct(name, item.raw_meta, types),
    )


def meta_to_struct(feature_name: str, meta: FeatureFlagStoreMeta, types: Any) -> Any:
    """Make the struct of the service for metadata, as `item_to_struct` does.

    Raises:
        InvalidArgumentError: the service cannot carry the metadata.
    """
    fields = meta.to_dict()
    date = fields["created_date"]
    if date is not None and not (type(date) is int and abs(date) <= LARGEST_I64):
        raise InvalidArgumentError(
            f"The created_date {date!r} of feature {feature_name!r} cannot be sent; "
            f"use whole seconds since the epoch",
            feature_name=feature_name,
            value=date,
        )
    return types.FeatureFlagStoreMeta(
        created_date=date,
        client_data=json.dumps(fields["client_data"]),
        conditions=[
            {
                sendable_name(feature_name, variable): [
                    types.ConditionCheck(
                        variable=sendable_name(feature_name, check["variable"]),
                        value=json.dumps(check["value"]),
                        operator=types.ConditionOperator(symbol=check["operator"]),
                    )
                    for check in checks
                ]
                for variable, checks in condition.items()
            }
            for condition in fields["conditions"]
        ],
        bucketer=json.dumps(fields["bucketer"]),
    )


def sendable_name(feature_name: Any, name: Any) -> str:
    """Return the name of a flag or a variable, if the service can carry it.

    Args:
        feature_name: the flag, for the error.
        name: the name.

    Raises:
        InvalidArgumentError: the name is not text that UTF-8 can encode.
    """
    try:
        name.encode()
    except (AttributeError, UnicodeEncodeError):
        raise InvalidArgumentError(
            f"{name!r}, of feature {feature_name!r}, cannot be sent as a name; use a "
            f"text that can be encoded as UTF-8",
            feature_name=feature_name,
            value=name,
        ) from None
    return name  # type: ignore[no-any-return]
