# SPDX-License-Identifier: Apache-2.0
"""How a client answers what flags serve: variants, and all flags at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .asking import NOT_GIVEN, AskingClient, pop_feature_name
from .conditions.operators.interface import OtherFlagsNeededError
from .contracts.circuit_breaker import current_reader
from .contrib.storage.item import FeatureFlagStoreItem
from .explanation import Reason
from .overrides import OverriddenFlag
from .prerequisites import ArgumentsWithFlags
from .rules.variant import Variant
from .runtime.containers import copy_containers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .explanation import Evaluation

# Python takes a while to find a member of an enumeration.
_MISSING: Final = Reason.MISSING
_ERROR: Final = Reason.ERROR
_ANY_NAME: Final = "flipper"  # to find out whether a store answers again


class ServingClient(AskingClient):
    """The part of `FeatureFlagClient` that answers `variant` and `evaluate_all`."""

    def variant(
        self,
        feature_name: str = NOT_GIVEN,
        default: Any = None,
        /,
        **conditions: Any,
    ) -> Any:
        """Return the value of the variant that a flag serves for these arguments.

        A flag that is on without a variant gives `True`. A flag that is off gives the
        value of its variant `off`, if its rules name one, else the default. As
        `is_enabled`, it never raises.

        Args:
            feature_name: the flag.
            default: the answer for a flag that is off without a variant, is missing, or
                cannot be evaluated. Only by position: an argument for the rules may
                have the name.
            **conditions: the arguments for rules, conditions and bucketers.
        """
        if feature_name is NOT_GIVEN:
            feature_name = pop_feature_name(conditions)
        try:
            item = self._reader.get(feature_name)
        except Exception as error:  # noqa: BLE001  (a question never raises)
            item = self._after_failed_read(feature_name, error)
        if type(item) is not FeatureFlagStoreItem:
            return self._other_variant(item, feature_name, default, conditions)
        try:
            served = item.serve(conditions)
            if type(served) is not Variant:
                return True if served else default
            # As `_value_of`, but without a call.
            value = served.value
            return copy_containers(value) if served.is_container else value
        except Exception as error:  # noqa: BLE001  (a question never raises)
            return self._value_after(error, item, conditions, default)

    def _other_variant(
        self, item: Any, feature_name: Any, default: Any, arguments: dict[str, Any]
    ) -> Any:
        """Answer `variant` for what is no decoded flag, such as an override."""
        if item is None and self._is_undecoded(feature_name):
            item, failure = self._read_item(feature_name)
            if item is None and failure is not None:
                return default
        if self._context is not None and type(item) is not OverriddenFlag:
            arguments = self._context.merged(arguments)
            item = self._context.unwrapped(item)
        if self._hooks is not None:
            return self._observed_variant(feature_name, default, arguments)
        if item is None:
            if self._strict is not None:
                self._report_missing(feature_name)
            return default
        try:
            if type(item) is OverriddenFlag:
                return item.variant(default)
            return _value_of(_serve(item, arguments), default)
        except Exception as error:  # noqa: BLE001  (a question never raises)
            return self._value_after(error, item, arguments, default)

    def evaluate_all(
        self, /, *, names: Iterable[str] | None = None, **conditions: Any
    ) -> dict[str, Any]:
        """Return what all flags serve for these arguments, by name, as plain data.

        The value of a flag is what `variant` returns with the default `False`: `True`
        or `False`, or the value of a variant. It never raises: a flag that cannot be
        evaluated is `False`. If the store cannot be read, the flags have their last
        known states, and those that are not known are left out.

        Args:
            names: the flags; `None` is all of the store. A name without a flag gives
                `False`.
            **conditions: the arguments for rules, conditions and bucketers.
        """
        items = None
        if names is None:
            items = self._all_items()
        if items is None:
            asked = self._source.known_names() if names is None else names
            return {name: self.variant(name, False, **conditions) for name in asked}
        if self._context is not None:
            conditions = self._context.merged(conditions)
        answers: dict[str, Any] = {}
        for item in items:
            name = item.feature_name
            try:
                # As `_serve`, but without a call.
                if type(item) is FeatureFlagStoreItem:
                    answer = item.answer
                    if answer is not True:
                        answer = item.serve(conditions)
                else:
                    answer = item.is_enabled(**conditions)
                if type(answer) is not bool:
                    answer = _value_of(answer, False)
                answers[name] = answer
            except Exception as error:  # noqa: BLE001  (a question never raises)
                answers[name] = self._value_after(error, item, conditions, False)
        for flags in self._overrides:
            answers |= {name: flag.variant(False) for name, flag in flags.items()}
        return answers

    def _value_after(
        self, error: Exception, item: Any, conditions: dict[str, Any], default: Any
    ) -> Any:
        """Return the value of a flag that depends on other flags, else the default.

        Args:
            error: what the flag raised without the other flags.
            item: the flag.
            conditions: the arguments of the question.
            default: the answer for a flag that is off, or cannot be evaluated.
        """
        name = item.feature_name
        is_own = type(item) is FeatureFlagStoreItem
        if is_own and type(error) is OtherFlagsNeededError:
            try:
                arguments = ArgumentsWithFlags(conditions, self._flag_to_ask, name)
                return _value_of(item.serve(arguments), default)
            except Exception as other:  # noqa: BLE001  (a question never raises)
                error = other
        self._warn_or_raise(name, error)
        return default

    def _observed_variant(
        self, feature_name: Any, default: Any, arguments: dict[str, Any]
    ) -> Any:
        """Answer `variant`, and call the hooks."""
        item, failure = self._read_item(feature_name)
        evaluation = self._evaluate_variant(
            feature_name, item, failure, default, default, arguments
        )
        return evaluation.enabled

    def _evaluate_variant(  # noqa: PLR0913, PLR0917  (what decides a variant)
        self,
        feature_name: Any,
        item: Any,
        failure: Exception | None,
        default: Any,
        off: Any,
        arguments: dict[str, Any],
    ) -> Evaluation:
        """Return the answer of `variant` with its reason, and call the hooks.

        The parts of `flipper.integrations` for other APIs call this, too.

        Args:
            feature_name: the flag.
            item: the flag, as `_read_item` has returned it.
            failure: why it could not be read, as that has returned it.
            default: the answer for a flag that is missing or cannot be evaluated.
            off: the answer for a flag that is off without a variant.
            arguments: of the question and of the present `context` blocks.
        """
        evaluation = self._evaluate_item(
            feature_name, item, failure, default, arguments
        )
        reason, is_on = evaluation.reason, evaluation.enabled
        value, variant = True if is_on else off, evaluation.variant
        if reason is _MISSING or reason is _ERROR:
            value = default
        elif type(item) is OverriddenFlag:
            value = item.variant(off)
        elif type(item) is FeatureFlagStoreItem and item.rules is not None:
            variant = variant if is_on else item.rules.off
            if variant is not None:
                value = item.rules.value_of(variant)
        if value is not is_on or variant is not evaluation.variant:
            evaluation = evaluation._replace(enabled=value, variant=variant)
        if self._hooks is not None:
            self._hooks.call(evaluation, arguments)
        if reason is _MISSING and self._strict is not None:
            self._report_missing(feature_name)
        return evaluation

    def _all_items(self) -> list[Any] | None:
        """Return all flags of the store, or `None` if it fails."""
        source = self._source
        reader = self._fast_reader
        if isinstance(reader, dict):
            if reader is self._store_reader:
                return list(reader.values())
            items = self._local_copy.all_decoded()
            if items is not None:
                return items  # type: ignore[no-any-return]
        if not self._raises and current_reader(source) is not source:
            return None  # while its circuit breaker is open, a request takes too long
        try:
            return [item for item in self._store.list() if item is not None]
        except Exception as error:
            if self._raises:
                raise
            known = next(iter(source.known_names()), _ANY_NAME)
            self._note_outage(known, error)
            return None


def _serve(item: Any, arguments: dict[str, Any]) -> Any:
    """Return the `Variant` that a flag of any class serves, else its answer."""
    if type(item) is FeatureFlagStoreItem:
        return item.serve(arguments)
    return item.is_enabled(**arguments)


def _value_of(served: Any, default: Any) -> Any:
    """Return the value that `variant` returns for what a flag serves."""
    if type(served) is not Variant:
        return True if served else default
    value = served.value
    return copy_containers(value) if served.is_container else value
