# SPDX-License-Identifier: Apache-2.0
"""How fast this library is, beside others: `make bench`. See docs/benchmarks.md."""
