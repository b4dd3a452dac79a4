# SPDX-License-Identifier: Apache-2.0
"""A tour of feature flags: an application, and commands that change its flags.

Run it by `make demo`, or by `python examples/quickstart.py`. It needs no server: the
flags are in a SQLite file in a temporary folder. This process is the application. Each
command runs in a process of its own, and the application sees what it has changed.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time

from flipper import FeatureFlagClient
from flipper.bucketing import ConsistentHashPercentageBucketer, LinearRampPercentage

HOUR = 3600
USERS = range(1, 1001)


def main() -> None:
    """Work in a temporary folder, which is deleted at the end."""
    before = os.getcwd()  # noqa: PTH109  (to go back to it)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            with FeatureFlagClient.from_url("sqlite:///flipper.db") as features:
                tour(features)
        finally:
            os.chdir(before)


def tour(features: FeatureFlagClient) -> None:
    """Change flags by commands and by code, and ask for them."""
    command("create", "NEW_CHECKOUT")
    ask(features, country="NO")

    command("condition", "add", "NEW_CHECKOUT", "country in NO,SE")
    command("enable", "NEW_CHECKOUT")
    ask(features, country="NO")
    ask(features, country="FR")

    command("bucket", "set", "NEW_CHECKOUT", "25%", "--by", "user_id")
    ask(features, user_id=1)
    command("check", "NEW_CHECKOUT", "--sample", "user_id=1..1000")

    print("\nThe application itself ramps it up to 100% within an hour:")
    for minutes in (0, 20, 40, 60):
        began = time.time() - 60 * minutes
        bucketer = ConsistentHashPercentageBucketer(
            key_whitelist=["user_id"],
            percentage=LinearRampPercentage(0.25, 1, HOUR, began),
        )
        features.set_bucketer("NEW_CHECKOUT", bucketer)
        print(f"  Minute {minutes:2}: on for {count(features):4} of 1,000 users.")

    command("check", "NEW_CHECKOUT", "user_id=1")
    command("delete", "NEW_CHECKOUT", "--yes")
    ask(features, user_id=1)


def command(*arguments: str) -> None:
    """Print a command, and run it in a process of its own."""
    print(f"\n$ flipper {shlex.join(arguments)}", flush=True)
    subprocess.run(  # noqa: S603  (the commands of this tour)
        [sys.executable, "-m", "flipper", *arguments],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        check=True,
    )


def ask(features: FeatureFlagClient, **arguments: object) -> None:
    """Print what the application is told."""
    shown = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    state = "on" if features.is_enabled("NEW_CHECKOUT", **arguments) else "off"
    print(f"  The application sees that it is {state} for {shown}.")


def count(features: FeatureFlagClient) -> int:
    """Return how many users have the flag."""
    return sum(features.is_enabled("NEW_CHECKOUT", user_id=user) for user in USERS)


if __name__ == "__main__":
    main()
