# SPDX-License-Identifier: Apache-2.0
"""Conditions as plain data that people can read, by the keywords of `Condition`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .check import OPERATOR_DELIMITER, Check

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from .condition import Condition


def condition_to_plain(condition: Condition, reserved: Collection[str] = ()) -> Any:
    """Return a condition as a dict of keywords, or as a list of checks.

    Args:
        condition: the condition.
        reserved: the keywords that mean something else where the data will be.
    """
    return checks_to_plain(
        [check.to_dict() for check in condition.own_checks], reserved
    )


def checks_to_plain(
    checks: Iterable[dict[str, Any]], reserved: Collection[str] = ()
) -> Any:
    """Return checks, which are plain data, as a dict of keywords, or as a list.

    A list is needed if two checks have the same keyword, or if a keyword would be read
    as something else.
    """
    checks = list(checks)
    keywords = {}
    for check in checks:
        key = Check.make_check_key(check["variable"], check["operator"])
        if key in keywords or key in reserved or not _is_keyword(key, check):
            return [_without_default(each) for each in checks]
        keywords[key] = check["value"]
    return keywords


def _is_keyword(key: str, check: dict[str, Any]) -> bool:
    """Return whether a keyword is read as the check that it was made of."""
    if check["operator"] is None:
        return OPERATOR_DELIMITER not in key
    return Check.split_check_key(key) == (check["variable"], check["operator"])


def _without_default(check: dict[str, Any]) -> dict[str, Any]:
    symbol = check["operator"]
    operator = {} if symbol is None else {"operator": symbol}
    return {"variable": check["variable"], **operator, "value": check["value"]}
