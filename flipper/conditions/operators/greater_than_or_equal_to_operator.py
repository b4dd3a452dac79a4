# SPDX-License-Identifier: Apache-2.0
"""Drop-in: the address flipper-client gives `GreaterThanOrEqualToOperator`."""

from .operator import GreaterThanOrEqualToOperator as GreaterThanOrEqualToOperator
