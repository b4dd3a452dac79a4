# SPDX-License-Identifier: Apache-2.0
"""The HTTP connections of the Consul store and of the client that it is given."""

from __future__ import annotations

import gc
import io
import os
import socket
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import requests

from flipper.contrib.consul import ConsulFeatureFlagStore
from flipper.contrib.consul.connections import ConsulConnections, renew_connections
from flipper.exceptions import StoreUnavailableError
from flipper.testing.contract import eventually
from support.consul_clients import (
    BriefStore,
    connect_to_consul,
    wait_until_level,
    watch_when_ready,
)
from support.flags import document, names, state

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    import consul

    from servers import Proxy

pytestmark = pytest.mark.consul


class Stopwatch:
    """Measures the time since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def is_below(self, seconds: float) -> bool:
        """Return whether fewer seconds have passed."""
        return time.monotonic() - self._began < seconds


@pytest.mark.parametrize("end", ["close", "drop"])
@pytest.mark.parametrize("is_silent", [False, True])
def test_closing_a_store_interrupts_its_requests(  # noqa: PLR0913, PLR0917
    proxy: Proxy,
    base_key: str,
    caplog: pytest.LogCaptureFixture,
    end: str,
    is_silent: bool,
    own_threads: Callable[[], set[threading.Thread]],
) -> None:
    """The requests of a closed or deleted store end at once, and nothing is logged."""

    def threads() -> set[str]:
        return {one.name for one in own_threads() if one.name.startswith("flipper-")}

    store = ConsulFeatureFlagStore(connect_to_consul(proxy), base_key)
    store.create("x")
    watch = store.watch()
    # Until the thread waits for a change, which will not come.
    wait_until_level(store, connect_to_consul(proxy))
    eventually(lambda: proxy.requests == proxy.replies + 1)
    if is_silent:
        proxy.blackhole()
        eventually(lambda: watch.wait(0.1) or len(threads()) == 2)
    stopwatch = Stopwatch()
    if end == "close":
        store.close()
    del store
    eventually(lambda: gc.collect() >= 0 and not threads())
    assert stopwatch.is_below(ConsulFeatureFlagStore.wait / 2)
    assert "Consul does not answer" not in caplog.text
    with pytest.raises(StoreUnavailableError, match="closed"):
        watch.wait(0)


def test_other_requests_of_the_client_go_on(
    client: consul.Consul, base_key: str
) -> None:
    """Closing a store does not interrupt requests that the application makes."""
    other = f"{base_key}-other/x"
    client.kv.put(other, "before")
    index = client.kv.get(other)[0]
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(client.kv.get, other, index=index, wait="60s")
        for _ in range(3):
            with ConsulFeatureFlagStore(client, base_key) as store:
                store.create("x")
            assert not waiting.done()
        client.kv.put(other, "after")
        assert waiting.result()[1]["Value"] == b"after"
    client.kv.delete(other)


def test_the_store_uses_changed_settings_of_the_client(
    proxy: Proxy, client: consul.Consul, base_key: str
) -> None:
    """The store's requests use a new address that the application gives the client."""
    mine = connect_to_consul(proxy)
    with ConsulFeatureFlagStore(mine, base_key) as store:
        proxy.cut()
        client.kv.put(f"{base_key}/x", document("x"))
        mine.http.base_uri = client.http.base_uri
        eventually(lambda: state(store))


class OwnPoolAdapter(requests.adapters.HTTPAdapter):
    """An adapter that makes its pools with a setting of its own."""

    def __init__(self, blocksize: int) -> None:
        self.blocksize = blocksize
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Make the pools."""
        super().init_poolmanager(*arguments, blocksize=self.blocksize, **options)


def test_the_store_copies_the_adapters_of_the_client(
    client: consul.Consul, base_key: str
) -> None:
    """The store's own connections have the settings of the client's adapters."""
    client.http.session.mount("http://", OwnPoolAdapter(4096))
    with BriefStore(client, base_key) as store:
        store.create("x")
    own = ConsulConnections().client(client)
    own.kv.get(f"{base_key}/x")
    adapter = own.http.session.get_adapter("http://")
    assert isinstance(adapter, OwnPoolAdapter)
    assert adapter is not client.http.session.get_adapter("http://")
    assert adapter.poolmanager.connection_pool_kw["blocksize"] == 4096
    assert len(adapter.poolmanager.pools) == 1


class TimeoutAdapter(OwnPoolAdapter):
    """An adapter that waits for nothing longer than a minute."""

    def send(self, request: Any, **options: Any) -> Any:
        """Send, with a limit."""
        return super().send(request, **{**options, "timeout": 60})


class OfflineAdapter(requests.adapters.BaseAdapter):
    """An adapter that answers by itself and makes no connection."""

    def send(self, request: Any, **_: Any) -> Any:
        """Answer that there is no flag."""
        answer = requests.Response()
        answer.status_code = 404
        answer.headers["X-Consul-Index"] = "5"
        answer.url, answer.request = request.url, request
        answer.raw = io.BytesIO()
        return answer

    def close(self) -> None:
        """Close nothing."""


@pytest.mark.parametrize("adapter", [TimeoutAdapter(4096), OfflineAdapter()])
def test_the_store_works_with_any_adapter(
    client: consul.Consul, base_key: str, adapter: Any
) -> None:
    """The store works with adapters that limit the time or make no connection."""
    client.http.session.mount("http://", adapter)
    with BriefStore(client, base_key) as store:
        assert names(store) == []
        watch_when_ready(store)


def test_a_client_of_another_kind_is_used_unchanged(
    client: consul.Consul,
) -> None:
    """The store makes no connections of its own for wrappers and doubles of clients."""
    connections = ConsulConnections()
    wrapper = SimpleNamespace(http=client.http, kv=client.kv)
    for given in (wrapper, SimpleNamespace(kv=client.kv), SimpleNamespace()):
        assert connections.client(given) is given
        renew_connections(given)
    own = connections.client(client)
    assert own is not client
    assert own.kv.agent is own
    connections.track(SimpleNamespace())  # the connection of a test double


def test_only_the_process_that_connected_interrupts_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A forked child does not shut down the sockets of its parent."""
    connections = ConsulConnections()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        connections.track(SimpleNamespace(sock=ours))
        connections._sockets.add(lambda: None)  # a connection that was just deleted
        process = os.getpid()
        monkeypatch.setattr(os, "getpid", lambda: process + 1)
        connections.interrupt()
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
        monkeypatch.undo()
        connections.interrupt()
        assert theirs.recv(1) == b""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("fork", ["os.fork", "ctypes.PyDLL(None).fork"])
def test_a_child_does_not_interrupt_requests_of_its_parent(
    proxy: Proxy, base_key: str, fork: str
) -> None:
    """A child that closes or deletes its store leaves the parent's request waiting."""
    code = f"""
        import ctypes, os, sys
        import consul
        from flipper import ConsulFeatureFlagStore

        _, host, port, base_key = sys.argv
        stores = [ConsulFeatureFlagStore(consul.Consul(host, int(port)), base_key)]
        for end in (stores[0].close, stores.clear):
            child = {fork}()
            if not child:
                end()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        print("forked", flush=True)
        sys.stdin.read()
    """
    arguments = proxy.host, str(proxy.port), base_key
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "forked\n"
        time.sleep(0.5)
        # The thread has one connection, on which it still waits.
        assert (proxy.connections, proxy.clients()) == (1, 1)
        process.communicate()
    assert process.returncode == 0
