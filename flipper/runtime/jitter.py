# SPDX-License-Identifier: Apache-2.0
"""`uniform`: random numbers for pauses and expiries.

They come from the operating system. A program that calls `random.seed(1)` therefore
gets the same numbers with and without flipper, and a forked child gets other numbers
than its parent.
"""

from random import SystemRandom

uniform = SystemRandom().uniform
"""Return a random float between two numbers. Safe for threads and forks."""
