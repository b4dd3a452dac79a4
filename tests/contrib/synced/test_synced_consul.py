# SPDX-License-Identifier: Apache-2.0
"""The synced store over real Consul agents, with a proxy in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import consul
import pytest

from flipper.contrib.consul import ConsulFeatureFlagStore
from interop.conftest import original_python  # noqa: F401  (a fixture)
from servers import ConsulServer, start_consul
from support.synced_rules import SyncedRules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.synced_programs import Address

pytestmark = pytest.mark.consul


@pytest.fixture(scope="module")
def server() -> Iterator[ConsulServer]:
    """Give a server that tests may stop."""
    with start_consul() as server:
        yield server


class TestSyncedConsul(SyncedRules):
    """The rules over Consul."""

    backend = "consul"

    @staticmethod
    def connect(address: Address) -> ConsulFeatureFlagStore:
        """Make an inner store with its own client."""
        return ConsulFeatureFlagStore(
            consul.Consul(address.host, address.port), address.place
        )

    def address_for_agent(self, address: Address) -> str:
        """Return host and port."""
        return f"{address.host}:{address.port}"
