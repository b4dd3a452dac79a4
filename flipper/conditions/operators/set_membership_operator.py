# SPDX-License-Identifier: Apache-2.0
"""Drop-in: the address flipper-client gives `SetMembershipOperator`."""

from .operator import SetMembershipOperator as SetMembershipOperator
