# SPDX-License-Identifier: Apache-2.0
"""Random pauses and expiries, which leave the application's random numbers alone.

`random.seed(1)` gives a program the same numbers whatever flipper does meanwhile, and a
forked child draws others than its parent.
"""

from random import SystemRandom

uniform = SystemRandom().uniform
"""Returns a random number between two. Safe for threads and forks."""
