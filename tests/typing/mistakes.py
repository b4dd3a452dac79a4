# SPDX-License-Identifier: Apache-2.0
"""Mistakes that a type checker has to find. It is not run.

`test_typing.py` fails if a checker finds no mistake in a line with `type: ignore`.
"""

from flipper import FeatureFlagClient, MemoryFeatureFlagStore
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


class Unfinished(AbstractFeatureFlagStore):
    """Lacks its methods."""


Unfinished()  # type: ignore[abstract]
