# SPDX-License-Identifier: Apache-2.0
"""A flag as a store keeps it."""

from __future__ import annotations

import json
import re
from operator import methodcaller
from typing import TYPE_CHECKING, Any

from ...arguments import check_state, is_state
from ...bucketing.factory import BucketerFactory
from ...conditions.compiled import state_without
from ...conditions.operators.operator import Operator
from ...evaluation import DISABLED
from ...exceptions import InvalidArgumentError, InvalidFlagDataError
from .meta import FeatureFlagStoreMeta

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...conditions.compiled import Decider
    from ...conditions.condition import Condition
    from ...evaluation import Decision

_SAME: Any = object()
# A flag that is just on or off, as `serialize` writes it. Most are, and all are read
# when a program starts: this takes half of the time that decoding JSON does.
_plain = re.compile(
    rb'\{"feature_name": "([^"\\\x00-\x1f\x7f-\xff]*)", "is_enabled": (true|false), '
    rb'"meta": \{"client_data": \{\}, "created_date": (0|[1-9][0-9]{0,15}), '
    rb'"conditions": \[\], "bucketer": \{"type": "NoOpBucketer"\}\}\}'
).fullmatch
_decoder: Any = json.JSONDecoder()
_new = object.__new__


class FeatureFlagStoreItem:
    """A flag: name, state and metadata. It never changes; threads may share it.

    Args:
        feature_name: the name.
        is_enabled: the state; any true value is on. A document can hold `True`,
            `False`, `None` (off), 0 and 1, so stores of documents refuse others.
        meta: the metadata, of which a copy is kept.
    """

    __slots__ = (
        *("_is_enabled", "_meta", "_on"),
        *("answer", "decider", "document", "feature_name"),
    )

    answer: Any
    """What `is_enabled` answers whatever the arguments, `None` if they matter."""
    decider: Decider | None
    """What decides by the arguments if they matter; made when it is first needed."""
    document: bytes | None
    """What a store has read it from, for that store."""

    def __init__(
        self, feature_name: str, is_enabled: Any, meta: FeatureFlagStoreMeta
    ) -> None:
        own = meta.copy() if isinstance(meta, FeatureFlagStoreMeta) else meta
        self._take(feature_name, is_enabled, own)

    def _take(self, feature_name: str, is_enabled: Any, meta: Any) -> None:
        self.feature_name = feature_name
        self._is_enabled = is_enabled
        self._meta = meta
        self.decider = self.document = None
        # Known at once for most flags: nothing has to be evaluated for them.
        is_constant = type(meta) is FeatureFlagStoreMeta and meta.is_constant
        self._on = True if is_constant else None
        self.answer = self._on if is_enabled else False

    def __getstate__(self) -> tuple[Any, dict[str, Any]]:
        """Return what a copy or a pickle has to have."""
        return state_without(self, "decider")

    @property
    def raw_is_enabled(self) -> Any:
        """The stored state."""
        return self._is_enabled

    @property
    def meta(self) -> dict[str, Any]:
        """The metadata as plain data, a copy."""
        return self._meta.to_dict()  # type: ignore[no-any-return]

    @property
    def raw_meta(self) -> FeatureFlagStoreMeta:
        """The metadata as a record, a copy to be changed and given to `replace`."""
        return self._meta.copy()  # type: ignore[no-any-return]

    def is_enabled(self, /, **kwargs: Any) -> Any:
        """Tell whether the flag is on for these arguments.

        Raises:
            Exception: what an operator or the bucketer raises.
        """
        answer = self.answer
        if answer is None:
            return (self.decider or self.compile())(kwargs)
        return answer

    def compile(self) -> Decider:
        """Make the `decider` of an enabled flag, and return it."""
        self.decider = self._rules.compiled()
        return self.decider

    def decide(self, context: Mapping[str, Any]) -> Decision:
        """Decide as `is_enabled` does, and return also why."""
        if not self._is_enabled:
            return DISABLED
        return self._rules.compiled(told=True)(context)  # type: ignore[no-any-return]

    @property
    def _rules(self) -> FeatureFlagStoreMeta:
        meta = self._meta
        if issubclass(type(meta), FeatureFlagStoreMeta):  # no double with a spec
            return meta  # type: ignore[no-any-return]
        return FeatureFlagStoreMeta(None, None, meta.conditions, meta.bucketer)

    def replace(
        self, *, is_enabled: Any = _SAME, meta: FeatureFlagStoreMeta | None = None
    ) -> FeatureFlagStoreItem:
        """Return this flag with another state, with other metadata, or both.

        `meta` belongs to the new flag then: change nothing in it any more.
        """
        state = self._is_enabled if is_enabled is _SAME else is_enabled
        if meta is None:
            return self.switched(state)
        made = _new(FeatureFlagStoreItem)
        made._take(self.feature_name, state, meta)  # noqa: SLF001  (own class)
        return made

    def switched(self, is_enabled: Any) -> FeatureFlagStoreItem:
        """Return this flag with another state."""
        made = _new(FeatureFlagStoreItem)
        made.feature_name = self.feature_name
        made._is_enabled = is_enabled  # noqa: SLF001  (own class)
        made._meta = self._meta  # noqa: SLF001
        made.decider = self.decider
        made.document = None
        made._on = on = self._on  # noqa: SLF001
        made.answer = on if is_enabled else False
        return made

    def with_condition(self, condition: Condition) -> FeatureFlagStoreItem:
        """Return this flag with a condition more."""
        meta = self._meta
        if type(meta) is not FeatureFlagStoreMeta:
            meta = meta.copy()
            meta.conditions.append(condition)
            return self.replace(meta=meta)
        made = _new(FeatureFlagStoreItem)
        made.feature_name = self.feature_name
        made._is_enabled = state = self._is_enabled  # noqa: SLF001  (own class)
        made._meta = meta.with_condition(condition)  # noqa: SLF001
        made.decider = made.document = None
        # It has something to be evaluated now, whatever it had before.
        made._on = None  # noqa: SLF001
        made.answer = None if state else False
        return made

    def named(self, feature_name: str) -> FeatureFlagStoreItem:
        """Return this flag under a name, as when its document was copied to another."""
        if self.feature_name == feature_name:
            return self
        return FeatureFlagStoreItem(feature_name, self._is_enabled, self._meta)

    def shares_meta_with(self, other: FeatureFlagStoreItem) -> bool:
        """Tell whether `replace` made one of the other without another `meta`."""
        return self._meta is other._meta

    def to_dict(self) -> dict[str, Any]:
        """Return the flag as plain data."""
        return {
            "feature_name": self.feature_name,
            "is_enabled": self._is_enabled,
            "meta": self.meta,
        }

    def serialize(self) -> bytes:
        """Return the flag as JSON in UTF-8, the form in which stores keep it.

        Raises:
            InvalidArgumentError: JSON cannot express a value, or the document could not
                be read again: the state is neither on nor off, or an operator or a
                bucketer is not registered.
        """
        fields = self.to_dict()
        try:
            text = json.dumps(fields)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidArgumentError(
                f"Feature {self.feature_name!r} cannot be stored: {error}; use values "
                f"that JSON can express (text, numbers, booleans, None, lists, dicts)",
                feature_name=self.feature_name,
                value=_inexpressible(fields),
            ) from error
        if type(self._is_enabled) is not bool:
            check_state(self.feature_name, self._is_enabled)
        self._refuse_unregistered(fields["meta"])
        return text.encode()

    def _refuse_unregistered(self, meta: Mapping[str, Any]) -> None:
        kind = meta["bucketer"].get("type")
        if kind not in BucketerFactory.BUCKETER_MAP:
            self._refuse("bucketer", kind, "BucketerFactory.register")
        for condition in meta["conditions"]:
            for checks in condition.values():
                for check in checks:
                    if check["operator"] not in Operator.OPERATOR_MAP:
                        self._refuse("operator", check["operator"], "OPERATOR_MAP")

    def _refuse(self, what: str, value: object, registry: str) -> None:
        raise InvalidArgumentError(
            f"Feature {self.feature_name!r} cannot be stored: its {what} {value!r} is "
            f"unknown, so nobody could read the flag; add it by {registry}",
            feature_name=self.feature_name,
            value=value,
        )

    @classmethod
    def deserialize(cls, serialized: bytes | str) -> FeatureFlagStoreItem:
        """Make the flag that `serialize` gave; text is taken as well as bytes.

        Raises:
            InvalidFlagDataError: the document is no flag, or its state is neither on
                nor off. The error is also one of the class that says what is wrong:
                `json.JSONDecodeError`, `KeyError`, `TypeError`, or the
                `Invalid...Error` of a factory.
        """
        plain = _plain(serialized) if type(serialized) is bytes else None
        if plain is not None:
            name, state, date = plain.groups()
            made = _new(cls)
            made.feature_name = name.decode()
            made._is_enabled = made.answer = state == b"true"  # noqa: SLF001  (own class)
            made._meta = FeatureFlagStoreMeta(int(date))  # noqa: SLF001
            made.decider = made.document = None
            made._on = True  # noqa: SLF001
            return made
        fields: Any = None
        try:
            if not isinstance(serialized, str):
                serialized = str(serialized, "utf-8")
            fields = _parsed(serialized)
            made = _new(cls)
            made._take(  # noqa: SLF001
                fields["feature_name"],
                readable_state(fields["feature_name"], fields["is_enabled"]),
                FeatureFlagStoreMeta.from_dict(fields["meta"]),
            )
        except Exception as error:
            name = fields.get("feature_name") if isinstance(fields, dict) else None
            raise InvalidFlagDataError.of(error, feature_name=name) from error
        return made

    @classmethod
    def of(cls, item: Any) -> FeatureFlagStoreItem:
        """Return `item`, made anew by its public properties if of another class.

        Raises:
            InvalidFlagDataError: the state of an item of another class is neither on
                nor off.
            Exception: its metadata are none; see `FeatureFlagStoreMeta.from_dict`.
        """
        if isinstance(item, FeatureFlagStoreItem):
            return item
        meta = FeatureFlagStoreMeta.from_dict(item.meta)
        name = item.feature_name
        return cls(name, readable_state(name, item.raw_is_enabled), meta)

    def __repr__(self) -> str:
        """Show name and state."""
        return f"<{type(self).__name__} {self.feature_name!r} {self._is_enabled!r}>"


def readable_state(feature_name: object, state: Any) -> Any:
    """Return a state that was read, if it is on or off.

    Raises:
        InvalidFlagDataError: it is neither, as the text "false", which is true.
    """
    if type(state) is not bool and not is_state(state):
        message = f"its state is {state!r}, not true, false, null, 0 or 1"
        raise InvalidFlagDataError(message, feature_name=feature_name)
    return state


def _parsed(text: str) -> Any:
    # What is written here has no space around it, and `json.loads` looks for some in a
    # third of its time.
    try:
        fields, end = _decoder.scan_once(text, 0)
    except (StopIteration, ValueError):
        end = None
    return fields if end == len(text) else json.loads(text)


switched_on = methodcaller("switched", True)
"""Returns the flag switched on."""
switched_off = methodcaller("switched", False)
"""Returns the flag switched off."""


def _inexpressible(value: object) -> object:
    """Return the innermost value that JSON cannot express."""
    entries: Any = ()
    if isinstance(value, dict):
        entries = value.values()
    elif isinstance(value, (list, tuple)):
        entries = value
    for entry in entries:
        try:
            json.dumps(entry)
        except (TypeError, ValueError, RecursionError):
            return _inexpressible(entry)
    return value
