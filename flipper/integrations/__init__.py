# SPDX-License-Identifier: Apache-2.0
"""Flags in the frameworks that applications use; each module imports one framework."""
