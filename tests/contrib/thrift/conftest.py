# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests of the Thrift store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flipper import MemoryFeatureFlagStore, ThriftRPCFeatureFlagStore
from flipper.contrib.thrift.server import FeatureFlagStoreHandler
from support.thrift_service import Service, connected

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def memory() -> MemoryFeatureFlagStore:
    """Give the store behind the service."""
    return MemoryFeatureFlagStore()


@pytest.fixture
def service(memory: MemoryFeatureFlagStore) -> Iterator[Service]:
    """Give a service for the memory store."""
    with Service(FeatureFlagStoreHandler(memory)) as running:
        yield running


@pytest.fixture
def store(service: Service) -> Iterator[ThriftRPCFeatureFlagStore]:
    """Give a store that is connected to the service by a socket."""
    with connected(service.port) as store:
        yield store
