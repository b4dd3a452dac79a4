# SPDX-License-Identifier: Apache-2.0
"""Threads, forks and time: what stores need of Python. It knows nothing of flags.

`fork` and `background` are about processes and threads, `deadline` and `closing` about
their ends, `clock` and `jitter` about time and chance, `log_throttle` about the log.
`containers` copies plain data, `patching` notices replaced methods.
"""
