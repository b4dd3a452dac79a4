# SPDX-License-Identifier: Apache-2.0
"""Notices that somebody has replaced a method which fast paths do without calling.

Compiled rules compare by `value > 18` what `GreaterThanOperator.compare` would compare.
Test suites replace such methods for a while, and then the methods have to be called.
To ask about that for every question would take longer than the questions; so the
classes themselves notice, and compiled rules look at one global name, `patched`.
"""

from __future__ import annotations

from abc import ABCMeta
from typing import Any, Final
from weakref import WeakValueDictionary

NAMES: Final[dict[str, Any]] = {"patched": False}
"""The globals of compiled rules; `patched` is whether anything is replaced now."""

_originals: dict[tuple[type, str], Any] = {}
# By identity: a client may be of a class whose objects cannot be hashed.
_lookers: WeakValueDictionary[int, Any] = WeakValueDictionary()


class Patchable(ABCMeta):
    """The class of classes whose methods may be guarded."""

    def __setattr__(cls, name: str, value: Any) -> None:
        """Set an attribute of the class, such as a method's replacement."""
        super().__setattr__(name, value)
        _look_at(cls, name)

    def __delattr__(cls, name: str) -> None:
        """Delete an attribute of the class."""
        super().__delattr__(name)
        _look_at(cls, name)


def guard(kind: type, name: str) -> None:
    """Have `patched` tell whether this attribute of a `Patchable` is what it is now."""
    _originals[kind, name] = vars(kind)[name]


def add_looker(looker: Any) -> None:
    """Call `looker.look_again()` whenever something may have been replaced.

    As long as the looker is in use.
    """
    _lookers[id(looker)] = looker


def look_again() -> None:
    """Tell all lookers that something may have been replaced."""
    # Race: other threads make clients meanwhile. `values` does not stand that before
    # Python 3.14; the references are copied in one step.
    for reference in _lookers.valuerefs():
        looker = reference()
        if looker is not None:
            looker.look_again()


def _look_at(changed: type, name: str) -> None:
    if (changed, name) in _originals:
        NAMES["patched"] = any(
            vars(kind).get(each) is not original
            for (kind, each), original in _originals.items()
        )
    look_again()
