# SPDX-License-Identifier: Apache-2.0
"""Conditions: which keyword arguments of `is_enabled` decide, and how.

`condition` is a group of checks, `check` is one comparison, and `operators` compare.
`rule_compiler` writes the function that decides by the conditions of a flag.
"""

from .condition import Condition

__all__ = ["Condition"]
