# SPDX-License-Identifier: Apache-2.0
"""Drop-in: the address flipper-client gives `LessThanOperator`."""

from .operator import LessThanOperator as LessThanOperator
