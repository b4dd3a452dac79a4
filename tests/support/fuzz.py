# SPDX-License-Identifier: Apache-2.0
"""How many random cases a test tries."""

from __future__ import annotations

import os

CASES = int(os.environ.get("FLIPPER_FUZZ_CASES", "100"))
"""The number that the environment sets, or few, to keep the suite quick."""
