# SPDX-License-Identifier: Apache-2.0
"""What several rooms of tests use: builders, a clock, rules for all stores."""
