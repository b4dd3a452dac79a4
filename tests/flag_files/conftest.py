# SPDX-License-Identifier: Apache-2.0
"""Registers the bucketer of the tests, as an application does with its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flag_items import WeekdayBucketer

from flipper.bucketing import BucketerFactory

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True, scope="module")
def _registered_bucketer() -> Iterator[None]:
    """Register it for the tests of a module, and for no others."""
    with pytest.MonkeyPatch.context() as patch:
        kinds = BucketerFactory.BUCKETER_MAP
        patch.setitem(kinds, WeekdayBucketer.get_type(), WeekdayBucketer)
        yield
