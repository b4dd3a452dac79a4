# SPDX-License-Identifier: Apache-2.0
"""`memoize`: within a block, each flag has one state and is read once.

This package is loaded when a client first uses it. `memoization` belongs to one client,
`memo` to one block, which `block` begins and ends. `reader` reads flags, and `answers`
is about flags whose answers vary.
"""
