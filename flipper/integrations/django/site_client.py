# SPDX-License-Identifier: Apache-2.0
"""`features`: the client of the site, made from the setting `FLIPPER` at first use."""

from __future__ import annotations

import threading
from typing import Any, Final

from asgiref.sync import iscoroutinefunction

from ...client import FeatureFlagClient
from ...runtime.fork import at_fork
from .configuration import NAME, context_function, make_store, read_setting

# What belongs to the site, and not to its store.
_KEPT: Final = {"_overrides", "_hooks", "_events", "_context"}


class SiteClient(FeatureFlagClient):
    """A client that makes its store when it is first used. Thread-safe.

    In tests, it follows `override_settings(FLIPPER=...)`: the store is closed, and the
    next question makes another. Overrides of flags, hooks and listeners of events stay.

    Raises:
        InvalidArgumentError: at first use; there is a mistake in the setting.
        Exception: at first use; any error of the store.
    """

    def __init__(self) -> None:
        """Do nothing yet: Python calls `__getattr__` for what is missing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        with _lock:
            # Race: another thread may have done this meanwhile.
            if "_reader" not in vars(self):
                self._open()
        return object.__getattribute__(self, name)

    def close(self) -> None:
        """Close the store, if there is one. The next use makes another. Idempotent."""
        with _lock:
            state = vars(self)
            store = state.get("_store_to_close")
            for name in state.keys() - _KEPT:
                del state[name]
        if store is not None and hasattr(store, "close"):
            store.close()

    def refresh_reader(self) -> None:
        """Choose again how to read and write, if there is a store."""
        if "_source" in vars(self):
            super().refresh_reader()

    def _open(self) -> None:
        setting = read_setting()
        store = make_store(setting)
        events = vars(self).get("_events")
        # Race: `_reader`, which is set last, says that all is there.
        self.context_function = context_function(setting)
        self.context_is_async = iscoroutinefunction(self.context_function)
        self.preloaded = tuple(setting.get("PRELOAD", ()))
        self._store_to_close = store
        super().__init__(
            store,
            on_error=setting.get("ON_ERROR", "default"),
            strict=setting.get("STRICT", "silent"),
        )
        if events is not None:
            self._events = events


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603  (one for the process)
    _lock = threading.RLock()


_lock: Any
_renew_lock()
at_fork(after_in_child=_renew_lock)

features: Final = SiteClient()
"""The client of the site."""


def follow_setting(*, setting: str, **_: Any) -> None:
    """Close the store of `features` if a test has changed the setting."""
    if setting in (NAME, "DATABASES"):
        features.close()
