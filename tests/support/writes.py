# SPDX-License-Identifier: Apache-2.0
"""Each write of a client, by the name of its events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flipper import Condition
from flipper.bucketing import NoOpBucketer

if TYPE_CHECKING:
    from collections.abc import Callable

WRITES: dict[str, Callable[[Any], object]] = {
    "create": lambda client: client.create("x", is_enabled=True, client_data={"a": 1}),
    "enable": lambda client: client.enable("x"),
    "disable": lambda client: client.disable("x"),
    "add_condition": lambda client: client.add_condition("x", Condition(a=1)),
    "set_conditions": lambda client: client.set_conditions("x", [Condition(a=1)]),
    "set_client_data": lambda client: client.set_client_data("x", {"b": 2}),
    "set_bucketer": lambda client: client.set_bucketer("x", NoOpBucketer()),
    "destroy": lambda client: client.destroy("x"),
}


def succeeds(write: Callable[[], object]) -> bool:
    """Return whether a write succeeds; a server that has just started may refuse."""
    try:
        write()
    except Exception:  # noqa: BLE001  (of whatever driver)
        return False
    return True
