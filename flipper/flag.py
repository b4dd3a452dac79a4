# SPDX-License-Identifier: Apache-2.0
"""The handle of one flag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Protocol

    from .conditions.condition import Condition
    from .contrib.interface import AbstractFeatureFlagStore
    from .explanation import Evaluation
    from .rules.rule import Rule
    from .rules.rules import Rules

    class FlagClient(Protocol):
        """The methods of `FeatureFlagClient` that a handle calls."""

        def is_enabled(
            self, feature_name: str, /, default: Any = ..., **conditions: Any
        ) -> Any:
            """Return whether the flag is on."""

        def explain(
            self, feature_name: str, /, default: Any = ..., **conditions: Any
        ) -> Evaluation:
            """Return the answer with its reason."""

        def variant(
            self, feature_name: str, default: Any = ..., /, **conditions: Any
        ) -> Any:
            """Return the value of the variant."""

        def get_rules(self, feature_name: str) -> Rules | None:
            """Return the rules."""

        def set_rules(
            self, feature_name: str, rules: Rules | Iterable[Rule] | None
        ) -> None:
            """Replace the rules."""

        def exists(self, feature_name: str) -> bool:
            """Return whether the store has the flag."""

        def enable(self, feature_name: str) -> None:
            """Switch the flag on."""

        def disable(self, feature_name: str) -> None:
            """Switch the flag off."""

        def destroy(self, feature_name: str) -> None:
            """Remove the flag."""

        def add_condition(self, feature_name: str, condition: Condition) -> None:
            """Add a condition."""

        def set_conditions(
            self, feature_name: str, conditions: Iterable[Condition]
        ) -> None:
            """Replace the conditions."""

        def set_client_data(
            self, feature_name: str, client_data: dict[str, Any] | None
        ) -> None:
            """Merge client data."""

        def get_meta(self, feature_name: str) -> dict[str, Any]:
            """Return the metadata."""

        def set_bucketer(self, feature_name: str, bucketer: Any) -> None:
            """Replace the bucketer."""


class FeatureFlag:
    """The methods of a client for one feature name.

    Threads may share it. The flag need not exist, neither now nor later.

    Args:
        feature_name: the flag.
        client: the client that each method calls.
    """

    # A listing makes thousands of handles, and slots save a dict for each of them.
    # `__dict__` is there so that applications can set attributes of their own.
    __slots__ = ("__dict__", "__weakref__", "_client", "name")

    def __init__(self, feature_name: str, client: FlagClient) -> None:
        self.name = feature_name
        self._client = client

    @classmethod
    def handles_of(
        cls,
        client: FlagClient,
        store: AbstractFeatureFlagStore,
        limit: int | None,
        offset: int,
    ) -> Iterator[FeatureFlag]:
        """Give a handle of each flag in a store, without a call for each of them."""
        make = object.__new__
        for item in store.list(limit=limit, offset=offset):
            if item is not None:  # a custom store, and a flag deleted meanwhile
                flag: FeatureFlag = make(cls)
                flag.name = item.feature_name
                flag._client = client
                yield flag

    def is_enabled(self, /, default: Any = False, **conditions: Any) -> Any:
        """Return whether the flag is on for these arguments; never raise.

        Args:
            default: the answer for a flag that is missing or cannot be evaluated.
            **conditions: the arguments for conditions and bucketers, under any names.
        """
        return self._client.is_enabled(self.name, default=default, **conditions)

    def explain(self, /, default: Any = False, **conditions: Any) -> Evaluation:
        """Decide as `is_enabled` does, and return the answer with its reason."""
        return self._client.explain(self.name, default=default, **conditions)

    def variant(self, default: Any = None, /, **conditions: Any) -> Any:
        """Return the value of the variant that the flag serves, else the default."""
        return self._client.variant(self.name, default, **conditions)

    def get_rules(self) -> Rules | None:
        """Return the rules of the flag, or `None` if it has none."""
        return self._client.get_rules(self.name)

    def set_rules(self, rules: Rules | Iterable[Rule] | None) -> None:
        """Replace the rules of the flag; `None` removes them."""
        self._client.set_rules(self.name, rules)

    def exists(self) -> bool:
        """Return whether the store has this flag."""
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
        """Add a condition to the flag, which is on only if all its conditions hold."""
        self._client.add_condition(self.name, condition)

    def set_conditions(self, conditions: Iterable[Condition]) -> None:
        """Replace all conditions of the flag."""
        self._client.set_conditions(self.name, conditions)

    def set_client_data(self, client_data: dict[str, Any] | None) -> None:
        """Merge data into the application's own data of the flag."""
        self._client.set_client_data(self.name, client_data)

    def get_client_data(self) -> dict[str, Any]:
        """Return a copy of the client data of the flag."""
        # Drop-in: tests with a mock client expect a call of its `get_meta`.
        data: dict[str, Any] = self.get_meta()["client_data"]
        return data

    def get_meta(self) -> dict[str, Any]:
        """Return a copy of all metadata of the flag as plain data."""
        return self._client.get_meta(self.name)

    def set_bucketer(self, bucketer: Any) -> None:
        """Let a bucketer decide for calls that no condition applies to."""
        self._client.set_bucketer(self.name, bucketer)

    def __repr__(self) -> str:
        """Show the name."""
        return f"<{type(self).__name__} {self.name!r}>"
