# SPDX-License-Identifier: Apache-2.0
"""How many random cases a test tries."""

from __future__ import annotations

import os

from hypothesis import Phase

CASES = int(os.environ.get("FLIPPER_FUZZ_CASES", "100"))
"""The number that the environment sets, or few, to keep the suite quick."""

# `make mutants` needs no smallest example, and to search for it takes long.
PHASES = [Phase.generate] if os.environ.get("FLIPPER_TEST_NO_SHRINK") else list(Phase)
"""What hypothesis does in a test."""
