# SPDX-License-Identifier: Apache-2.0
"""The metadata of a flag: everything a store keeps beside its name and state."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from ...arguments import RESERVED_KEY
from ...bucketing.factory import BucketerFactory
from ...bucketing.noop_bucketer import NoOpBucketer
from ...conditions.condition import Condition
from ...evaluation import compile_rules, is_constant
from ...exceptions import InvalidArgumentError
from ...rules.rules_bucketer import RulesBucketer, take_rules
from ...runtime.containers import copy_containers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...conditions.rule_compiler import Decider
    from ...rules.rules import Rules

_new = object.__new__
_NO_BUCKETER = NoOpBucketer.from_dict({})


class FeatureFlagStoreMeta:
    """Creation date, client data, conditions and bucketer of a flag. Can be changed.

    Not for several threads at once. Stores keep copies, so a change here changes no
    flag.

    Args:
        created_date: in seconds since the epoch, if a store has set it.
        client_data: the application's own data, by name. If it carries rules, as in
            documents, they are taken out; see `rules.rules_bucketer`.
        conditions: the flag is on only if all of them hold.
        bucketer: `None` becomes a `NoOpBucketer`, which stands for no bucketer.

    Raises:
        InvalidArgumentError: the rules in the client data have another form.
    """

    # Most flags have neither data nor conditions. `None` for these, until somebody
    # reads the property, saves two containers per flag.
    __slots__ = ("_client_data", "_conditions", "bucketer", "created_date")

    def __init__(
        self,
        created_date: Any,
        client_data: dict[str, Any] | None = None,
        conditions: list[Condition] | None = None,
        bucketer: Any = None,
    ) -> None:
        self.created_date = created_date
        self._client_data: dict[str, Any] | None
        self._conditions = conditions or None
        self.bucketer: Any = bucketer or _NO_BUCKETER
        self._set_client_data(client_data or None)

    @property
    def client_data(self) -> dict[str, Any]:
        """The application's own data, by name."""
        if self._client_data is None:
            self._client_data = {}
        return self._client_data

    @client_data.setter
    def client_data(self, client_data: dict[str, Any]) -> None:
        self._set_client_data(client_data)

    def _set_client_data(self, client_data: dict[str, Any] | None) -> None:
        if client_data and RESERVED_KEY in client_data:
            client_data, self.bucketer = take_rules(client_data, self.bucketer)
        elif getattr(self.bucketer, "marks_rules", False) is True and (
            type(self.bucketer) is not RulesBucketer
        ):
            message = "the flag is marked as one with rules, but it has none"
            raise InvalidArgumentError(message, value=client_data)
        self._client_data = client_data

    @property
    def rules(self) -> Rules | None:
        """The rules, which decide in the place of a bucketer; `None` without rules."""
        bucketer = self.bucketer
        return bucketer.rules if type(bucketer) is RulesBucketer else None

    @property
    def conditions(self) -> list[Condition]:
        """The conditions; the flag is on only if all of them hold."""
        if self._conditions is None:
            self._conditions = []
        return self._conditions

    @conditions.setter
    def conditions(self, conditions: list[Condition]) -> None:
        self._conditions = conditions

    @property
    def is_constant(self) -> bool:
        """Whether an enabled flag with these rules is on for all arguments."""
        return is_constant(self._conditions, self.bucketer)

    def set_rules(self, rules: Rules | None) -> None:
        """Replace the rules, and the bucketer; `None` leaves neither.

        The splits of the new rules keep all users in their variants who need not move.
        """
        if rules is None:
            if self.rules is not None:
                self.bucketer = _NO_BUCKETER
            return
        if self.rules is not None:
            rules = rules.keeping(self.rules)
        self.bucketer = RulesBucketer(rules, False)  # an item sets the state

    def decide_state(self) -> None:
        """Give the state beside the rules to the flag that gets this metadata.

        Otherwise a flag keeps its state when it gets other metadata.
        """
        if type(self.bucketer) is RulesBucketer:
            self.bucketer = self.bucketer.deciding_state()

    def to_dict(self) -> dict[str, Any]:
        """Return a copy of the metadata as plain data, the form of documents."""
        client_data: dict[str, Any] = copy_containers(self._client_data or {})
        if type(self.bucketer) is RulesBucketer:
            client_data[RESERVED_KEY] = self.bucketer.envelope()
        return {
            "client_data": client_data,
            "created_date": self.created_date,
            "conditions": [each.to_dict() for each in self._conditions or ()],
            "bucketer": self.bucketer.to_dict(),
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> FeatureFlagStoreMeta:
        """Make metadata from the result of `to_dict`; only `created_date` is required.

        Raises:
            KeyError: `created_date` is missing, or a field of a check.
            TypeError: the data has another shape.
            Exception: an operator, a bucketer or a percentage is unknown.
        """
        client_data = fields.get("client_data") or {}
        conditions = fields.get("conditions", ())
        bucketer = fields.get("bucketer")
        if not isinstance(client_data, dict):
            message = "the client data is not an object"
            raise TypeError(message)
        if not isinstance(conditions, (list, tuple)):
            message = "the conditions are not a list"
            raise TypeError(message)
        return cls(
            fields["created_date"],
            copy_containers(client_data) if client_data else None,
            [Condition.from_dict(each) for each in conditions] if conditions else None,
            None if bucketer is None else BucketerFactory.create(bucketer),
        )

    def update(
        self,
        created_date: Any = None,
        client_data: Mapping[str, Any] | None = None,
        conditions: list[Condition] | None = None,
        bucketer: Any = None,
    ) -> None:
        """Change what is given and not `None`.

        Args:
            created_date: replaces the date.
            client_data: is merged into the client data, one level deep; new values win.
            conditions: replace the conditions.
            bucketer: replaces the bucketer.

        Raises:
            InvalidArgumentError: a bucketer is given, but the flag has rules.
        """
        if bucketer is not None and type(self.bucketer) is RulesBucketer:
            raise InvalidArgumentError(
                f"{bucketer!r} cannot be set: the flag has rules, which decide instead "
                f"of a bucketer; use a Rollout in its rules, or remove the rules by "
                f"set_rules(name, None)",
                value=bucketer,
            )
        if created_date is not None:
            self.created_date = created_date
        if client_data is not None:
            merged = dict(self._client_data or {})
            merged.update(client_data)
            self.client_data = merged
        if conditions is not None:
            self.conditions = conditions
        if bucketer is not None:
            self.bucketer = bucketer

    def compile(self, *, feature_name: str = "", **result: bool) -> Decider:
        """Return a function that decides by these rules; see `compile_rules`."""
        return compile_rules(self, feature_name, **result)

    def copy(self) -> FeatureFlagStoreMeta:
        """Return a copy that shares no list and no dict with this metadata."""
        is_own = type(self) is FeatureFlagStoreMeta
        made: FeatureFlagStoreMeta = _new(type(self)) if is_own else copy.copy(self)
        if is_own:
            made.created_date = self.created_date
            made.bucketer = self.bucketer
        data, conditions = self._client_data, self._conditions
        made._client_data = copy_containers(data) if data else None
        # A slice takes less memory than [*conditions].
        made._conditions = conditions[:] if conditions else None
        return made

    def with_condition(self, condition: Condition) -> FeatureFlagStoreMeta:
        """Return metadata with one more condition.

        Do not change its client data, which is the same object as in this metadata.
        """
        made: FeatureFlagStoreMeta = _new(FeatureFlagStoreMeta)
        made.created_date = self.created_date
        made._client_data = self._client_data
        made.bucketer = self.bucketer
        made._conditions = [*(self._conditions or ()), condition]
        return made

    def __repr__(self) -> str:
        """Show how much there is; client data and conditions may be personal data."""
        return (
            f"<{type(self).__name__} created {self.created_date!r}, "
            f"{len(self._client_data or ())} client data, "
            f"{len(self._conditions or ())} conditions, "
            f"{self.bucketer.get_type()}>"
        )
