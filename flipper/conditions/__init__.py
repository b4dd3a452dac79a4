# SPDX-License-Identifier: Apache-2.0
"""Conditions: which keyword arguments of `is_enabled` decide, and how."""

from .condition import Condition

__all__ = ["Condition"]
