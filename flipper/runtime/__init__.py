# SPDX-License-Identifier: Apache-2.0
"""Threads, forks and time. Nothing here depends on the rest of flipper but its errors.

`fork` and `background` deal with processes and threads, `deadline` and `closing` end
calls and objects, `clock` and `jitter` give time and random numbers, `log_throttle`
limits logging, `containers` copies plain data, `patching` notices replaced methods.
"""
