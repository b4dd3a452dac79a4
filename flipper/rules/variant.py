# SPDX-License-Identifier: Apache-2.0
"""`Variant`: what rules serve to users who get more than on or off."""

from __future__ import annotations

from typing import Any

from ..runtime.containers import copy_containers


class Variant:
    """A variant that rules serve. Do not change it: threads share it.

    Args:
        name: its name.
        value: its value, of which callers get copies.
        is_on: whether the flag is on for those who are served it.

    Attributes:
        is_container: whether the value has to be copied.
    """

    __slots__ = ("is_container", "is_on", "name", "value")

    def __init__(self, name: str, value: Any, *, is_on: bool) -> None:
        self.name = name
        self.value = value
        self.is_on = is_on
        self.is_container = copy_containers(value) is not value
