# SPDX-License-Identifier: Apache-2.0
"""A tour of feature flags: conditions, rollouts, ramps and explanations.

Run it by `make demo`, or by `python examples/quickstart.py`. It needs no server.
"""

from time import time

from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore
from flipper.bucketing import ConsistentHashPercentageBucketer, LinearRampPercentage
from flipper.events import EventType

MINUTE = 60
USERS = range(1, 1001)

features = FeatureFlagClient(MemoryFeatureFlagStore())


def users_with(feature_name: str) -> set[int]:
    """Return the users for whom a flag is on."""
    return {user for user in USERS if features.is_enabled(feature_name, user_id=user)}


def share(
    percentage: float | LinearRampPercentage,
) -> ConsistentHashPercentageBucketer:
    """Return a bucketer for a share of the users, always the same ones."""
    return ConsistentHashPercentageBucketer(
        key_whitelist=["user_id"], percentage=percentage
    )


@features.events.on(EventType.POST_ENABLE)
def print_event(feature_name: str) -> None:
    """Print the event; a real listener could write an audit log."""
    print(f"   Event: somebody switched {feature_name} on.")


print("1. A flag is off until it is switched on")
checkout = features.create("NEW_CHECKOUT")
print(f"   NEW_CHECKOUT is {'on' if checkout.is_enabled() else 'off'}.")
checkout.enable()
print(f"   NEW_CHECKOUT is {'on' if checkout.is_enabled() else 'off'}.")

print("\n2. A condition limits the flag")
checkout.add_condition(Condition(country__in=["CH", "NO"]))
for country in ("CH", "FR"):
    state = "on" if checkout.is_enabled(country=country) else "off"
    print(f"   For country={country!r} it is {state}.")

print("\n3. A rollout to 50 % of 1,000 users is always for the same users")
search = features.create("NEW_SEARCH")
search.set_bucketer(share(0.5))
search.enable()
first, second = users_with("NEW_SEARCH"), users_with("NEW_SEARCH")
print(f"   It is on for {len(first)} users, {100 * len(first) / len(USERS)} %.")
print(f"   On the second try, it is on for {len(first & second)} of them.")

print("\n4. A ramp of one hour turns a flag on for more and more users")
images = features.create("NEW_IMAGES", is_enabled=True)
for minutes in (-10, 1, 20, 40, 60):
    ramp = LinearRampPercentage(0, 1, 60 * MINUTE, time() - minutes * MINUTE)
    images.set_bucketer(share(ramp))
    print(f"   Minute {minutes:3}: on for {len(users_with('NEW_IMAGES')):4} users.")

print("\n5. Every answer can be explained")
print(f"   {checkout.explain(country='NO')}")
print(f"   {checkout.explain(country='FR')}")
print(f"   {search.explain(user_id=1)}")
print(f"   {search.explain(user_id=2)}")
print(f"   {features.explain('NEW_PRICES')}")
