# SPDX-License-Identifier: Apache-2.0
"""The operators of condition checks; all of them live in `operator.py`."""

from .operator import Operator

__all__ = ["Operator"]
