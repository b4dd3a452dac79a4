# SPDX-License-Identifier: Apache-2.0
"""The test client of Starlette, which needs httpx.

New releases prefer another package that continues httpx, and warn.
"""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

__all__ = ["TestClient"]
