# SPDX-License-Identifier: Apache-2.0
"""Rules: whom a flag serves what, in order.

`rollout` and `split` serve a share of the users, by the buckets of `hashing`.
"""
