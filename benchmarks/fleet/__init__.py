# SPDX-License-Identifier: Apache-2.0
"""A server that many processes follow: `python -m benchmarks.fleet`."""
