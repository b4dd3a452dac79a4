# SPDX-License-Identifier: Apache-2.0
"""How a provider of OpenFeature answers questions by a `FeatureFlagClient`."""

from __future__ import annotations

import asyncio
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider import AbstractProvider

from ...contracts.last_known import put_bounded
from ...contrib.storage.item import FeatureFlagStoreItem
from ...contrib.synced.staleness import FreshFlags
from ...exceptions import FlagDoesNotExistError, InvalidFlagDataError
from ...explanation import Reason as EvaluationReason
from ...reason_codes import describe_error, describe_missing, error_code_of, reason_of
from .typed_values import (
    WrongTypeError,
    boolean,
    describe_mismatch,
    floating,
    integer,
    string,
    structure,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from openfeature.evaluation_context import EvaluationContext

    from ...client import FeatureFlagClient
    from .typed_values import Convert

    Details = FlagResolutionDetails[Any]
    Question = tuple[str, Any, Exception | None, Any, Any]

# Python takes a while to find a member of an enumeration.
_NOT_FOUND: Final = ErrorCode.FLAG_NOT_FOUND
_ERROR: Final = Reason.ERROR
_ERRORS: Final = (EvaluationReason.MISSING, EvaluationReason.ERROR)
_REASONS: Final = {reason.value: reason for reason in Reason}


class _KnownFlag:
    """What is the same for all questions about a flag. It never changes.

    Args:
        item: the flag.

    Attributes:
        answer: whether the flag is on, if that depends on its state alone; or `None`.
        reason: the reason of that answer.
        metadata: the flat values of its client data.
    """

    __slots__ = ("answer", "item", "metadata", "reason")

    def __init__(self, item: FeatureFlagStoreItem) -> None:
        self.item: Any = item
        self.answer = item.answer if item.rules is None else None
        self.reason = Reason.STATIC if self.answer else Reason.DISABLED
        self.metadata = {
            key: value
            for key, value in item.raw_meta.client_data.items()
            if isinstance(key, str) and isinstance(value, (str, bool, int, float))
        }


_UNKNOWN: Final = object.__new__(_KnownFlag)
_UNKNOWN.item = object()  # no flag


def _awaited(resolve: Callable[..., Details]) -> Any:
    """Return a method that can be awaited, given the one that blocks."""
    name = resolve.__name__

    @wraps(resolve)
    async def resolve_async(
        self: ResolvingProvider,
        flag_key: str,
        default_value: Any,
        evaluation_context: EvaluationContext | None = None,
    ) -> Details:
        question = (flag_key, default_value, evaluation_context)
        return await self._call_without_blocking(getattr(self, name), *question)  # type: ignore[no-any-return]

    resolve_async.__name__ = f"{name}_async"
    return resolve_async


class ResolvingProvider(AbstractProvider):
    """The part of `FlipperProvider` that answers questions.

    Args:
        client: the client that answers.
        targeting_key: the name of the argument that is the targeting key.
    """

    def __init__(self, client: FeatureFlagClient, targeting_key: str) -> None:
        super().__init__()
        self._client = client
        self._targeting_key = targeting_key
        self._known: dict[str, _KnownFlag] = {}

    def resolve_boolean_details(
        self,
        flag_key: str,
        default_value: bool,
        evaluation_context: EvaluationContext | None = None,
    ) -> Details:
        """Return whether a flag is on, or the value of its variant."""
        client = self._client
        try:
            item = client._item_reader.get(flag_key)  # noqa: SLF001
        except Exception as error:  # noqa: BLE001  (a question never raises)
            return self._recover(
                (flag_key, default_value, False), error, evaluation_context, boolean
            )
        # Most flags are just on or off, and nobody observes the client.
        known = self._known.get(flag_key, _UNKNOWN)
        if known.item is item and known.answer is not None and client._hooks is None:  # noqa: SLF001
            metadata = known.metadata
            return FlagResolutionDetails(
                value=known.answer,
                reason=known.reason,
                flag_metadata=dict(metadata) if metadata else {},
            )
        question = (flag_key, item, None, default_value, False)
        return self._resolve(question, evaluation_context, boolean)

    def resolve_string_details(
        self,
        flag_key: str,
        default_value: str,
        evaluation_context: EvaluationContext | None = None,
    ) -> Details:
        """Return the text that a flag serves."""
        return self._read_and_resolve(
            flag_key, default_value, evaluation_context, string
        )

    def resolve_integer_details(
        self,
        flag_key: str,
        default_value: int,
        evaluation_context: EvaluationContext | None = None,
    ) -> Details:
        """Return the whole number that a flag serves."""
        return self._read_and_resolve(
            flag_key, default_value, evaluation_context, integer
        )

    def resolve_float_details(
        self,
        flag_key: str,
        default_value: float,
        evaluation_context: EvaluationContext | None = None,
    ) -> Details:
        """Return the number that a flag serves."""
        return self._read_and_resolve(
            flag_key, default_value, evaluation_context, floating
        )

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Any,
        evaluation_context: EvaluationContext | None = None,
    ) -> Details:
        """Return the list or the dict that a flag serves."""
        return self._read_and_resolve(
            flag_key, default_value, evaluation_context, structure
        )

    resolve_boolean_details_async = _awaited(resolve_boolean_details)
    resolve_string_details_async = _awaited(resolve_string_details)
    resolve_integer_details_async = _awaited(resolve_integer_details)
    resolve_float_details_async = _awaited(resolve_float_details)
    resolve_object_details_async = _awaited(resolve_object_details)

    async def _call_without_blocking(self, function: Any, *question: Any) -> Any:
        """Call a function, in another thread unless the flags are in memory."""
        reader = self._client._fast_reader  # noqa: SLF001  (what the client reads)
        if isinstance(reader, (dict, FreshFlags)):
            return function(*question)
        return await asyncio.to_thread(function, *question)

    def _read_and_resolve(
        self,
        flag_key: str,
        default: Any,
        context: EvaluationContext | None,
        convert: Convert,
    ) -> Details:
        """Read a flag, and return the answer with its details."""
        try:
            item = self._client._item_reader.get(flag_key)  # noqa: SLF001
        except Exception as error:  # noqa: BLE001  (a question never raises)
            return self._recover((flag_key, default, default), error, context, convert)
        return self._resolve((flag_key, item, None, default, default), context, convert)

    def _recover(
        self,
        question: tuple[str, Any, Any],
        error: Exception,
        context: EvaluationContext | None,
        convert: Convert,
    ) -> Details:
        """Answer by the last known state of a flag that could not be read."""
        flag_key, default, off = question
        try:
            item, failure = self._client._recover(flag_key, error)  # noqa: SLF001
        except Exception as raised:  # noqa: BLE001  (of a client that raises)
            return _raised(default, raised)
        return self._resolve((flag_key, item, failure, default, off), context, convert)

    def _resolve(
        self,
        question: Question,
        context: EvaluationContext | None,
        convert: Convert,
    ) -> Details:
        """Return the answer with its details; never raise.

        Args:
            question: the first arguments of the client's `_evaluate_variant`.
            context: the evaluation context.
            convert: returns the value of a flag as the type that was asked for.
        """
        client = self._client
        flag_key, item, failure, default, off = question
        is_missing = item is None and failure is None
        if is_missing and client._hooks is None and client._strict is None:  # noqa: SLF001
            return _failed(default, _NOT_FOUND, describe_missing(flag_key))
        try:
            arguments = self._arguments(context)
        except Exception as error:  # noqa: BLE001  (a question never raises)
            message = f"The evaluation context cannot be used: {error}"
            return _failed(default, ErrorCode.INVALID_CONTEXT, message)
        if client._context is not None:  # noqa: SLF001
            arguments = client._context.merged(arguments)  # noqa: SLF001
        try:
            evaluation = client._evaluate_variant(*question, arguments)  # noqa: SLF001
        except Exception as error:  # noqa: BLE001  (of a client that raises)
            return _raised(default, error)
        if evaluation.reason in _ERRORS:
            code = error_code_of(evaluation, was_read=item is not None)
            return _failed(default, ErrorCode(code), describe_error(evaluation))
        value = evaluation.enabled
        try:
            # A flag that is off without a variant gives what the caller has chosen.
            if value is not off or evaluation.variant is not None:
                value = convert(value)
        except WrongTypeError:
            message = describe_mismatch(flag_key, value, convert)
            return _failed(default, ErrorCode.TYPE_MISMATCH, message)
        is_own = type(item) is FeatureFlagStoreItem
        return FlagResolutionDetails(
            value=value,
            reason=_REASONS[reason_of(evaluation, item)],
            variant=evaluation.variant,
            flag_metadata=dict(self._known_of(item).metadata) if is_own else {},
        )

    def _arguments(self, context: EvaluationContext | None) -> dict[str, Any]:
        """Return an evaluation context as the arguments of a question.

        Raises:
            Exception: its attributes are no mapping.
        """
        if context is None:
            return {}
        arguments = dict(context.attributes)
        targeting_key = context.targeting_key
        # OpenFeature takes an empty targeting key for none.
        if targeting_key and self._targeting_key not in arguments:
            arguments[self._targeting_key] = targeting_key
        return arguments

    def _known_of(self, item: FeatureFlagStoreItem) -> _KnownFlag:
        """Return what is the same for all questions about a flag."""
        name = item.feature_name
        known = self._known.get(name, _UNKNOWN)
        if known.item is not item:
            known = _KnownFlag(item)
            put_bounded(self._known, name, known)
        return known


def _failed(default: Any, code: ErrorCode, message: str) -> Details:
    return FlagResolutionDetails(
        value=default, error_code=code, error_message=message, reason=_ERROR
    )


def _raised(default: Any, error: Exception) -> Details:
    """Return the details of an error that the client has raised."""
    code = ErrorCode.GENERAL
    if isinstance(error, FlagDoesNotExistError):
        code = ErrorCode.FLAG_NOT_FOUND
    elif isinstance(error, InvalidFlagDataError):
        code = ErrorCode.PARSE_ERROR
    return _failed(default, code, f"{type(error).__name__}: {error}")
