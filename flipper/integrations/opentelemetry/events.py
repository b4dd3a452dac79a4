# SPDX-License-Identifier: Apache-2.0
"""`EvaluationEvents`: a hook of a client that emits an event for each evaluation."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry._logs import LogRecord, get_logger

from ... import __version__
from ...exceptions import InvalidArgumentError
from .attributes import CONTEXT_ID, SET_ID, Outcome

if TYPE_CHECKING:
    from opentelemetry._logs import LoggerProvider

    from ...explanation import Evaluation

EVENT_NAME: Final = "feature_flag.evaluation"


class EventEmitter:
    """Emits the events of evaluations. Safe for threads, asyncio and forks.

    Args:
        logger_provider: of OpenTelemetry; `None` is the global one.
    """

    def __init__(self, logger_provider: LoggerProvider | None) -> None:
        self._logger = get_logger(
            "flipper", __version__, logger_provider=logger_provider
        )
        # Since version 1.45, a logger says whether anybody listens.
        self._is_enabled = getattr(self._logger, "enabled", None)

    @property
    def is_needed(self) -> bool:
        """Whether anybody listens."""
        return self._is_enabled is None or self._is_enabled(event_name=EVENT_NAME)

    def emit(self, attributes: dict[str, Any]) -> None:
        """Emit an event, in the present span if there is one."""
        record = LogRecord(
            timestamp=time_ns(), event_name=EVENT_NAME, attributes=attributes
        )
        self._logger.emit(record)


class EvaluationEvents:
    """A hook of a client that emits an event `feature_flag.evaluation` per question.

    Pass it to `client.add_hook`. Safe for threads, asyncio and forks.

    Args:
        targeting_key: the name of the argument that is recorded as the context's
            identifier; `None` records none.
        set_id: the identifier of the set of flags, such as the name of a project.
        logger_provider: of OpenTelemetry; `None` is the global one.

    Raises:
        InvalidArgumentError: `targeting_key` or `set_id` is no text.
    """

    def __init__(
        self,
        *,
        targeting_key: str | None = "user_id",
        set_id: str | None = None,
        logger_provider: LoggerProvider | None = None,
    ) -> None:
        for name, value in (("targeting_key", targeting_key), ("set_id", set_id)):
            if value is not None and not isinstance(value, str):
                raise InvalidArgumentError(
                    f"{name}={value!r} is no text; use text, or None", value=value
                )
        self._targeting_key = targeting_key
        self._set_id = set_id
        self._emitter = EventEmitter(logger_provider)

    def __call__(self, evaluation: Evaluation, arguments: dict[str, Any]) -> None:
        """Emit the event of an evaluation."""
        if not self._emitter.is_needed:
            return
        attributes = Outcome.of(evaluation).for_events()
        if self._targeting_key is not None:
            context_id = arguments.get(self._targeting_key)
            if context_id is not None:
                attributes[CONTEXT_ID] = str(context_id)
        if self._set_id is not None:
            attributes[SET_ID] = self._set_id
        self._emitter.emit(attributes)
