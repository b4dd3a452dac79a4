# SPDX-License-Identifier: Apache-2.0
"""The ways to copy an object, for tests of copies."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest


def pickled(value: Any) -> Any:
    """Return a value after pickling."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301  (made by the test itself)


every_copy = pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, pickled],
    ids=["copy", "deepcopy", "pickle"],
)
"""Runs a test with each way to copy an object, as the argument `duplicate`."""
