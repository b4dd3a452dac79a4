# SPDX-License-Identifier: Apache-2.0
"""The examples can be imported by their names, as scripts of one folder can."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "examples"))
