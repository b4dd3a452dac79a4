# SPDX-License-Identifier: Apache-2.0
"""A program as users write it, with types. `test_typing.py` checks and runs it.

Every annotation here is what a user may rely on: type checkers have to accept it.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

from flipper import (
    AsyncFeatureFlagClient,
    CachedFeatureFlagStore,
    Condition,
    FeatureFlagClient,
    Flag,
    FlagDoesNotExistError,
    FlagRegistry,
    MemoryFeatureFlagStore,
    ReplicatedFeatureFlagStore,
    SyncedFeatureFlagStore,
    VariantFlag,
)
from flipper.bucketing import (
    ConsistentHashPercentageBucketer,
    LinearRampPercentage,
    NoOpBucketer,
    Percentage,
    PercentageBucketer,
)
from flipper.contrib.interface import AbstractFeatureFlagStore
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.decorators import is_enabled
from flipper.events import EventType, FlipperEventSubscriber
from flipper.exceptions import InvalidArgumentError
from flipper.explanation import Evaluation, Reason
from flipper.flag import FeatureFlag

client = FeatureFlagClient(MemoryFeatureFlagStore(), on_error="raise", strict="warn")


def write_and_ask() -> bool:
    """Use every method of a client and of a flag."""
    flag: FeatureFlag = client.create("CHECKOUT", client_data={"owner": "shop"})
    client.add_condition("CHECKOUT", Condition(country="ch", age__gte=18))
    flag.set_conditions([Condition(plan__in=["basic", "pro"])])
    client.set_bucketer("CHECKOUT", PercentageBucketer(Percentage(0.5)))
    ramp = LinearRampPercentage(initial_value=0.1, final_value=1, ramp_duration=3600)
    sticky = ConsistentHashPercentageBucketer(
        key_whitelist=["user_id"], percentage=ramp
    )
    flag.set_bucketer(sticky)
    flag.set_bucketer(NoOpBucketer())
    client.set_client_data("CHECKOUT", {"ttl": 60})
    data: dict[str, Any] = flag.get_client_data()
    meta: dict[str, Any] = client.get_meta("CHECKOUT")
    flag.enable()
    names: list[str] = [each.name for each in client.list(limit=10, offset=0)]
    there: bool = client.exists("CHECKOUT") and flag.exists()
    answer: bool = client.is_enabled("CHECKOUT", default=False, plan="pro", user_id=7)
    same: bool = flag.is_enabled(plan="pro")
    return answer and same and there and "ttl" in data and bool(meta) and bool(names)


def ask_why() -> str:
    """Use the explanation of an answer."""
    evaluation: Evaluation = client.explain("CHECKOUT", plan="free")
    reason: Reason = evaluation.reason
    return f"{reason.name}: {evaluation}"


def old_price(amount: int) -> str:
    """Answer while the flag is off."""
    return f"{amount}.00"


@is_enabled(client, "CHECKOUT", redirect=old_price)
def price(amount: int) -> str:
    """Answer while the flag is on."""
    return f"{amount}.-"


@client.events.on(EventType.POST_CREATE)
def announce(feature_name: str, is_enabled: bool, client_data: dict[str, Any]) -> None:
    """Listen to an event."""
    print(feature_name, is_enabled, client_data)


@is_enabled(client, "CHECKOUT")
async def ship(address: str) -> str:
    """Run as a coroutine while the flag is on."""
    return address


class Audit(FlipperEventSubscriber):
    """Counts what is enabled."""

    def __init__(self) -> None:
        self.enabled: list[str] = []

    def on_post_enable(self, flag_name: str) -> None:
        """Keep the name."""
        self.enabled.append(flag_name)


def listen() -> list[str]:
    """Use events, by a subscriber and by a decorated function."""
    audit = Audit()
    client.events.register_subscriber(audit)
    client.events.on(EventType.POST_DISABLE, f=audit.enabled.remove)
    client.enable("CHECKOUT")
    client.events.remove_subscriber(audit)
    return audit.enabled


class PrintingSubscriber(FlipperEventSubscriber):
    """The example of docs/events.md, with types, and another name of a parameter."""

    def on_post_create(
        self, feature_name: str, is_enabled: bool, client_data: dict[str, Any] | None
    ) -> None:
        """Print a new flag."""
        print(feature_name, is_enabled, client_data)

    def on_post_disable(self, feature_name: str) -> None:
        """Print the name."""
        print(feature_name, "is off")

    def on_post_set_client_data(
        self, feature_name: str, client_data: dict[str, Any]
    ) -> None:
        """Print the client data."""
        print(feature_name, client_data)


def print_writes() -> None:
    """Register the subscriber of docs/events.md, and call a method of it by name."""
    subscriber = PrintingSubscriber()
    client.events.register_subscriber(subscriber)
    client.set_client_data("CHECKOUT", {"reviewed": True})
    client.events.remove_subscriber(subscriber)
    subscriber.on_post_disable(feature_name="CHECKOUT")


def client_of_settings(*, debug: bool) -> FeatureFlagClient:
    """Choose the options of a client by a setting."""
    return FeatureFlagClient(
        MemoryFeatureFlagStore(),
        on_error="raise" if debug else "default",
        strict="warn" if debug else "silent",
    )


class DictStore(AbstractFeatureFlagStore):
    """A store as docs/stores/own.md shows it, with the six methods."""

    def __init__(self) -> None:
        self._items: dict[str, FeatureFlagStoreItem] = {}

    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlagStoreItem:
        """Keep a new flag."""
        meta = FeatureFlagStoreMeta(0, client_data)
        item = FeatureFlagStoreItem(feature_name, is_enabled, meta)
        self._items[feature_name] = item
        return item

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return a flag, if there is one."""
        return self._items.get(feature_name)

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Switch a flag."""
        item = self.get(feature_name) or self.create(feature_name)
        self._items[feature_name] = item.replace(is_enabled=is_enabled)

    def delete(self, feature_name: str) -> None:
        """Remove a flag."""
        self._items.pop(feature_name, None)

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem]:
        """Return a page of the flags."""
        end = None if limit is None else offset + limit
        return iter([*self._items.values()][offset:end])

    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Replace the metadata of a flag."""
        item = self.get(feature_name)
        if item is None:
            raise FlagDoesNotExistError(feature_name)
        self._items[feature_name] = item.replace(meta=meta)


def stack_stores() -> int:
    """Use wrappers: each is a store, and takes any store."""
    replica = MemoryFeatureFlagStore()
    replicated = ReplicatedFeatureFlagStore(DictStore(), replica)
    features = FeatureFlagClient(CachedFeatureFlagStore(replicated, ttl=30))
    features.create("STACKED")
    replicated.close()

    synced = SyncedFeatureFlagStore(MemoryFeatureFlagStore(), poll_interval=60)
    changes: list[str] = []

    def keep(change: Any) -> None:
        changes.append(change.feature_name)

    synced.on_change(keep)
    state: str = synced.status().state
    synced.close()
    return len(state)


def handle_errors() -> str:
    """Use the errors, which are those of Python as well."""
    found = ""
    try:
        client.enable("MISSING")
    except FlagDoesNotExistError as error:
        found = str(error)
    try:
        client.set_bucketer("CHECKOUT", PercentageBucketer(Percentage(50)))
    except InvalidArgumentError as error:
        wrong: ValueError = error
        return f"{found}, {wrong}"
    return found


class Flags(FlagRegistry):
    """The flags of a program, each with its type."""

    checkout = Flag("CHECKOUT")
    beta = Flag("BETA", default=True)
    colour = VariantFlag("COLOUR", default="blue")
    seats = VariantFlag("SEATS", default=5)
    ratio = VariantFlag("RATIO", default=0.5)
    regions = VariantFlag[list[str]]("REGIONS", default=[])
    limits = VariantFlag[dict[str, Any]]("LIMITS", default={})


def ask_declared_flags() -> str:
    """Use a registry; each answer has the type of its flag."""
    Flags.bind(client)
    Flags.bind(make=lambda: client)
    new: bool = Flags.checkout.is_enabled(user_id=1)
    colour: str = Flags.colour.variant(user_id=1)
    seats: int = Flags.seats.variant() + 1
    ratio: float = Flags.ratio.variant()
    regions: list[str] = Flags.regions.variant()
    limits: dict[str, Any] = Flags.limits.variant()
    reason: Reason = Flags.beta.explain(user_id=1).reason
    names: list[str] = [flag.feature_name for flag in Flags.declared()]
    missing: list[str] = Flags.missing() or Flags.create_missing()
    return f"{new}{colour}{seats}{ratio}{regions}{limits}{reason}{names}{missing}"


async def ask_in_event_loop() -> list[str]:
    """Use the async client, and a registry that is bound to it."""
    async with AsyncFeatureFlagClient(MemoryFeatureFlagStore()) as features:
        flag = await features.create("ASYNC", is_enabled=True)
        await flag.add_condition(Condition(plan="pro"))
        answer: bool = await features.is_enabled("ASYNC", default=False, plan="pro")
        same: bool = await flag.is_enabled(plan="pro")
        why: Evaluation = await features.explain("ASYNC", plan="pro")
        everything: dict[str, Any] = await features.evaluate_all(plan="pro")
        async with features.memoize(preload=["ASYNC"]), features.context(plan="pro"):
            answer = answer and await features.is_enabled("ASYNC")
        with features.memoize(), features.context(plan="pro"):
            await features.preload(["ASYNC"])
        Flags.bind(features)
        beta: bool = await Flags.beta.ais_enabled()
        colour: str = await Flags.colour.avariant()
        answers = [answer, same, why.enabled, bool(everything), beta]
        assert all(answers)
        return [colour] + [each.name async for each in features.list(limit=1)]


@is_enabled(AsyncFeatureFlagClient(client), "CHECKOUT")
async def deliver(address: str) -> str:
    """Run as a coroutine while the flag is on, which an async client decides."""
    return address


if __name__ == "__main__":
    assert write_and_ask()
    print(ask_why())
    priced: str = price(3)
    shipped: str = asyncio.run(ship("Berne"))
    print(priced, shipped, listen(), stack_stores(), handle_errors())
    print_writes()
    delivered: str = asyncio.run(deliver("Berne"))
    print(delivered, ask_declared_flags(), asyncio.run(ask_in_event_loop()))
    assert client_of_settings(debug=True).is_enabled("CHECKOUT") is False
