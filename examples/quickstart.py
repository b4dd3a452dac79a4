# SPDX-License-Identifier: Apache-2.0
"""The life of a few feature flags, told in one screen.

Run it by `make demo`, or `python examples/quickstart.py`; it needs no server.
"""

from time import time

from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore
from flipper.bucketing import ConsistentHashPercentageBucketer, LinearRampPercentage
from flipper.events import EventType

MINUTE = 60
USERS = range(1, 1001)

features = FeatureFlagClient(MemoryFeatureFlagStore())


def users_with(feature_name: str) -> set[int]:
    """Find the users whom a flag is on for."""
    return {user for user in USERS if features.is_enabled(feature_name, user_id=user)}


def share(
    percentage: float | LinearRampPercentage,
) -> ConsistentHashPercentageBucketer:
    """Let in a share of the users, the same ones at each question."""
    return ConsistentHashPercentageBucketer(
        key_whitelist=["user_id"], percentage=percentage
    )


@features.events.on(EventType.POST_ENABLE)
def tell(feature_name: str) -> None:
    """Say what happened, as a chat message or an audit log would."""
    print(f"   Event: somebody switched {feature_name} on.")


print("1. A flag is off until it is switched on")
checkout = features.create("NEW_CHECKOUT")
print(f"   NEW_CHECKOUT is {'on' if checkout.is_enabled() else 'off'}.")
checkout.enable()
print(f"   NEW_CHECKOUT is {'on' if checkout.is_enabled() else 'off'}.")

print("\n2. A condition limits it")
checkout.add_condition(Condition(country__in=["CH", "NO"]))
for country in ("CH", "FR"):
    state = "on" if checkout.is_enabled(country=country) else "off"
    print(f"   In {country} it is {state}.")

print("\n3. A rollout to 50 % of 1,000 users is sticky")
search = features.create("NEW_SEARCH")
search.set_bucketer(share(0.5))
search.enable()
first, second = users_with("NEW_SEARCH"), users_with("NEW_SEARCH")
print(f"   {len(first)} users are in, {100 * len(first) / len(USERS)} %.")
print(f"   Asked again, {len(first & second)} of them are in.")

print("\n4. A ramp of one hour opens to everybody by itself")
images = features.create("NEW_IMAGES", is_enabled=True)
for minutes in (-10, 1, 20, 40, 60):
    ramp = LinearRampPercentage(0, 1, 60 * MINUTE, time() - minutes * MINUTE)
    images.set_bucketer(share(ramp))
    print(f"   Minute {minutes:3}: {len(users_with('NEW_IMAGES')):4} users are in.")

print("\n5. Every answer can be explained")
print(f"   {checkout.explain(country='NO')}")
print(f"   {checkout.explain(country='FR')}")
print(f"   {search.explain(user_id=1)}")
print(f"   {search.explain(user_id=2)}")
print(f"   {features.explain('NEW_PRICES')}")
