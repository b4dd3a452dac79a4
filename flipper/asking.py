# SPDX-License-Identifier: Apache-2.0
"""How a client answers questions about flags, also while its store fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from weakref import WeakMethod

from .arguments import check_choice
from .conditions.operators.interface import OtherFlagsNeededError
from .contracts.circuit_breaker import (
    RecoveryReporter,
    comes_from_open_circuit,
    current_reader,
    open_circuit,
)
from .contracts.last_known import (
    ERRORS_OF_ONE_FLAG,
    FailedReadError,
    cause_of,
    put_bounded,
    with_last_known,
)
from .contrib.storage.item import FeatureFlagStoreItem
from .exceptions import (
    FlagDoesNotExistError,
    InvalidArgumentError,
    InvalidFlagDataError,
)
from .explanation import Evaluation, Reason
from .overrides import OverridableReader, OverriddenFlag
from .prerequisites import ArgumentsWithFlags
from .runtime.log_throttle import LogThrottle, OutageLog

if TYPE_CHECKING:
    from .contrib.interface import AbstractFeatureFlagStore

NOT_GIVEN: Final[Any] = object()
# The class that logs is in another module, but applications filter by this name.
_LOGGER: Final = "flipper.client"
_OUTAGE: Final = "flags are answered by their last known state, else by the default"


class AskingClient(OverridableReader):
    """The part of `FeatureFlagClient` that answers `is_enabled` and `explain`.

    Threads may share it. Its arguments are those of `FeatureFlagClient`.

    Raises:
        InvalidArgumentError: `on_error` or `strict` has an unknown value, or `store` is
            a class.
    """

    def __init__(
        self, store: AbstractFeatureFlagStore, on_error: str, strict: str
    ) -> None:
        check_choice("on_error", on_error, "default", "raise")
        check_choice("strict", strict, "silent", "warn", "raise")
        if isinstance(store, type):
            raise InvalidArgumentError(
                f"{store.__name__} is a class, not a store; use {store.__name__}(...)",
                value=store,
            )
        self._raises = on_error == "raise"
        self._strict = None if strict == "silent" else strict
        self._source = with_last_known(store)
        self._local_copy = self._source.local_copy
        self._log = LogThrottle(_LOGGER)
        self._outage = OutageLog(_LOGGER, store, _OUTAGE)
        self._store = store
        # By feature name: a flag, and the function that decides it with its reason.
        self._explainers: dict[str, tuple[Any, Any]] = {}

    def is_enabled(
        self,
        feature_name: str = NOT_GIVEN,
        /,
        default: Any = False,
        **conditions: Any,
    ) -> Any:
        """Return whether a flag is on for these arguments; never raise.

        A client made with `on_error="raise"` or `strict="raise"` does raise.

        Args:
            feature_name: the flag; may also be given by keyword.
            default: the answer for a flag that is missing or cannot be evaluated.
            **conditions: the arguments for conditions and bucketers, under any names.
        """
        if feature_name is NOT_GIVEN:
            feature_name = pop_feature_name(conditions)
        try:
            item = self._reader.get(feature_name)
        except Exception as error:  # noqa: BLE001  (a question never raises)
            item = self._after_failed_read(feature_name, error)
        if item is None:
            if self._local_copy and self._is_undecoded(feature_name):
                return self._answer_by_explanation(feature_name, default, conditions)
            if self._strict is not None:
                self._report_missing(feature_name)
            return default
        try:
            if type(item) is FeatureFlagStoreItem:
                answer = item.answer
                if answer is None:
                    return (item.decider or item.compile())(conditions)
                return answer
            return item.is_enabled(**conditions)
        except Exception as error:  # noqa: BLE001  (a question never raises)
            if type(error) is OtherFlagsNeededError:
                return self._answer_by_flags(item, feature_name, default, conditions)
            self._warn_or_raise(feature_name, error)
            return default

    def _answer_by_flags(
        self, item: Any, feature_name: Any, default: Any, conditions: dict[str, Any]
    ) -> Any:
        """Answer `is_enabled` for a flag that depends on others."""
        if type(item) is not FeatureFlagStoreItem:
            return self._answer_by_explanation(feature_name, default, conditions)
        name = item.feature_name
        try:
            arguments = ArgumentsWithFlags(conditions, self._flag_to_ask, name)
            return (item.decider or item.compile())(arguments)
        except Exception as error:  # noqa: BLE001  (a question never raises)
            self._warn_or_raise(name, error)
            return default

    def explain(
        self,
        feature_name: str = NOT_GIVEN,
        /,
        default: Any = False,
        **conditions: Any,
    ) -> Evaluation:
        """Decide as `is_enabled` does, and return the answer with its reason.

        `str` of the result is a sentence. A random bucketer draws a new number for this
        question, as it does for every question.
        """
        if feature_name is NOT_GIVEN:
            feature_name = pop_feature_name(conditions)
        if self._context is not None:
            conditions = self._context.merged(conditions)
        evaluation, _ = self._evaluate(feature_name, default, conditions)
        if self._hooks is not None:
            self._hooks.call(evaluation, conditions)
        return evaluation

    def _answer_by_explanation(
        self, feature_name: Any, default: Any, conditions: dict[str, Any]
    ) -> Any:
        """Answer `is_enabled` while there are hooks, or for no decoded item."""
        evaluation = self.explain(feature_name, default, **conditions)
        if evaluation.reason is Reason.MISSING and self._strict is not None:
            self._report_missing(feature_name)
        return evaluation.enabled

    def _evaluate(
        self, feature_name: Any, default: Any, arguments: dict[str, Any]
    ) -> tuple[Evaluation, Any]:
        """Return the answer with its reason, and the flag, `None` if there is none."""
        item, failure = self._read_item(feature_name)
        evaluation = self._evaluate_item(
            feature_name, item, failure, default, arguments
        )
        return evaluation, item

    def _read_item(self, feature_name: Any) -> tuple[Any, Exception | None]:
        """Return a flag, or its last known state and why it could not be read."""
        try:
            return self._item_reader.get(feature_name), None
        except Exception as error:  # noqa: BLE001  (a question never raises)
            return self._recover(feature_name, error)

    def _recover(self, feature_name: Any, error: Exception) -> tuple[Any, Exception]:
        """Return the last known state of a flag, and why it could not be read.

        Raises:
            Exception: `error`, if the client was made with `on_error="raise"`.
        """
        return self._after_failed_read(feature_name, error), cause_of(error)

    def _evaluate_item(
        self,
        feature_name: Any,
        item: Any,
        failure: Exception | None,
        default: Any,
        arguments: dict[str, Any],
    ) -> Evaluation:
        """Return the answer with its reason, given what `_read_item` has returned."""
        if item is None:
            reason = Reason.MISSING if failure is None else Reason.ERROR
            return Evaluation(feature_name, default, reason, error=failure)
        try:
            if type(item) is not FeatureFlagStoreItem:
                is_overridden = type(item) is OverriddenFlag
                answer = item.is_enabled(**({} if is_overridden else arguments))
                reason = Reason.OVERRIDDEN if is_overridden else Reason.OWN_ITEM
                return Evaluation(feature_name, answer, reason, error=failure)
            decision = self._decide(item, arguments)
            return Evaluation.from_decision(feature_name, decision, failure)
        except Exception as error:  # noqa: BLE001  (a question never raises)
            self._warn_or_raise(feature_name, error)
            return Evaluation(feature_name, default, Reason.ERROR, error=error)

    def _decide(self, item: FeatureFlagStoreItem, arguments: dict[str, Any]) -> Any:
        """Return the `Decision` about a flag."""
        if item.answer is not None:
            return item.decide(arguments)
        name = item.feature_name
        # Making the function takes longer than everything else.
        known, decide = self._explainers.get(name, (None, None))
        if known is not item:
            decide = item.explainer
            put_bounded(self._explainers, name, (item, decide))
        try:
            return decide(arguments)
        except OtherFlagsNeededError:
            return decide(ArgumentsWithFlags(arguments, self._flag_to_ask, name))

    def _flag_to_ask(self, feature_name: str) -> Any:
        """Return another flag that a question depends on."""
        try:
            return self._item_reader.get(feature_name)
        except Exception as error:
            item = self._after_failed_read(feature_name, error)
            if item is not None:
                return item
            if type(error) is not FailedReadError:
                raise
            cause = error.cause
        raise cause

    def _choose_reader(self) -> None:
        """Choose which object's `get` the questions call, the fastest that is right."""
        source = self._source
        reader = current_reader(source)
        # With on_error="raise" the caller wants each error of the store itself, so each
        # question goes to the store, even while its circuit breaker is open.
        if reader is not source and not self._raises:
            self._use_reader(reader)
            return
        fast_path = source.fast_path()
        self._use_reader(source if self._local_copy else fast_path, fast_path)

    def _after_failed_read(self, feature_name: Any, error: Exception) -> Any:
        """Log why a read failed, and return the last known state of the flag.

        Raises:
            Exception: `error`, if the client was made with `on_error="raise"`.
        """
        if type(error) is FailedReadError:
            return error.item
        if self._raises:
            raise error
        may_be_outage = not isinstance(error, ERRORS_OF_ONE_FLAG)
        if not (may_be_outage and isinstance(feature_name, str)):
            self._warn(feature_name, error)
            if isinstance(error, InvalidFlagDataError):
                return None  # the read succeeded, but the document is no flag
        elif not comes_from_open_circuit(error):
            self._note_outage(feature_name, error)
        try:
            return self._source.last_known(feature_name)
        except Exception:  # noqa: BLE001  (such as a name that cannot be hashed)
            return None

    def _note_outage(self, feature_name: str, error: Exception) -> None:
        """Open the circuit breaker if the server is down; else only log the failure."""
        source = self._source
        if open_circuit(source, feature_name, error, self._outage):
            return
        self._outage.failed(error, feature_name=feature_name)
        self._use_reader(RecoveryReporter(source, WeakMethod(self._end_outage)))

    def _end_outage(self) -> None:
        self._outage.ended()
        self._choose_reader()

    def _report_missing(self, feature_name: Any) -> None:
        """Log or raise that a flag does not exist, as `strict` says."""
        error = FlagDoesNotExistError.for_flag(feature_name)
        if self._strict == "raise":
            raise error
        self._log.warning(
            (hash(repr(feature_name)), FlagDoesNotExistError),
            "%s; the default answers",
            error,
            feature_name=feature_name,
        )

    def _warn_or_raise(self, feature_name: Any, error: Exception) -> None:
        if self._raises:
            raise error
        self._warn(feature_name, error)

    def _warn(self, feature_name: Any, error: Exception) -> None:
        self._log.warning(
            # The hash is kept instead of the name, which may be of any length.
            (hash(repr(feature_name)), type(error)),
            "Feature %r could not be read or evaluated (%s); the last known state or "
            "the default answers",
            *(feature_name, type(error).__name__),
            cause=error,
            feature_name=feature_name,
        )


def pop_feature_name(conditions: dict[str, Any]) -> Any:
    """Remove the feature name that was given by keyword from the arguments."""
    try:
        return conditions.pop("feature_name")
    except KeyError:
        message = "is_enabled() missing 1 required argument: 'feature_name'"
        raise TypeError(message) from None
