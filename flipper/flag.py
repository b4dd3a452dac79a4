# SPDX-License-Identifier: Apache-2.0
"""A handle of one flag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .client import FeatureFlagClient
    from .conditions.condition import Condition
    from .evaluation import Evaluation


class FeatureFlag:
    """The methods of a client for one feature name.

    A handle may be made for a flag that does not exist, and outlives the flag.

    Args:
        feature_name: the flag.
        client: who does the work.
    """

    # Made by the thousand when flags are listed: those two take no dict, but whoever
    # wants to keep something else with a handle may.
    __slots__ = ("__dict__", "__weakref__", "_client", "name")

    def __init__(self, feature_name: str, client: FeatureFlagClient) -> None:
        self.name = feature_name
        self._client = client

    def is_enabled(self, /, default: Any = False, **conditions: Any) -> Any:
        """Tell whether the flag is on for these arguments; never raise.

        Args:
            default: what a missing flag answers, and one that cannot be evaluated.
            **conditions: what conditions and bucketers look at, by any names.
        """
        return self._client.is_enabled(self.name, default=default, **conditions)

    def explain(self, /, default: Any = False, **conditions: Any) -> Evaluation:
        """Decide as `is_enabled` does, and return the answer with its reason."""
        return self._client.explain(self.name, default=default, **conditions)

    def exists(self) -> bool:
        """Tell whether the store has this flag."""
        return self._client.exists(self.name)

    def enable(self) -> None:
        """Switch the flag on."""
        self._client.enable(self.name)

    def disable(self) -> None:
        """Switch the flag off."""
        self._client.disable(self.name)

    def destroy(self) -> None:
        """Remove the flag."""
        self._client.destroy(self.name)

    def add_condition(self, condition: Condition) -> None:
        """Limit the flag further: all its conditions have to hold."""
        self._client.add_condition(self.name, condition)

    def set_conditions(self, conditions: Iterable[Condition]) -> None:
        """Replace all conditions of the flag."""
        self._client.set_conditions(self.name, conditions)

    def set_client_data(self, client_data: dict[str, Any] | None) -> None:
        """Merge data of the application's own into what is kept with the flag."""
        self._client.set_client_data(self.name, client_data)

    def get_client_data(self) -> dict[str, Any]:
        """Return the client data of the flag, a copy."""
        # Drop-in: tests with a mock client expect it to be asked for `get_meta`.
        data: dict[str, Any] = self.get_meta()["client_data"]
        return data

    def get_meta(self) -> dict[str, Any]:
        """Return all metadata of the flag as plain data, a copy."""
        return self._client.get_meta(self.name)

    def set_bucketer(self, bucketer: Any) -> None:
        """Let a bucketer decide for calls that no condition looks at."""
        self._client.set_bucketer(self.name, bucketer)

    def __repr__(self) -> str:
        """Show the name."""
        return f"<{type(self).__name__} {self.name!r}>"
