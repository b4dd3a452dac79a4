# SPDX-License-Identifier: Apache-2.0
"""On a free-threaded Python, flipper does not switch the GIL on."""

from __future__ import annotations

import os
import sysconfig

import pytest

from support.programs import run_program

pytestmark = pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"),
    reason="this Python is not free-threaded",
)


def test_no_module_of_flipper_switches_the_gil_on() -> None:
    """All stores, their drivers and the cache are imported without the GIL."""
    free = {name: value for name, value in os.environ.items() if name != "PYTHON_GIL"}
    run_program(
        """
import importlib, pkgutil, sys
import flipper, flipper.contrib

for module in pkgutil.walk_packages(flipper.contrib.__path__, "flipper.contrib."):
    importlib.import_module(module.name)
    assert not sys._is_gil_enabled(), module.name
store = flipper.CachedFeatureFlagStore(flipper.MemoryFeatureFlagStore())
assert flipper.FeatureFlagClient(store).is_enabled("x") is False
assert not sys._is_gil_enabled()
""",
        environment=free,
    )
