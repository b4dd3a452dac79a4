# SPDX-License-Identifier: Apache-2.0
"""Rules: an ordered list of expressions, each with what it serves.

`rule` and `rules` are what applications make, `rollout` and `split` share users out by
`hashing`. `rules_bucketer` says how documents carry rules, `compiling` makes them fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .rollout import Rollout
    from .rule import Rule
    from .rules import Rules
    from .split import Split

__all__ = ["Rollout", "Rule", "Rules", "Split"]


def __getattr__(name: str) -> Any:
    """Load the module of a class, and return the class."""
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(f".{name.lower()}", __name__), name)
    globals()[name] = value
    return value
