# SPDX-License-Identifier: Apache-2.0
"""Drop-in: the address flipper-client gives `NegationOperator`."""

from .operator import NegationOperator as NegationOperator
