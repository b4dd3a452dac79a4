# SPDX-License-Identifier: Apache-2.0
"""What a store keeps about a flag beside its state."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from ...bucketing.factory import BucketerFactory
from ...bucketing.noop_bucketer import NoOpBucketer
from ...conditions.condition import Condition
from ...evaluation import compiled, is_constant
from ...runtime.containers import copy_containers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...conditions.compiled import Decider

_new = object.__new__
_NO_BUCKETER = NoOpBucketer.from_dict({})


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

    # Most flags have neither data nor conditions: these are `None` until somebody asks,
    # which spares two containers per flag.
    __slots__ = ("_client_data", "_conditions", "bucketer", "created_date")

    def __init__(
        self,
        created_date: Any,
        client_data: dict[str, Any] | None = None,
        conditions: list[Condition] | None = None,
        bucketer: Any = None,
    ) -> None:
        self.created_date = created_date
        self._client_data = client_data or None
        self._conditions = conditions or None
        self.bucketer: Any = bucketer or _NO_BUCKETER

    @property
    def client_data(self) -> dict[str, Any]:
        """Data of the application's own, by name."""
        if self._client_data is None:
            self._client_data = {}
        return self._client_data

    @client_data.setter
    def client_data(self, client_data: dict[str, Any]) -> None:
        self._client_data = client_data

    @property
    def conditions(self) -> list[Condition]:
        """The conditions, all of which have to hold."""
        if self._conditions is None:
            self._conditions = []
        return self._conditions

    @conditions.setter
    def conditions(self, conditions: list[Condition]) -> None:
        self._conditions = conditions

    @property
    def is_constant(self) -> bool:
        """Whether an enabled flag with these rules is on whatever the arguments."""
        return is_constant(self._conditions, self.bucketer)

    def to_dict(self) -> dict[str, Any]:
        """Return the metadata as plain data, in copies."""
        return {
            "client_data": copy_containers(self._client_data or {}),
            "created_date": self.created_date,
            "conditions": [each.to_dict() for each in self._conditions or ()],
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
        conditions = fields.get("conditions", ())
        bucketer = fields.get("bucketer")
        if not isinstance(client_data, dict):
            message = "the client data is no object"
            raise TypeError(message)
        if not isinstance(conditions, (list, tuple)):
            message = "the conditions are no list"
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
            client_data: merged into the client data, one level deep; new values win.
            conditions: replace the conditions.
            bucketer: replaces the bucketer.
        """
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
        data, conditions = self._client_data, self._conditions
        made._client_data = copy_containers(data) if data else None  # noqa: SLF001  (own class)
        # A slice takes less memory than [*conditions].
        made._conditions = conditions[:] if conditions else None  # noqa: SLF001
        return made

    def with_condition(self, condition: Condition) -> FeatureFlagStoreMeta:
        """Return metadata with a condition more.

        It shares the client data with this, so change nothing in it.
        """
        made = _new(FeatureFlagStoreMeta)
        made.created_date = self.created_date
        made._client_data = self._client_data  # noqa: SLF001  (own class)
        made.bucketer = self.bucketer
        made._conditions = [*(self._conditions or ()), condition]  # noqa: SLF001
        return made

    def __repr__(self) -> str:
        """Show how much there is; client data and conditions can be personal."""
        return (
            f"<{type(self).__name__} created {self.created_date!r}, "
            f"{len(self._client_data or ())} client data, "
            f"{len(self._conditions or ())} conditions, "
            f"{self.bucketer.get_type()}>"
        )
