# SPDX-License-Identifier: Apache-2.0
"""The libraries that are compared: one file each, and one line in this table.

A file has a class `Contender`, made with the flags to store, with a method for each
workload (`workloads.py`) that the library can do. The method takes the arguments of
some calls, makes the calls, and returns the answers. All of a method's time is measured
but for constants, so the loop in it is to be as plain as in all the others.

A class may have `exact = True` (its buckets are flipper-client's), `draws = True` (a
user's bucket is kept by the user, not calculated), `native = True` (flags are not in
Python's memory), and a method `close`.
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """A contender, before it is installed."""

    title: str
    module: str
    """The file with its class `Contender`."""
    requirements: tuple[str, ...]
    """What pip installs for it; `{root}` is this checkout."""
    program: str
    """The imports of a program that uses it."""
    note: str = ""
    """How it is used, where that has to be said."""


THIS = "this"
PUBLISHED = "published"

_FLIPPER = (
    "from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore\n"
    "from flipper.bucketing import ConsistentHashPercentageBucketer"
)

ENTRIES = {
    THIS: Entry(
        title="this library",
        module="flipper_client",
        # As a folder on the path, not through a finder that takes time of its own.
        requirements=(
            "--config-settings=editable_mode=compat",
            "--editable={root}[postgres]",
        ),
        program=_FLIPPER,
    ),
    PUBLISHED: Entry(
        title="flipper-client 1.3.2",
        module="flipper_client",
        # The psycopg that it pins has no wheels for today's Pythons.
        requirements=("flipper-client==1.3.2", "psycopg[binary]>=3.1", "setuptools<81"),
        program=_FLIPPER,
    ),
}
