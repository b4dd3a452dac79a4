# SPDX-License-Identifier: Apache-2.0
"""The attributes of evaluations, by OpenTelemetry's semantic conventions.

Source: "Semantic conventions for feature flags in events", as of version 0.66b2 of the
package opentelemetry-semantic-conventions.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ...explanation import Reason
from ...reason_codes import describe_error, error_code_of, reason_of

if TYPE_CHECKING:
    from ...explanation import Evaluation

KEY: Final = "feature_flag.key"
PROVIDER_NAME: Final = "feature_flag.provider.name"
VARIANT: Final = "feature_flag.result.variant"
VALUE: Final = "feature_flag.result.value"
REASON: Final = "feature_flag.result.reason"
CONTEXT_ID: Final = "feature_flag.context.id"
SET_ID: Final = "feature_flag.set.id"
VERSION: Final = "feature_flag.version"
ERROR_TYPE: Final = "error.type"
ERROR_MESSAGE: Final = "feature_flag.error.message"

PROVIDER: Final = "flipper"
"""The name of the provider for a client of flipper."""
LONGEST_VALUE: Final = 1000
"""The number of characters of a value that are recorded."""


class Outcome(NamedTuple):
    """What telemetry records of an evaluation.

    Attributes:
        key: the flag.
        provider: the name of the provider, or `None`.
        value: the answer.
        variant: the name of the variant, or `None`.
        reason: the reason in lower case, as "targeting_match".
        error_type: the error code in lower case, `None` without an error.
        error_message: what went wrong, for people, or `None`.
    """

    key: str
    provider: str | None
    value: Any
    variant: str | None
    reason: str
    error_type: str | None = None
    error_message: str | None = None

    @classmethod
    def of(cls, evaluation: Evaluation) -> Outcome:
        """Return what to record of an evaluation of a client."""
        code = error_code_of(evaluation)
        return cls(
            str(evaluation.feature_name),
            PROVIDER,
            evaluation.enabled,
            evaluation.variant,
            reason_of(evaluation).lower(),
            None if code is None else code.lower(),
            describe_error(evaluation) if evaluation.reason is Reason.ERROR else None,
        )

    def for_metrics(self) -> dict[str, Any]:
        """Return the attributes that all metrics have."""
        attributes = {KEY: self.key}
        if self.provider is not None:
            attributes[PROVIDER_NAME] = self.provider
        return attributes

    def for_events(self) -> dict[str, Any]:
        """Return the attributes of an event; without a variant, with the value."""
        attributes = {**self.for_metrics(), REASON: self.reason}
        if self.variant is not None:
            attributes[VARIANT] = self.variant
        elif self.value is not None:
            attributes[VALUE] = _recordable(self.value)
        if self.error_type is not None:
            attributes[ERROR_TYPE] = self.error_type
        if self.error_message:
            attributes[ERROR_MESSAGE] = self.error_message
        return attributes


def _recordable(value: Any) -> Any:
    """Return a value that every release of OpenTelemetry accepts."""
    if isinstance(value, (bool, int, float)):
        return value
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text[:LONGEST_VALUE]
