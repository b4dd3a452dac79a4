# SPDX-License-Identifier: Apache-2.0
"""The reasons and error codes of OpenFeature and OpenTelemetry for evaluations.

It imports neither of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .contrib.storage.item import FeatureFlagStoreItem
from .exceptions import InvalidFlagDataError, PrerequisiteCycleError
from .explanation import Reason

if TYPE_CHECKING:
    from .explanation import Evaluation

_REASONS: Final = {
    Reason.MISSING: "ERROR",
    Reason.DISABLED: "DISABLED",
    Reason.CONDITION_MATCHED: "TARGETING_MATCH",
    Reason.CONDITION_NOT_MATCHED: "DEFAULT",
    Reason.BUCKETER: "SPLIT",
    Reason.ON: "STATIC",
    Reason.OWN_ITEM: "UNKNOWN",
    Reason.ERROR: "ERROR",
    Reason.RULE: "TARGETING_MATCH",
    Reason.NO_RULE_MATCHED: "DEFAULT",
    Reason.OVERRIDDEN: "STATIC",
}
# Python takes a while to find a member of an enumeration.
_ERROR: Final = Reason.ERROR
_ON: Final = Reason.ON
_NO_RULE_MATCHED: Final = Reason.NO_RULE_MATCHED
_BAD_DEFINITION: Final = (InvalidFlagDataError, PrerequisiteCycleError)
# What Python and flipper raise for an argument of another type than a flag expects.
_BAD_ARGUMENT: Final = (TypeError, ValueError, LookupError, ArithmeticError)


def reason_of(evaluation: Evaluation, item: Any = None) -> str:
    """Return the reason in the terms of OpenFeature, such as "TARGETING_MATCH".

    Args:
        evaluation: what a client has found out.
        item: the flag, if it is known; then "STATIC" and "DEFAULT" are told apart.
    """
    reason = evaluation.reason
    if evaluation.error is not None and reason is not _ERROR:
        return "STALE"  # the last known state of the flag
    if evaluation.bucket is not None:
        return "SPLIT"
    if type(item) is FeatureFlagStoreItem:
        if reason is _ON:
            return "DEFAULT" if item.answer is None else "STATIC"
        if reason is _NO_RULE_MATCHED:
            return "STATIC" if _serves_everybody_the_same(item) else "DEFAULT"
    return _REASONS[reason]


def _serves_everybody_the_same(item: FeatureFlagStoreItem) -> bool:
    rules = item.rules
    return (
        rules is not None
        and len(rules) == 0
        and isinstance(rules.otherwise, (bool, str))
        and not item.raw_meta.conditions
    )


def error_code_of(evaluation: Evaluation, *, was_read: bool = True) -> str | None:
    """Return the error code in the terms of OpenFeature; `None` without an error.

    Args:
        evaluation: what a client has found out.
        was_read: whether there is a flag, so that only its evaluation can have failed.
    """
    if evaluation.reason is Reason.MISSING:
        return "FLAG_NOT_FOUND"
    if evaluation.reason is not Reason.ERROR:
        return None
    if isinstance(evaluation.error, _BAD_DEFINITION):
        return "PARSE_ERROR"
    is_argument = was_read and isinstance(evaluation.error, _BAD_ARGUMENT)
    return "INVALID_CONTEXT" if is_argument else "GENERAL"


def describe_error(evaluation: Evaluation) -> str:
    """Return what went wrong, for people."""
    name, error = evaluation.feature_name, evaluation.error
    if evaluation.reason is Reason.MISSING:
        return describe_missing(name)
    return f"Feature {name!r} has no answer: {type(error).__name__}: {error}"


def describe_missing(feature_name: object) -> str:
    """Return that a flag does not exist."""
    return f"Feature {feature_name!r} does not exist"
