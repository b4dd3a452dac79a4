# SPDX-License-Identifier: Apache-2.0
"""Mistakes that a type checker has to find. It is not run.

`test_typing.py` fails if a checker finds no mistake in a line with `type: ignore`.
"""

from flipper import (
    AsyncFeatureFlagClient,
    FeatureFlagClient,
    Flag,
    FlagRegistry,
    MemoryFeatureFlagStore,
    VariantFlag,
)
from flipper.contrib.interface import AbstractFeatureFlagStore
from flipper.decorators import is_enabled

client = FeatureFlagClient(MemoryFeatureFlagStore())

client.enable(7)  # type: ignore[arg-type]
client.create("A", is_enabled=True, client_data=[1])  # type: ignore[arg-type]
client.exists()  # type: ignore[call-arg]
client.add_condition("A", {"plan": "pro"})  # type: ignore[arg-type]
client.get_client_data("A").append(1)  # type: ignore[attr-defined]
client.get("A").enabel()  # type: ignore[attr-defined]
client.list(limit="10")  # type: ignore[arg-type]
FeatureFlagClient()  # type: ignore[call-arg]
FeatureFlagClient(MemoryFeatureFlagStore(), on_error="rise")  # type: ignore[arg-type]
FeatureFlagClient(MemoryFeatureFlagStore(), strict="wran")  # type: ignore[arg-type]


@is_enabled(client, "A")
def price(amount: int) -> str:
    """Keep its types although it is decorated."""
    return str(amount)


price("3")  # type: ignore[arg-type]


class Flags(FlagRegistry):
    """The flags of a program."""

    checkout = Flag("CHECKOUT")
    colour = VariantFlag("COLOUR", default="blue")
    wrong = Flag("WRONG", default="no")  # type: ignore[arg-type]
    unclear = VariantFlag("UNCLEAR", default=None)  # type: ignore[type-var]


Flags.chekout.is_enabled()  # type: ignore[attr-defined]
Flags.checkout.is_enabeld()  # type: ignore[attr-defined]
Flags.colour.variant().conjugate()  # type: ignore[attr-defined]
seats: int = Flags.colour.variant()  # type: ignore[assignment]
Flags.bind(MemoryFeatureFlagStore())  # type: ignore[arg-type]


async def forget_to_await() -> bool:
    """Use the async client."""
    features = AsyncFeatureFlagClient(client)
    await features.enable(7)  # type: ignore[arg-type]
    for _ in features.list():  # type: ignore[attr-defined]
        pass
    with features:  # type: ignore[attr-defined]
        pass
    return features.exists("A")  # type: ignore[return-value]


class Unfinished(AbstractFeatureFlagStore):
    """Lacks its methods."""


Unfinished()  # type: ignore[abstract]
