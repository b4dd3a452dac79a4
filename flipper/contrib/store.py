# SPDX-License-Identifier: Apache-2.0
"""An import path of `AbstractFeatureFlagStore` that flipper-client documents."""

from .interface import AbstractFeatureFlagStore as AbstractFeatureFlagStore
