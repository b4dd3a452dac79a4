# SPDX-License-Identifier: Apache-2.0
"""The base class of subscribers: objects with a listener for every event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Concatenate, ParamSpec

    from ..bucketing.base import AbstractBucketer
    from ..conditions import Condition

    P = ParamSpec("P")
    Handler = Callable[Concatenate[Any, str, P], None]


def _name_by_position(method: Handler[P]) -> Handler[P]:
    """Let type checkers accept any name for the first parameter in a subclass.

    Emitters pass the feature name by position, so `feature_name` works as well as
    `flag_name`. Drop-in: calls may still pass `flag_name=`, as with flipper-client.
    """
    return method


class FlipperEventSubscriber:
    """Has a method for every event. They do nothing; override those that you need.

    Register a subscriber by `client.events.register_subscriber`. Its methods run in the
    thread that writes. If a method raises an exception, the write raises it too.
    The first parameter of a method may have any name, such as `feature_name`.
    """

    @_name_by_position
    def on_pre_create(
        self, flag_name: str, is_enabled: bool, client_data: dict[str, Any] | None
    ) -> None:
        """Handle that a flag is about to be created."""

    @_name_by_position
    def on_pre_enable(self, flag_name: str) -> None:
        """Handle that a flag is about to be enabled."""

    @_name_by_position
    def on_pre_disable(self, flag_name: str) -> None:
        """Handle that a flag is about to be disabled."""

    @_name_by_position
    def on_pre_destroy(self, flag_name: str) -> None:
        """Handle that a flag is about to be destroyed."""

    @_name_by_position
    def on_pre_add_condition(self, flag_name: str, condition: Condition) -> None:
        """Handle that a condition is about to be added to a flag."""

    @_name_by_position
    def on_pre_set_conditions(
        self, flag_name: str, conditions: Iterable[Condition]
    ) -> None:
        """Handle that the conditions of a flag are about to be replaced."""

    @_name_by_position
    def on_pre_set_client_data(
        self, flag_name: str, client_data: dict[str, Any]
    ) -> None:
        """Handle that the client data of a flag is about to become `client_data`."""

    @_name_by_position
    def on_pre_set_bucketer(self, flag_name: str, bucketer: AbstractBucketer) -> None:
        """Handle that the bucketer of a flag is about to be set."""

    @_name_by_position
    def on_post_create(
        self, flag_name: str, is_enabled: bool, client_data: dict[str, Any] | None
    ) -> None:
        """Handle that a flag was created."""

    @_name_by_position
    def on_post_enable(self, flag_name: str) -> None:
        """Handle that a flag was enabled."""

    @_name_by_position
    def on_post_disable(self, flag_name: str) -> None:
        """Handle that a flag was disabled."""

    @_name_by_position
    def on_post_destroy(self, flag_name: str) -> None:
        """Handle that a flag was destroyed."""

    @_name_by_position
    def on_post_add_condition(self, flag_name: str, condition: Condition) -> None:
        """Handle that a condition was added to a flag."""

    @_name_by_position
    def on_post_set_conditions(
        self, flag_name: str, conditions: Iterable[Condition]
    ) -> None:
        """Handle that the conditions of a flag were replaced."""

    @_name_by_position
    def on_post_set_client_data(
        self, flag_name: str, client_data: dict[str, Any]
    ) -> None:
        """Handle that the client data of a flag became `client_data`."""

    @_name_by_position
    def on_post_set_bucketer(self, flag_name: str, bucketer: AbstractBucketer) -> None:
        """Handle that the bucketer of a flag was set."""
