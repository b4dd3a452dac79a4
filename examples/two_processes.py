# SPDX-License-Identifier: Apache-2.0
"""Two processes that use one Redis: one switches a flag, the other sees it at once.

Run it by `python examples/two_processes.py redis://localhost:6379/0`. The first
process has a synchronised copy of the flags, and reads a flag from the copy in a loop.
It starts the second process, which switches the flag in Redis.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

import redis

from flipper import FeatureFlagClient, RedisFeatureFlagStore, SyncedFeatureFlagStore

FLAG = "NEW_CHECKOUT"
BASE_KEY = "two-processes"
WRITES = 6
TIMEOUT = 30.0  # seconds


def main() -> None:
    """Run the first process, or the second one with `--switch`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url", nargs="?", default="redis://localhost:6379/0")
    parser.add_argument("--switch", action="store_true", help="run the second process")
    arguments = parser.parse_args()
    with redis.Redis.from_url(arguments.url) as connection:
        store = RedisFeatureFlagStore(connection, base_key=BASE_KEY)
        if arguments.switch:
            switch(FeatureFlagClient(store))
        else:
            follow(store, arguments.url)


def switch(features: FeatureFlagClient) -> None:
    """Switch the flag on and off several times, and store the time of each write."""
    for number in range(WRITES):
        time.sleep(0.5)
        features.set_client_data(FLAG, {"switched": time.time()})
        if number % 2:
            features.disable(FLAG)
        else:
            features.enable(FLAG)


def follow(store: RedisFeatureFlagStore, url: str) -> None:
    """Read the flag in a loop, and print each change."""
    with SyncedFeatureFlagStore(store) as synced:
        features = FeatureFlagClient(synced)
        flag = features.create(FLAG)
        print(f"{FLAG} is off, the copy is {synced.status().state}.")
        other = subprocess.Popen([sys.executable, __file__, url, "--switch"])  # noqa: S603
        was_on, asked, seen = False, 0, 0
        deadline = time.monotonic() + TIMEOUT
        while seen < WRITES and time.monotonic() < deadline:
            asked += 1
            if flag.is_enabled() is not was_on:
                was_on, seen = not was_on, seen + 1
                took = time.time() - flag.get_client_data()["switched"]
                state = "on" if was_on else "off"
                print(f"{state:3} seen {took * 1000:.1f} ms after the write began")
            time.sleep(0.0005)
        other.wait(TIMEOUT)
        print(f"The flag was read {asked} times and changed {seen} times.")
        flag.destroy()


if __name__ == "__main__":
    main()
