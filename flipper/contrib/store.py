# SPDX-License-Identifier: Apache-2.0
"""The address the README gives for `AbstractFeatureFlagStore`."""

from .interface import AbstractFeatureFlagStore as AbstractFeatureFlagStore
