# SPDX-License-Identifier: Apache-2.0
"""The libraries that are compared: one file each, and one line in this table.

A file has a class `Contender`, made with the flags to store, with a method for each
workload (`workloads.py`) that the library can do. The method takes the arguments of
some calls, makes the calls, and returns the answers. All of a method's time is measured
but for constants, so the loop in it is to be as plain as in all the others.

A class may have `exact = True` (its buckets are flipper-client's), `draws = True` (a
user's bucket is drawn and kept by the user, not calculated), and `keeps_in` ("native
memory" or "database", if its flags are not in Python's memory).
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """A contender, before it is installed."""

    title: str
    """What tables call it, before its version."""
    distribution: str
    """The one whose version is told."""
    module: str
    """The file here with its class `Contender`."""
    requirements: tuple[str, ...]
    """What pip is told to install; `{root}` is this checkout."""
    program: str
    """The imports of a program that uses it."""


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
        # As a folder on the path, not by a finder, which would take its own time.
        ("--config-settings=editable_mode=compat", "--editable={root}[postgres]"),
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
