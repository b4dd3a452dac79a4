# SPDX-License-Identifier: Apache-2.0
"""How the async client changes flags: as the client that it wraps, in a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .asking import AsyncAskingClient

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..conditions.condition import Condition
    from ..rules.rule import Rule
    from ..rules.rules import Rules


class AsyncWritingClient(AsyncAskingClient):
    """The part of `AsyncFeatureFlagClient` that changes flags. Thread-safe."""

    async def enable(self, feature_name: str) -> None:
        """Switch a flag on.

        Raises:
            FlagDoesNotExistError: there is no such flag.
        """
        await self._threads.call(self._client.enable, feature_name)

    async def disable(self, feature_name: str) -> None:
        """Switch a flag off.

        Raises:
            FlagDoesNotExistError: there is no such flag.
        """
        await self._threads.call(self._client.disable, feature_name)

    async def destroy(self, feature_name: str) -> None:
        """Remove a flag.

        Raises:
            FlagDoesNotExistError: there is no such flag.
        """
        await self._threads.call(self._client.destroy, feature_name)

    async def add_condition(self, feature_name: str, condition: Condition) -> None:
        """Add a condition to a flag, which is on only if all its conditions hold.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            InvalidArgumentError: it is not a condition, or cannot be stored; or the
                flag would depend on itself.
        """
        await self._threads.call(self._client.add_condition, feature_name, condition)

    async def set_conditions(
        self, feature_name: str, conditions: Iterable[Condition]
    ) -> None:
        """Replace all conditions of a flag.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            InvalidArgumentError: one is not a condition, or they cannot be stored; or
                the flag would depend on itself.
        """
        await self._threads.call(self._client.set_conditions, feature_name, conditions)

    async def set_bucketer(self, feature_name: str, bucketer: Any) -> None:
        """Let a bucketer decide for calls that no condition applies to.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            InvalidArgumentError: it is not a bucketer, its percentage is not a fraction
                from 0 to 1, or it cannot be stored.
        """
        await self._threads.call(self._client.set_bucketer, feature_name, bucketer)

    async def set_client_data(
        self, feature_name: str, client_data: dict[str, Any] | None
    ) -> None:
        """Merge data into the application's own data of a flag.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            InvalidArgumentError: the data is not a dict, or cannot be stored.
        """
        set_client_data = self._client.set_client_data
        await self._threads.call(set_client_data, feature_name, client_data)

    async def set_rules(
        self, feature_name: str, rules: Rules | Iterable[Rule] | None
    ) -> None:
        """Replace the rules of a flag, which decide in the place of a bucketer.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            InvalidArgumentError: they are not rules, or cannot be stored.
        """
        await self._threads.call(self._client.set_rules, feature_name, rules)
