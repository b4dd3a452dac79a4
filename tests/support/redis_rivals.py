# SPDX-License-Identifier: Apache-2.0
"""Calls that a test makes in the middle of a transaction of the Redis store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def before_command(
    monkeypatch: pytest.MonkeyPatch,
    client: Any,
    command: str,
    call: Callable[[Any], object],
) -> None:
    """Make a call just before connections of the client's class send a command.

    The call gets the connection.
    """
    kind = client.connection_pool.connection_class
    pack = kind.pack_commands

    def interrupted(connection: Any, commands: Any) -> Any:
        commands = list(commands)
        if commands[0][0] == command:
            call(connection)
        return pack(connection, commands)

    monkeypatch.setattr(kind, "pack_commands", interrupted)


class Rivalry:
    """Lets a rival write in the middle of another write, `times` times.

    Attributes:
        rival: what the rival does.
        left: how many times it will still do so.
    """

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, client: Any, command: str, times: int
    ) -> None:
        self.left = times
        self.rival: Callable[[], object] = lambda: None

        def interrupt(_: Any) -> None:
            # The rival's own write is not interrupted.
            if self.left > 0:
                self.left, left = 0, self.left
                self.rival()
                self.left = left - 1

        before_command(monkeypatch, client, command, interrupt)
