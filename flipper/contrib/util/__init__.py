# SPDX-License-Identifier: Apache-2.0
"""Small things that several stores share."""
