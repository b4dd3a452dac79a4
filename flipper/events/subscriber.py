# SPDX-License-Identifier: Apache-2.0
"""The base class of subscribers: objects with a listener for every event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..bucketing.base import AbstractBucketer
    from ..conditions import Condition


class FlipperEventSubscriber:
    """Has a method for every event. They do nothing; override some.

    Register it by `client.events.register_subscriber`. The methods run in the thread
    that writes. If one raises, the write raises the exception.
    """

    def on_pre_create(
        self, flag_name: str, is_enabled: bool, client_data: dict[str, Any] | None
    ) -> None:
        """Handle that a flag is about to be created."""

    def on_pre_enable(self, flag_name: str) -> None:
        """Handle that a flag is about to be enabled."""

    def on_pre_disable(self, flag_name: str) -> None:
        """Handle that a flag is about to be disabled."""

    def on_pre_destroy(self, flag_name: str) -> None:
        """Handle that a flag is about to be destroyed."""

    def on_pre_add_condition(self, flag_name: str, condition: Condition) -> None:
        """Handle that a condition is about to be added to a flag."""

    def on_pre_set_conditions(
        self, flag_name: str, conditions: Iterable[Condition]
    ) -> None:
        """Handle that the conditions of a flag are about to be replaced."""

    def on_pre_set_client_data(
        self, flag_name: str, client_data: dict[str, Any]
    ) -> None:
        """Handle that the client data of a flag is about to become `client_data`."""

    def on_pre_set_bucketer(self, flag_name: str, bucketer: AbstractBucketer) -> None:
        """Handle that the bucketer of a flag is about to be set."""

    def on_post_create(
        self, flag_name: str, is_enabled: bool, client_data: dict[str, Any] | None
    ) -> None:
        """Handle that a flag was created."""

    def on_post_enable(self, flag_name: str) -> None:
        """Handle that a flag was enabled."""

    def on_post_disable(self, flag_name: str) -> None:
        """Handle that a flag was disabled."""

    def on_post_destroy(self, flag_name: str) -> None:
        """Handle that a flag was destroyed."""

    def on_post_add_condition(self, flag_name: str, condition: Condition) -> None:
        """Handle that a condition was added to a flag."""

    def on_post_set_conditions(
        self, flag_name: str, conditions: Iterable[Condition]
    ) -> None:
        """Handle that the conditions of a flag were replaced."""

    def on_post_set_client_data(
        self, flag_name: str, client_data: dict[str, Any]
    ) -> None:
        """Handle that the client data of a flag became `client_data`."""

    def on_post_set_bucketer(self, flag_name: str, bucketer: AbstractBucketer) -> None:
        """Handle that the bucketer of a flag was set."""
