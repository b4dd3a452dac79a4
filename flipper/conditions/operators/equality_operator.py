# SPDX-License-Identifier: Apache-2.0
"""Drop-in: the address flipper-client gives `EqualityOperator`."""

from .operator import EqualityOperator as EqualityOperator
