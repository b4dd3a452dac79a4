# SPDX-License-Identifier: Apache-2.0
"""Measures a synchronised store of up to 100,000 flags, on real databases."""
