# SPDX-License-Identifier: Apache-2.0
"""What a store is built on, and what it promises beyond its six methods.

`atomic` and `document` make a store of four hooks, `wrapper` one around another store.
`watch` is the change signal and `listener` the thread that hears it. `last_known` and
`circuit_breaker` are for the time in which a server is away.
"""
