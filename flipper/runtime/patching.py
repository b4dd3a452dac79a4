# SPDX-License-Identifier: Apache-2.0
"""Notices when somebody replaces a method that fast paths do not call.

Compiled rules compare by `value > 18` instead of calling `GreaterThanOperator.compare`.
A test suite may replace such a method for a while, and then it has to be called. It
would take too long to look at the method for every question. So the class itself
notices the replacement (see `Patchable`), and compiled rules read one global name,
`patched`.
"""

from __future__ import annotations

from abc import ABCMeta
from typing import Any, Final

from .weak_objects import WeakObjects

COMPILED_GLOBALS: Final[dict[str, Any]] = {"patched": False}
"""The globals of compiled rules; `patched` is whether a guarded method is replaced."""

_originals: dict[tuple[type, str], Any] = {}
_owners: WeakObjects[Any] = WeakObjects()


class Patchable(ABCMeta):
    """The metaclass of classes that notice when one of their attributes is replaced."""

    def __setattr__(cls, name: str, value: Any) -> None:
        """Set an attribute of the class, such as the replacement of a method."""
        super().__setattr__(name, value)
        _attribute_changed(cls, name)

    def __delattr__(cls, name: str) -> None:
        """Delete an attribute of the class."""
        super().__delattr__(name)
        _attribute_changed(cls, name)


def guard(kind: type, name: str) -> None:
    """Set `patched` from now on while this attribute of a `Patchable` is replaced."""
    # A class without the attribute inherits it, until somebody sets one.
    _originals[kind, name] = vars(kind).get(name)


def register_reader_owner(owner: Any) -> None:
    """Call `owner.refresh_reader()` whenever a method may have been replaced.

    The owner is kept by a weak reference.
    """
    _owners.add(owner)


def refresh_readers() -> None:
    """Call `refresh_reader()` of all registered owners."""
    for owner in _owners:
        owner.refresh_reader()


def _attribute_changed(changed: type, name: str) -> None:
    if (changed, name) in _originals:
        COMPILED_GLOBALS["patched"] = any(
            vars(kind).get(each) is not original
            for (kind, each), original in _originals.items()
        )
    refresh_readers()
