# SPDX-License-Identifier: Apache-2.0
"""Flags that are not decoded yet: a table of flags has their documents, as bytes."""

from __future__ import annotations

from typing import Any

from ...exceptions import InvalidFlagDataError
from .item import FeatureFlagStoreItem


def decode(feature_name: str, document: bytes) -> FeatureFlagStoreItem:
    """Return the flag in a document.

    Raises:
        InvalidFlagDataError: the document is not a flag of this name.
    """
    try:
        item = FeatureFlagStoreItem.deserialize(document)
    except InvalidFlagDataError as error:
        error.feature_name = feature_name
        raise
    if item.feature_name != feature_name:
        message = f"its document is of the flag {item.feature_name!r}"
        raise InvalidFlagDataError(message, feature_name=feature_name)
    item.document = document
    return item


def decoded_or_none(feature_name: str, found: Any) -> Any:
    """Return what a table has, decoded, or `None` if it is a document of no flag."""
    if type(found) is bytes:
        try:
            return decode(feature_name, found)
        except InvalidFlagDataError:
            return None
    return found
