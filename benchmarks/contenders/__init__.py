# SPDX-License-Identifier: Apache-2.0
"""The libraries that are compared: one file each, and one line in this table.

A file has a class `Contender`. Its constructor takes the flags to store. It has a
method for each workload (`workloads.py`) that the library supports. The method takes
the arguments of some calls, makes the calls, and returns the answers. The whole method
is measured, so its loop must be as simple as in the other contenders.

A class may have `exact = True` (it has the buckets of flipper-client), `draws = True`
(it draws the bucket of a user at random, and the user keeps it), and `keeps_in`
("native memory" or "database", if its flags are not in Python's memory).
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """A contender: its name, and how it is installed."""

    title: str
    """Its name in tables, without the version."""
    distribution: str
    """The distribution whose version is shown."""
    module: str
    """The file in this folder with its class `Contender`."""
    requirements: tuple[str, ...]
    """The arguments of pip install; `{root}` is this checkout."""
    program: str
    """The imports of a program that uses the library."""


THIS = "this"
PUBLISHED = "published"

_FLIPPER = (
    "from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore\n"
    "from flipper.bucketing import ConsistentHashPercentageBucketer, Percentage"
)

ENTRIES = {
    THIS: Entry(
        "this library",
        "flipper-client",
        "flipper_client",
        # As a folder on the path: an import hook would take time of its own.
        (
            "--config-settings=editable_mode=compat",
            "--editable={root}[postgres,openfeature]",
        ),
        _FLIPPER,
    ),
    PUBLISHED: Entry(
        "flipper-client",
        "flipper-client",
        "flipper_client",
        # The psycopg that it pins has no wheels for today's Pythons.
        ("flipper-client==1.3.2", "psycopg[binary]>=3.1", "setuptools<81"),
        _FLIPPER,
    ),
    "statsig": Entry(
        "Statsig",
        "statsig-python-core",
        "statsig",
        ("statsig-python-core",),
        "from statsig_python_core import Statsig, StatsigOptions, StatsigUser",
    ),
    "growthbook": Entry(
        "GrowthBook",
        "growthbook",
        "growthbook_sdk",
        ("growthbook",),
        "from growthbook import GrowthBook",
    ),
    "posthog": Entry(
        "PostHog",
        "posthog",
        "posthog_sdk",
        ("posthog",),
        "from posthog import Posthog",
    ),
    "launchdarkly": Entry(
        "LaunchDarkly",
        "launchdarkly-server-sdk",
        "launchdarkly",
        ("launchdarkly-server-sdk",),
        "from ldclient import Context, LDClient\nfrom ldclient.config import Config",
    ),
    "unleash": Entry(
        "Unleash",
        "UnleashClient",
        "unleash",
        ("UnleashClient",),
        "from UnleashClient import UnleashClient",
    ),
    "flagd": Entry(
        "OpenFeature flagd",
        "openfeature-provider-flagd",
        "openfeature_flagd",
        ("openfeature-sdk", "openfeature-provider-flagd"),
        "from openfeature import api\n"
        "from openfeature.contrib.provider.flagd import FlagdProvider",
    ),
    "waffle": Entry(
        "django-waffle",
        "django-waffle",
        "waffle_flags",
        ("django-waffle", "Django"),
        "import django.http\nimport waffle",
    ),
}
