# SPDX-License-Identifier: Apache-2.0
"""What several folders of tests share: builders, a clock, rules for all stores."""
