# SPDX-License-Identifier: Apache-2.0
"""What stores are built on: `atomic`, `document` and `wrapper` are their base classes.

`update` writes to any store, with `flag_locks`. `watch` is the change signal, and
`listener` a thread that waits for it. `last_known` and `circuit_breaker` are for the
time when a server is down.
"""
