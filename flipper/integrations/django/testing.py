# SPDX-License-Identifier: Apache-2.0
"""Flags for the tests of a site: `override_flags`."""

from __future__ import annotations

from typing import Any

from django.test.utils import TestContextDecorator

from ... import testing
from .site_client import features


class override_flags(TestContextDecorator):  # noqa: N801  (as `override_settings`)
    """Answer some flags of `features` by fixed values during a test.

    It is used like `override_settings`: as a decorator of test classes, of functions
    and of `async def`, and as a context manager. Views, templates and middleware see
    it, in all threads. Nothing is written. The override ends with the test, also after
    an error. See `flipper.testing.override_flags`.

    On a class it is in place during `setUp` and the test, and not in `setUpClass`.

    Args:
        **flags: `True` or `False` for each flag, or the value of its variant.

    Raises:
        InvalidArgumentError: no flag can have this name, or no variant this value.
        TypeError: what is decorated is a class, and no test case.
    """

    def __init__(self, **flags: Any) -> None:
        super().__init__()
        self._flags = flags
        self._active: list[testing.override_flags] = []
        self._make()  # so that a wrong value is refused before a test begins

    def enable(self) -> testing.FlagOverrides:
        """Begin the override, and return the flags, which the test may change."""
        override = self._make()
        flags = override.__enter__()
        self._active.append(override)
        return flags

    def disable(self) -> None:
        """End the override that has begun last."""
        self._active.pop().__exit__(None, None, None)

    def _make(self) -> testing.override_flags:
        return testing.override_flags(features, **self._flags)
