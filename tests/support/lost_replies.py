# SPDX-License-Identifier: Apache-2.0
"""One rule for all servers: a write whose reply is lost raises or has taken effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from flipper import Condition

if TYPE_CHECKING:
    from collections.abc import Callable

    from flipper import FeatureFlagClient
    from servers import Proxy

WRITES: dict[str, Callable[[FeatureFlagClient], object]] = {
    "create": lambda flags: flags.create("x", client_data={"new": 1}),
    "create another": lambda flags: flags.create("y"),
    "enable": lambda flags: flags.enable("x"),
    "add_condition": lambda flags: flags.add_condition("x", Condition(new=1)),
    "set_client_data": lambda flags: flags.set_client_data("x", {"new": 1}),
    "destroy": lambda flags: flags.destroy("x"),
}
"""The ways to write a flag `x` that exists and is off, or a flag `y` that does not."""


class Losses(NamedTuple):
    """What came of a write that was repeated until none of its replies was lost.

    Attributes:
        replies: how many replies a write has; each of them was lost once.
        errors: how many of these writes have raised.
    """

    replies: int
    errors: int


def lose_each_reply(
    write: str,
    proxy: Proxy,
    connect: Callable[[], FeatureFlagClient],
    direct: Any,
    errors: type[Exception] | tuple[type[Exception], ...],
) -> Losses:
    """Lose the first reply to a write, then the second, until there are no more.

    Args:
        write: one of `WRITES`.
        proxy: what stands between the client and the server.
        connect: returns a client that reaches the server through the proxy.
        direct: a store, or what has its `create`, `delete` and `get`, without proxy.
        errors: what a write may raise.

    Raises:
        AssertionError: a write has returned without effect, or was applied twice.
    """
    failed = 0
    for lost in range(1, 20):
        flags = connect()
        direct.create("x")
        direct.delete("y")
        dropped = proxy.dropped
        proxy.drop_reply(lost)
        is_acknowledged = True
        try:
            WRITES[write](flags)
        except errors:
            is_acknowledged = False
        was_lost = proxy.dropped > dropped
        proxy.restore()
        assert _is_written(write, direct) or not is_acknowledged
        failed += not is_acknowledged
        if not was_lost:
            assert is_acknowledged
            assert lost > 1
            return Losses(lost - 1, failed)
    raise AssertionError("there was no end of replies")


def _is_written(write: str, direct: Any) -> bool:
    """Return whether a write has taken effect; raise if it has done so twice."""
    item = direct.get("x")
    if write == "create another":
        return direct.get("y") is not None
    if item is None or write == "destroy":
        return item is None
    data, conditions = item.meta["client_data"], item.meta["conditions"]
    assert len(conditions) <= 1
    return bool(
        {
            "create": "new" in data,
            "enable": item.raw_is_enabled,
            "add_condition": conditions,
            "set_client_data": "new" in data,
        }[write]
    )
