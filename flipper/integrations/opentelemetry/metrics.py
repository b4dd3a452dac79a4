# SPDX-License-Identifier: Apache-2.0
"""`EvaluationMetrics`: a hook of a client that counts evaluations.

Its metrics have the names of those of OpenFeature's hooks in other languages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.metrics import get_meter

from ... import __version__
from .attributes import ERROR_TYPE, REASON, VARIANT, Outcome

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

    from ...explanation import Evaluation


class EvaluationCounters:
    """The metrics of evaluations. Safe for threads, asyncio and forks.

    Args:
        meter_provider: of OpenTelemetry; `None` is the global one.

    Attributes:
        active: counts the evaluations that have begun and not ended.
    """

    def __init__(self, meter_provider: MeterProvider | None) -> None:
        meter = get_meter("flipper", __version__, meter_provider)
        self._requests = meter.create_counter(
            "feature_flag.evaluation_requests_total",
            "{request}",
            "How often flags were asked for",
        )
        self._successes = meter.create_counter(
            "feature_flag.evaluation_success_total",
            "{impression}",
            "How often flags were evaluated",
        )
        self._errors = meter.create_counter(
            "feature_flag.evaluation_error_total",
            "{error}",
            "How often defaults were used because of an error",
        )
        self.active = meter.create_up_down_counter(
            "feature_flag.evaluation_active_count",
            "{evaluation}",
            "How many evaluations are going on",
        )

    def count(self, outcome: Outcome) -> None:
        """Count an evaluation."""
        attributes = outcome.for_metrics()
        self._requests.add(1, attributes)
        if outcome.error_type is not None:
            self._errors.add(1, {**attributes, ERROR_TYPE: outcome.error_type})
            return
        attributes = {**attributes, REASON: outcome.reason}
        if outcome.variant is not None:
            attributes[VARIANT] = outcome.variant
        self._successes.add(1, attributes)


class EvaluationMetrics:
    """A hook of a client that counts requests, successes and errors for each flag.

    Pass it to `client.add_hook`. Safe for threads, asyncio and forks.

    Args:
        meter_provider: of OpenTelemetry; `None` is the global one.
    """

    def __init__(self, *, meter_provider: MeterProvider | None = None) -> None:
        self._counters = EvaluationCounters(meter_provider)

    def __call__(self, evaluation: Evaluation, arguments: dict[str, Any]) -> None:  # noqa: ARG002
        """Count an evaluation."""
        self._counters.count(Outcome.of(evaluation))
