# SPDX-License-Identifier: Apache-2.0
"""The operators that checks compare with. All of them are defined in `operator`.

The other modules are the original's addresses of the single classes.
"""

from .operator import Operator

__all__ = ["Operator"]
