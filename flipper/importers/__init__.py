# SPDX-License-Identifier: Apache-2.0
"""Reads the flags of other flag systems, so that no user changes sides.

Each origin has a module whose `read_flags` turns the parsed export or definition file
of that system into flags with rules. What rules cannot say is a problem of the flag,
which is then switched off; nothing is left out in silence.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..rules.rules import Rules

__all__ = ["ORIGINS", "ImportedFlag", "flags_from"]

ORIGINS: Final = {
    "unleash": "unleash",
    "growthbook": "growthbook",
    "flagd": "flagd",
    "flagd-v1": "flagd_v1",
    "ruby-flipper": "ruby_flipper",
    "launchdarkly": "launchdarkly",
    "waffle": "waffle",
}
"""The module of each origin."""


class ImportedFlag(NamedTuple):
    """A flag of another system, as flipper says it.

    Attributes:
        feature_name: its name.
        is_enabled: whether it is switched on; never if there are problems.
        rules: its rules; `None` for a flag that is on or off for everybody.
        problems: what cannot be said, in sentences for people.
        bucketer: decides for a flag without rules.
        notes: what differs, but keeps nobody from using the flag, for people.
    """

    feature_name: str
    is_enabled: bool
    rules: Rules | None = None
    problems: tuple[str, ...] = ()
    bucketer: Any = None
    notes: tuple[str, ...] = ()


def flags_from(origin: str, data: Any) -> Iterator[ImportedFlag]:
    """Yield the flags of a file of another system.

    Args:
        origin: a key of `ORIGINS`.
        data: the parsed JSON or YAML of the file.

    Raises:
        InvalidArgumentError: the origin is unknown, or the data is of another kind.
    """
    if origin not in ORIGINS:
        close = get_close_matches(str(origin), ORIGINS, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"use {', '.join(ORIGINS)}"
        raise InvalidArgumentError(
            f"Flags of {origin!r} cannot be read; {hint}", value=origin
        )
    module = import_module(f".{ORIGINS[origin]}", __name__)
    for flag in module.read_flags(data):
        yield flag._replace(is_enabled=False) if flag.problems else flag
