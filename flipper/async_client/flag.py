# SPDX-License-Identifier: Apache-2.0
"""The handle of one flag, for asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..conditions.condition import Condition
    from ..explanation import Evaluation
    from ..rules.rule import Rule
    from ..rules.rules import Rules
    from .writing import AsyncWritingClient


class AsyncFeatureFlag:
    """The methods of an `AsyncFeatureFlagClient` for one feature name.

    Threads and event loops may share it. The flag need not exist, neither now nor
    later.

    Args:
        feature_name: the flag.
        client: the client that each method calls.
    """

    def __init__(self, feature_name: str, client: AsyncWritingClient) -> None:
        self.name = feature_name
        self._client = client

    async def is_enabled(self, /, default: Any = False, **conditions: Any) -> Any:
        """Return whether the flag is on for these arguments; never raise.

        Args:
            default: the answer for a flag that is missing or cannot be evaluated.
            **conditions: the arguments for conditions and bucketers, under any names.
        """
        return await self._client.is_enabled(self.name, default, **conditions)

    async def explain(self, /, default: Any = False, **conditions: Any) -> Evaluation:
        """Decide as `is_enabled` does, and return the answer with its reason."""
        return await self._client.explain(self.name, default, **conditions)

    async def variant(self, default: Any = None, /, **conditions: Any) -> Any:
        """Return the value of the variant that the flag serves, else the default."""
        return await self._client.variant(self.name, default, **conditions)

    async def get_rules(self) -> Rules | None:
        """Return the rules of the flag, or `None` if it has none."""
        return await self._client.get_rules(self.name)

    async def set_rules(self, rules: Rules | Iterable[Rule] | None) -> None:
        """Replace the rules of the flag; `None` removes them."""
        await self._client.set_rules(self.name, rules)

    async def exists(self) -> bool:
        """Return whether the store has this flag."""
        return await self._client.exists(self.name)

    async def enable(self) -> None:
        """Switch the flag on."""
        await self._client.enable(self.name)

    async def disable(self) -> None:
        """Switch the flag off."""
        await self._client.disable(self.name)

    async def destroy(self) -> None:
        """Remove the flag."""
        await self._client.destroy(self.name)

    async def add_condition(self, condition: Condition) -> None:
        """Add a condition to the flag, which is on only if all its conditions hold."""
        await self._client.add_condition(self.name, condition)

    async def set_conditions(self, conditions: Iterable[Condition]) -> None:
        """Replace all conditions of the flag."""
        await self._client.set_conditions(self.name, conditions)

    async def set_client_data(self, client_data: dict[str, Any] | None) -> None:
        """Merge data into the application's own data of the flag."""
        await self._client.set_client_data(self.name, client_data)

    async def get_client_data(self) -> dict[str, Any]:
        """Return a copy of the client data of the flag."""
        return await self._client.get_client_data(self.name)

    async def get_meta(self) -> dict[str, Any]:
        """Return a copy of all metadata of the flag as plain data."""
        return await self._client.get_meta(self.name)

    async def set_bucketer(self, bucketer: Any) -> None:
        """Let a bucketer decide for calls that no condition applies to."""
        await self._client.set_bucketer(self.name, bucketer)

    def __repr__(self) -> str:
        """Show the name."""
        return f"<{type(self).__name__} {self.name!r}>"
