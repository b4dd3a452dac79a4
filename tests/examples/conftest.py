# SPDX-License-Identifier: Apache-2.0
"""Puts the folder of the examples on the import path."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "examples"))
