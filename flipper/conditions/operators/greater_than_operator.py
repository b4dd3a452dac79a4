# SPDX-License-Identifier: Apache-2.0
"""Drop-in: the address flipper-client gives `GreaterThanOperator`."""

from .operator import GreaterThanOperator as GreaterThanOperator
