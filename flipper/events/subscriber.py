# SPDX-License-Identifier: Apache-2.0
"""A listener for all events in one object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..bucketing.base import AbstractBucketer
    from ..conditions import Condition


class FlipperEventSubscriber:
    """Has a method for every event, all of which do nothing: override some.

    Register it by `client.events.register_subscriber`. Methods run in the thread that
    writes; an exception in one comes out of the write.
    """

    def on_pre_create(
        self, flag_name: str, is_enabled: bool, client_data: dict[str, Any] | None
    ) -> None:
        """Hear that a flag is created, before it is written."""

    def on_pre_enable(self, flag_name: str) -> None:
        """Hear that a flag is enabled, before it is written."""

    def on_pre_disable(self, flag_name: str) -> None:
        """Hear that a flag is disabled, before it is written."""

    def on_pre_destroy(self, flag_name: str) -> None:
        """Hear that a flag is destroyed, before it is written."""

    def on_pre_add_condition(self, flag_name: str, condition: Condition) -> None:
        """Hear that a condition is added to a flag, before it is written."""

    def on_pre_set_conditions(
        self, flag_name: str, conditions: Iterable[Condition]
    ) -> None:
        """Hear that the conditions of a flag are replaced, before it is written."""

    def on_pre_set_client_data(
        self, flag_name: str, client_data: dict[str, Any]
    ) -> None:
        """Hear that client data becomes `client_data`, before it is written."""

    def on_pre_set_bucketer(self, flag_name: str, bucketer: AbstractBucketer) -> None:
        """Hear that a flag gets a bucketer, before it is written."""

    def on_post_create(
        self, flag_name: str, is_enabled: bool, client_data: dict[str, Any] | None
    ) -> None:
        """Hear that a flag is created, once it is written."""

    def on_post_enable(self, flag_name: str) -> None:
        """Hear that a flag is enabled, once it is written."""

    def on_post_disable(self, flag_name: str) -> None:
        """Hear that a flag is disabled, once it is written."""

    def on_post_destroy(self, flag_name: str) -> None:
        """Hear that a flag is destroyed, once it is written."""

    def on_post_add_condition(self, flag_name: str, condition: Condition) -> None:
        """Hear that a condition is added to a flag, once it is written."""

    def on_post_set_conditions(
        self, flag_name: str, conditions: Iterable[Condition]
    ) -> None:
        """Hear that the conditions of a flag are replaced, once it is written."""

    def on_post_set_client_data(
        self, flag_name: str, client_data: dict[str, Any]
    ) -> None:
        """Hear that client data becomes `client_data`, once it is written."""

    def on_post_set_bucketer(self, flag_name: str, bucketer: AbstractBucketer) -> None:
        """Hear that a flag gets a bucketer, once it is written."""
