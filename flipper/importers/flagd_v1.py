# SPDX-License-Identifier: Apache-2.0
"""Reads the flag definitions of flagd, with the first form of `fractional`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import flagd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from . import ImportedFlag


def read_flags(data: Any) -> Iterator[ImportedFlag]:
    """Yield the flags of flag definitions; see `flagd.read_flags`."""
    return flagd.read_flags(data, "flagd-v1")
