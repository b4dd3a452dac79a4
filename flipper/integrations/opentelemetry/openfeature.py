# SPDX-License-Identifier: Apache-2.0
"""The hooks of OpenFeature that record evaluations, with any provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .. import require

require("openfeature", "openfeature")

from openfeature.hook import Hook  # noqa: E402

from .attributes import CONTEXT_ID, SET_ID, VERSION, Outcome  # noqa: E402
from .events import EventEmitter  # noqa: E402
from .metrics import EvaluationCounters  # noqa: E402

if TYPE_CHECKING:
    from openfeature.flag_evaluation import FlagEvaluationDetails
    from openfeature.hook import HookContext, HookHints
    from opentelemetry._logs import LoggerProvider
    from opentelemetry.metrics import MeterProvider

# What a provider may say in the flag metadata.
_CONTEXT_ID_IN_METADATA: Final = "contextId"
_FROM_METADATA: Final = (("flagSetId", SET_ID), ("version", VERSION))
_IS_ACTIVE: Final = "flipper.is_active"


class EvaluationEventsHook(Hook):
    """Emits an event `feature_flag.evaluation` for each evaluation of OpenFeature.

    Pass it to `api.add_hooks` or `add_hooks` of a client. Safe for threads and asyncio.

    Args:
        records_context_id: whether the targeting key is recorded.
        logger_provider: of OpenTelemetry; `None` is the global one.
    """

    def __init__(
        self,
        *,
        records_context_id: bool = True,
        logger_provider: LoggerProvider | None = None,
    ) -> None:
        self._records_context_id = records_context_id
        self._emitter = EventEmitter(logger_provider)

    def finally_after(
        self,
        hook_context: HookContext,
        details: FlagEvaluationDetails[Any],
        hints: HookHints,  # noqa: ARG002
    ) -> None:
        """Emit the event of an evaluation."""
        if not self._emitter.is_needed:
            return
        attributes = _outcome_of(hook_context, details).for_events()
        metadata = details.flag_metadata
        if self._records_context_id:
            targeting_key = hook_context.evaluation_context.targeting_key
            context_id = metadata.get(_CONTEXT_ID_IN_METADATA, targeting_key)
            if context_id is not None:
                attributes[CONTEXT_ID] = str(context_id)
        for key, attribute in _FROM_METADATA:
            if key in metadata:
                attributes[attribute] = str(metadata[key])
        self._emitter.emit(attributes)


class EvaluationMetricsHook(Hook):
    """Counts requests, successes, errors and active evaluations of OpenFeature.

    Pass it to `api.add_hooks` or `add_hooks` of a client. Safe for threads and asyncio.

    Args:
        meter_provider: of OpenTelemetry; `None` is the global one.
    """

    def __init__(self, *, meter_provider: MeterProvider | None = None) -> None:
        self._counters = EvaluationCounters(meter_provider)

    def before(self, hook_context: HookContext, hints: HookHints) -> None:  # noqa: ARG002
        """Count an evaluation that begins."""
        hook_context.hook_data[_IS_ACTIVE] = True
        self._counters.active.add(1, _attributes_of(hook_context))

    def finally_after(
        self,
        hook_context: HookContext,
        details: FlagEvaluationDetails[Any],
        hints: HookHints,  # noqa: ARG002
    ) -> None:
        """Count an evaluation that has ended."""
        # While a provider is not ready, OpenFeature does not call `before`.
        if hook_context.hook_data.pop(_IS_ACTIVE, False):
            self._counters.active.add(-1, _attributes_of(hook_context))
        self._counters.count(_outcome_of(hook_context, details))


def _attributes_of(hook_context: HookContext) -> dict[str, Any]:
    name = _provider_of(hook_context)
    return Outcome(hook_context.flag_key, name, None, None, "").for_metrics()


def _provider_of(hook_context: HookContext) -> str | None:
    metadata = hook_context.provider_metadata
    return None if metadata is None else metadata.name


def _outcome_of(
    hook_context: HookContext, details: FlagEvaluationDetails[Any]
) -> Outcome:
    error_code, reason = details.error_code, details.reason or "UNKNOWN"
    error_type = None if error_code is None else error_code.value.lower()
    if error_type is None and reason == "ERROR":
        error_type = "general"
    # The type says it all then.
    is_missing = error_type == "flag_not_found"
    return Outcome(
        details.flag_key,
        _provider_of(hook_context),
        details.value,
        details.variant,
        str(getattr(reason, "value", reason)).lower(),
        error_type,
        None if error_type is None or is_missing else details.error_message,
    )
