# SPDX-License-Identifier: Apache-2.0
"""The synced store over S3, which has no change signal and is polled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.config import Config

from flipper import FeatureFlagClient, S3FeatureFlagStore, SyncedFeatureFlagStore
from flipper.testing.contract import eventually
from servers import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import S3Server

pytestmark = pytest.mark.s3

SHORT_TIMEOUTS = Config(connect_timeout=1, read_timeout=2, retries={"max_attempts": 0})


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[Proxy]:
    """Give a proxy in front of the server."""
    with Proxy(s3_server.host, s3_server.port) as proxy:
        yield proxy


@pytest.fixture
def store(
    s3_server: S3Server, s3_bucket: str, proxy: Proxy, s3_client: Any
) -> Iterator[SyncedFeatureFlagStore]:
    """Give a synced store of a bucket with two flags, which polls often."""
    writer = S3FeatureFlagStore(s3_client, s3_bucket)
    writer.create("on", is_enabled=True)
    writer.create("off")
    endpoint = f"http://{proxy.host}:{proxy.port}"
    client = s3_server.client(endpoint, config=SHORT_TIMEOUTS)
    inner = S3FeatureFlagStore(client, s3_bucket)
    with SyncedFeatureFlagStore(inner, poll_interval=0.2, start_timeout=30) as store:
        yield store
    client.close()


def test_a_change_elsewhere_is_seen(
    store: SyncedFeatureFlagStore, s3_client: Any, s3_bucket: str
) -> None:
    """The creation, change and deletion of flags are seen."""
    features = FeatureFlagClient(store)
    writer = S3FeatureFlagStore(s3_client, s3_bucket)
    writer.set("off", True)
    eventually(lambda: features.is_enabled("off"))
    writer.create("new")
    eventually(lambda: features.exists("new"))
    writer.delete("on")
    eventually(lambda: not features.exists("on"))
    assert store.status().state == "polling"


@pytest.mark.parametrize("fail", [Proxy.cut, Proxy.blackhole])
def test_an_outage_changes_no_answer(
    store: SyncedFeatureFlagStore,
    proxy: Proxy,
    s3_client: Any,
    s3_bucket: str,
    fail: Any,
) -> None:
    """Flags are answered while the connection is lost, and while the server hangs."""
    features = FeatureFlagClient(store, on_error="raise")
    fail(proxy)
    eventually(lambda: store.status().state == "stale")
    for _ in range(5000):
        assert features.is_enabled("on") is True
        assert features.is_enabled("off") is False
    with pytest.raises(Exception, match=r"(?i)connect|timeout|answer"):
        features.disable("on")
    S3FeatureFlagStore(s3_client, s3_bucket).set("off", True)
    proxy.restore()
    eventually(lambda: features.is_enabled("off"))
