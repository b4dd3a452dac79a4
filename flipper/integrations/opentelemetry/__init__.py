# SPDX-License-Identifier: Apache-2.0
"""Evaluations of flags as events and metrics of OpenTelemetry.

docs/opentelemetry.md shows how to use them. `events` and `metrics` have the hooks of a
`FeatureFlagClient`, `openfeature` has those of OpenFeature, and `attributes` what they
record. Only OpenTelemetry's API is imported: without its SDK, nothing is recorded.
"""

from __future__ import annotations

from .. import require

require("opentelemetry.metrics", "opentelemetry")

from .events import EvaluationEvents as EvaluationEvents  # noqa: E402
from .metrics import EvaluationMetrics as EvaluationMetrics  # noqa: E402
