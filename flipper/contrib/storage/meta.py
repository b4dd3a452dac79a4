# SPDX-License-Identifier: Apache-2.0
"""What a store keeps about a flag beside its state."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from ...bucketing.factory import BucketerFactory
from ...bucketing.noop_bucketer import NoOpBucketer
from ...conditions.condition import Condition
from ...evaluation import compiled
from ..util.containers import copy_containers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...conditions.compiled import Decider

_new = object.__new__
_NO_BUCKETER = NoOpBucketer()


class FeatureFlagStoreMeta:
    """Creation date, client data, conditions and bucketer of a flag, to be written to.

    Not for several threads at once. Stores keep copies, so a change here changes no
    flag.

    Args:
        created_date: seconds since the epoch where stores set it.
        client_data: data of the application's own, by name.
        conditions: all of them have to hold.
        bucketer: `None` is a `NoOpBucketer`, for no bucketer.
    """

    __slots__ = ("bucketer", "client_data", "conditions", "created_date")

    def __init__(
        self,
        created_date: Any,
        client_data: dict[str, Any] | None = None,
        conditions: list[Condition] | None = None,
        bucketer: Any = None,
    ) -> None:
        self.created_date = created_date
        self.client_data: dict[str, Any] = client_data or {}
        self.conditions: list[Condition] = conditions or []
        self.bucketer: Any = bucketer or _NO_BUCKETER

    def to_dict(self) -> dict[str, Any]:
        """Return the metadata as plain data, in copies."""
        return {
            "client_data": copy_containers(self.client_data),
            "created_date": self.created_date,
            "conditions": [condition.to_dict() for condition in self.conditions],
            "bucketer": self.bucketer.to_dict(),
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> FeatureFlagStoreMeta:
        """Make the metadata that `to_dict` gave; all but `created_date` may be absent.

        Raises:
            KeyError: `created_date`, or a field of a check, is missing.
            TypeError: the data has another shape.
            Exception: an operator, a bucketer or a percentage is unknown.
        """
        client_data = fields.get("client_data") or {}
        conditions = fields.get("conditions", [])
        bucketer = fields.get("bucketer")
        if not isinstance(client_data, dict):
            message = "the client data is no object"
            raise TypeError(message)
        if not isinstance(conditions, (list, tuple)):
            message = "the conditions are no list"
            raise TypeError(message)
        return cls(
            fields["created_date"],
            copy_containers(client_data) if client_data else {},
            [Condition.from_dict(condition) for condition in conditions],
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
            client_data: merged into the client data, one level deep; new values win.
            conditions: replace the conditions.
            bucketer: replaces the bucketer.
        """
        if created_date is not None:
            self.created_date = created_date
        if client_data is not None:
            merged = dict(self.client_data)
            merged.update(client_data)
            self.client_data = merged
        if conditions is not None:
            self.conditions = conditions
        if bucketer is not None:
            self.bucketer = bucketer

    def compiled(self, *, told: bool = False) -> Decider:
        """Return the function that decides by these rules; see `evaluation`."""
        return compiled(self, told=told)

    def copy(self) -> FeatureFlagStoreMeta:
        """Return metadata that shares no list and no dict with this."""
        if type(self) is FeatureFlagStoreMeta:
            made = _new(FeatureFlagStoreMeta)
            made.created_date = self.created_date
            made.bucketer = self.bucketer
        else:
            made = copy.copy(self)
        data = self.client_data
        made.client_data = copy_containers(data) if data else {}
        made.conditions = self.conditions[:]  # takes less memory than [*...]
        return made

    def with_condition(self, condition: Condition) -> FeatureFlagStoreMeta:
        """Return metadata with a condition more.

        It shares the client data with this, so change nothing in it.
        """
        made = _new(FeatureFlagStoreMeta)
        made.created_date = self.created_date
        made.client_data = self.client_data
        made.bucketer = self.bucketer
        made.conditions = [*self.conditions, condition]
        return made

    def __repr__(self) -> str:
        """Show how much there is; client data and conditions can be personal."""
        return (
            f"<{type(self).__name__} created {self.created_date!r}, "
            f"{len(self.client_data)} client data, {len(self.conditions)} conditions, "
            f"{self.bucketer.get_type()}>"
        )
