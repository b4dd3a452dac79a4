# SPDX-License-Identifier: Apache-2.0
"""Drop-in: the address flipper-client gives `NegatedSetMembershipOperator`."""

from .operator import NegatedSetMembershipOperator as NegatedSetMembershipOperator
