# SPDX-License-Identifier: Apache-2.0
"""A flag as a store keeps it: name, state and metadata."""

from __future__ import annotations

from operator import methodcaller
from types import MethodType
from typing import TYPE_CHECKING, Any

from ...arguments import check_state
from ...conditions.rule_compiler import state_without
from ...exceptions import InvalidFlagDataError
from ...explanation import DISABLED, ON
from ...rules.rules_bucketer import RulesBucketer, without_mark
from .json_document import (
    match_plain_flag,
    parse,
    readable_state,
    refuse_unregistered,
    write,
)
from .meta import FeatureFlagStoreMeta

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...conditions.condition import Condition
    from ...conditions.rule_compiler import Decider
    from ...explanation import Decision
    from ...rules.rules import Rules

_UNCHANGED: Any = object()
_new = object.__new__


class FeatureFlagStoreItem:
    """A flag: name, state and metadata. It never changes, and threads may share it.

    Args:
        feature_name: the name.
        is_enabled: the state; any true value is on. Stores that keep documents accept
            `True`, `False`, `None` (off), 0 and 1 only.
        meta: the metadata; the flag keeps a copy.
    """

    __slots__ = (
        *("_answer_if_enabled", "_is_enabled", "_meta"),
        *("answer", "decider", "document", "feature_name"),
    )

    answer: Any
    """The answer of `is_enabled` if it is the same for all arguments, else `None`."""
    decider: Decider | None
    """The function that decides by the arguments; `None` until it is first needed."""
    document: bytes | None
    """The document from which a store has read the flag; for use by that store."""

    def __init__(
        self, feature_name: str, is_enabled: Any, meta: FeatureFlagStoreMeta
    ) -> None:
        own = meta.copy() if isinstance(meta, FeatureFlagStoreMeta) else meta
        self._set_fields(feature_name, is_enabled, own)

    def _set_fields(self, feature_name: str, is_enabled: Any, meta: Any) -> None:
        self.feature_name = feature_name
        self._is_enabled = is_enabled
        self._meta = meta
        self.decider = self.document = None
        # Most flags are just on or off, so there is nothing to evaluate for them.
        is_constant = type(meta) is FeatureFlagStoreMeta and meta.is_constant
        if not is_constant and type(getattr(meta, "bucketer", None)) is RulesBucketer:
            bucketer = meta.bucketer
            meta.bucketer = bucketer.for_flag(feature_name, is_enabled)
            if bucketer.decides_state:
                self._is_enabled = is_enabled = bucketer.is_enabled
        self._answer_if_enabled = True if is_constant else None
        self.answer = self._answer_if_enabled if is_enabled else False

    def __getstate__(self) -> tuple[Any, dict[str, Any]]:
        """Return the state for a copy or a pickle."""
        return state_without(self, "decider")

    @property
    def raw_is_enabled(self) -> Any:
        """The state. If the flag has rules, its document has another one."""
        return self._is_enabled

    @property
    def document_state(self) -> Any:
        """The state to write to a document: off if the flag has rules."""
        return self._is_enabled if self.rules is None else False

    @property
    def found_state(self) -> Any:
        """The state in the document from which the flag was read.

        It is on, although the flag has rules, if flipper-client 1.x has enabled it.
        """
        if self.rules is None:
            return self._is_enabled
        return self._meta.bucketer.document_state

    @property
    def rules(self) -> Rules | None:
        """The rules of the flag, or `None`."""
        if self._answer_if_enabled is not None:
            return None
        bucketer = getattr(self._meta, "bucketer", None)
        return bucketer.rules if type(bucketer) is RulesBucketer else None

    @property
    def meta(self) -> dict[str, Any]:
        """A copy of the metadata as plain data.

        If the flag has rules, the state beside them is left out: `raw_is_enabled` has
        it.
        """
        meta: dict[str, Any] = self._own_meta.to_dict()
        return meta if self.rules is None else without_mark(meta)

    @property
    def raw_meta(self) -> FeatureFlagStoreMeta:
        """A copy of the metadata as a record, which may be changed for `replace`."""
        return self._own_meta.copy()  # type: ignore[no-any-return]

    @property
    def _own_meta(self) -> Any:
        """The metadata itself, which is never changed."""
        meta = self._meta
        # Metadata takes more time and memory than the rest of a plain flag, and nobody
        # reads that of most flags.
        return FeatureFlagStoreMeta(int(meta)) if type(meta) is bytes else meta

    def is_enabled(self, /, **kwargs: Any) -> Any:
        """Return whether the flag is on for these arguments.

        Raises:
            Exception: whatever an operator or the bucketer raises.
        """
        if self.answer is not None:
            return self.answer
        return (self.decider or self.compile())(kwargs)

    def compile(self) -> Decider:
        """Compile the rules of the flag into its `decider`, and return that."""
        self.decider = self.compiled()
        return self.decider

    def compiled(self, **result: bool) -> Decider:
        """Compile the rules; see `compile_rules` for what the function may return."""
        return self._rules.compile(feature_name=self.feature_name, **result)

    def decide(self, context: Mapping[str, Any]) -> Decision:
        """Decide as `is_enabled` does, and return the answer with its reason."""
        if not self._is_enabled:
            return DISABLED
        return ON if self.answer is not None else self.explainer(context)

    @property
    def explainer(self) -> Decider:
        """A new function that decides an enabled flag, and returns the `Decision`."""
        decider: Any = self.decider
        is_memoized = decider is not None and type(decider) is not MethodType
        return decider.decide if is_memoized else self.compiled(with_reason=True)

    def serve(self, context: Mapping[str, Any]) -> Any:
        """Return the `Variant` that rules serve, else what `is_enabled` returns."""
        bucketer = getattr(self._meta, "bucketer", None)
        if type(bucketer) is not RulesBucketer:
            if self.answer is not None:
                return self.answer
            return (self.decider or self.compile())(context)
        if not self._is_enabled:
            return bucketer.rules.off_variant or False
        if self.decider is not None and type(self.decider) is not MethodType:
            return bucketer.rules.served(self.decide(context))
        owner, server = bucketer.server
        if owner is not self:
            server = self.compiled(with_variant=True)
            bucketer.server = (self, server)
        return server(context)

    @property
    def _rules(self) -> FeatureFlagStoreMeta:
        meta = self._own_meta
        # Not by `isinstance`, which takes a mock with a spec for one.
        if issubclass(type(meta), FeatureFlagStoreMeta):
            return meta  # type: ignore[no-any-return]
        return FeatureFlagStoreMeta(None, None, meta.conditions, meta.bucketer)

    def replace(
        self, *, is_enabled: Any = _UNCHANGED, meta: FeatureFlagStoreMeta | None = None
    ) -> FeatureFlagStoreItem:
        """Return this flag with another state, with other metadata, or both.

        The new flag keeps `meta` itself, so do not change it any more.
        """
        state = self._is_enabled if is_enabled is _UNCHANGED else is_enabled
        if meta is None:
            return self.with_state(state)
        made: FeatureFlagStoreItem = _new(FeatureFlagStoreItem)
        made._set_fields(self.feature_name, state, meta)
        return made

    def with_state(self, is_enabled: Any) -> FeatureFlagStoreItem:
        """Return this flag with another state."""
        if self._answer_if_enabled is None and self.rules is not None:
            return self.replace(is_enabled=is_enabled, meta=self.raw_meta)
        made: FeatureFlagStoreItem = _new(FeatureFlagStoreItem)
        made.feature_name = self.feature_name
        made._is_enabled = is_enabled
        made._meta = self._meta
        made.decider = self.decider
        made.document = None
        made._answer_if_enabled = on = self._answer_if_enabled
        made.answer = on if is_enabled else False
        return made

    def with_condition(self, condition: Condition) -> FeatureFlagStoreItem:
        """Return this flag with one more condition."""
        meta = self._meta
        if type(meta) is not FeatureFlagStoreMeta:
            meta = self.raw_meta
            meta.conditions.append(condition)
            return self.replace(meta=meta)
        made: FeatureFlagStoreItem = _new(FeatureFlagStoreItem)
        made.feature_name = self.feature_name
        made._is_enabled = state = self._is_enabled
        made._meta = meta.with_condition(condition)
        made.decider = made.document = made._answer_if_enabled = None
        made.answer = None if state else False
        return made

    def with_name(self, feature_name: str) -> FeatureFlagStoreItem:
        """Return this flag under the given name; its document may have been copied."""
        if self.feature_name == feature_name:
            return self
        return FeatureFlagStoreItem(feature_name, self._is_enabled, self._own_meta)

    def shares_meta_with(self, other: FeatureFlagStoreItem) -> bool:
        """Return whether both have the same metadata object, as after `with_state`."""
        return self._meta is other._meta

    def to_dict(self) -> dict[str, Any]:
        """Return the flag as plain data, the form of documents."""
        name, meta = self.feature_name, self._own_meta.to_dict()
        return {"feature_name": name, "is_enabled": self.document_state, "meta": meta}

    def serialize(self) -> bytes:
        """Return the flag as JSON in UTF-8, the form in which stores keep it.

        Raises:
            InvalidArgumentError: JSON cannot express a value; or nobody could read the
                document again, because the state is neither on nor off, or an operator
                or the bucketer is not registered.
        """
        fields = self.to_dict()
        text = write(self.feature_name, fields)
        if type(self._is_enabled) is not bool:
            check_state(self.feature_name, self._is_enabled)
        refuse_unregistered(self.feature_name, fields["meta"])
        return text.encode()

    @classmethod
    def deserialize(cls, serialized: bytes | str) -> FeatureFlagStoreItem:
        """Make a flag from a document that `serialize` wrote, as bytes or text.

        Raises:
            InvalidFlagDataError: the document is not a flag, or its state is neither on
                nor off. The error is also an instance of the class of its cause:
                `json.JSONDecodeError`, `KeyError`, `TypeError`, or the
                `Invalid...Error` of a factory.
        """
        plain = match_plain_flag(serialized) if type(serialized) is bytes else None
        if plain is not None:
            found: FeatureFlagStoreItem = _new(cls)
            name, state, found._meta = plain.groups()
            found.feature_name = name.decode()
            found._is_enabled = found.answer = state == b"true"
            found.decider = found.document = None
            found._answer_if_enabled = True
            return found
        fields: Any = None
        try:
            if not isinstance(serialized, str):
                serialized = str(serialized, "utf-8")
            fields = parse(serialized)
            made: FeatureFlagStoreItem = _new(cls)
            name = fields["feature_name"]
            state = readable_state(name, fields["is_enabled"])
            meta = FeatureFlagStoreMeta.from_dict(fields["meta"])
            made._set_fields(name, state, meta)
        except Exception as error:
            name = fields.get("feature_name") if isinstance(fields, dict) else None
            raise InvalidFlagDataError.from_error(error, feature_name=name) from error
        return made

    @classmethod
    def from_item(cls, item: Any) -> FeatureFlagStoreItem:
        """Return `item` itself, or a copy of an item of another class.

        The copy is made from its public properties.

        Raises:
            InvalidFlagDataError: the state of the other item is neither on nor off.
            Exception: its metadata is invalid; see `FeatureFlagStoreMeta.from_dict`.
        """
        if isinstance(item, FeatureFlagStoreItem):
            return item
        meta = FeatureFlagStoreMeta.from_dict(item.meta)
        name = item.feature_name
        return cls(name, readable_state(name, item.raw_is_enabled), meta)

    def __repr__(self) -> str:
        """Show name and state."""
        return f"<{type(self).__name__} {self.feature_name!r} {self._is_enabled!r}>"


with_state_on = methodcaller("with_state", True)  # returns a flag, switched on
with_state_off = methodcaller("with_state", False)  # returns a flag, switched off
