# SPDX-License-Identifier: Apache-2.0
"""Drop-in: the address flipper-client gives `LessThanOrEqualToOperator`."""

from .operator import LessThanOrEqualToOperator as LessThanOrEqualToOperator
