# SPDX-License-Identifier: Apache-2.0
"""The connection of the Thrift store: opened, locked, interrupted, lost, and forked."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from thrift.protocol.TBinaryProtocol import (
    TBinaryProtocol,
)
from thrift.protocol.TCompactProtocol import TCompactProtocol, TCompactProtocolFactory
from thrift.Thrift import TApplicationException
from thrift.transport.TTransport import (
    TBufferedTransport,
    TFramedTransport,
    TFramedTransportFactory,
    TTransportException,
)

from flipper import (
    MemoryFeatureFlagStore,
    ThriftRPCFeatureFlagStore,
)
from flipper.contrib.thrift.server import FeatureFlagStoreHandler
from flipper_thrift.python.feature_flag_store import FeatureFlagStore, ttypes
from servers import Proxy
from support.thrift_service import Service, connected

pytestmark = pytest.mark.thrift


ROOT = Path(__file__).parents[3]


def test_each_of_several_threads_gets_its_own_answers(
    service: Service, store: ThriftRPCFeatureFlagStore
) -> None:
    """Threads that share a client, even through two stores, do not mix up answers."""
    second = ThriftRPCFeatureFlagStore(store.client)  # type: ignore[attr-defined]
    names = [f"flag-{number}" for number in range(8)]
    for name in names:
        store.create(name, client_data={"mine": name})

    def ask(number: int) -> None:
        name, mine = names[number], (store, second)[number % 2]
        for _ in range(100):
            item = mine.get(name)
            assert item is not None
            assert item.feature_name == name
            assert item.meta["client_data"] == {"mine": name}
            mine.set(name, True)
            assert [item.feature_name for item in mine.list(1, number)] == [name]

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(8)))
    assert service.connections == 1


class InterruptedTransport:
    """A transport that raises `KeyboardInterrupt` at step number `at`."""

    steps = 0
    at = 0

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self.at:
            raise KeyboardInterrupt

    def write(self, buf: bytes) -> None:
        """Write, unless this step is interrupted."""
        self._step()
        super().write(buf)  # type: ignore[misc]

    def flush(self) -> None:
        """Send, unless this step is interrupted."""
        self._step()
        super().flush()  # type: ignore[misc]

    def read(self, sz: int) -> bytes:
        """Read, unless this step is interrupted."""
        self._step()
        data: bytes = super().read(sz)  # type: ignore[misc]
        return data


class InterruptedBuffer(InterruptedTransport, TBufferedTransport):
    """The outermost transport of a client."""


class InterruptedFrames(InterruptedTransport, TFramedTransport):
    """A transport inside of another one."""


@pytest.mark.parametrize(
    ("protocol", "protocols", "transports"),
    [
        (TBinaryProtocol, None, None),
        (TCompactProtocol, TCompactProtocolFactory(), None),
        (TBinaryProtocol, None, TFramedTransportFactory()),
    ],
    ids=["binary", "compact", "frames"],
)
def test_an_interrupted_call_leaves_no_half_message(
    memory: MemoryFeatureFlagStore, protocol: Any, protocols: Any, transports: Any
) -> None:
    """A call that an exception interrupts at any step does not break the next call."""
    made: list[Any] = []

    def interrupted(tsocket: Any) -> Any:
        kind = InterruptedFrames if transports else InterruptedBuffer
        made.append(kind(tsocket))
        return TBufferedTransport(made[0]) if transports else made[0]

    with (
        Service(FeatureFlagStoreHandler(memory), transports, protocols) as service,
        connected(service.port, interrupted, protocol) as store,
    ):
        transport = made[0]
        store.create("f", client_data={"mine": "f"})
        store.create("other", client_data={"mine": "other"})
        for step in range(1, 1000):
            transport.steps, transport.at = 0, step
            try:
                store.get("other")
            except KeyboardInterrupt:
                transport.at = 0
            else:
                break
            item = store.get("f")
            assert item is not None
            assert item.meta["client_data"] == {"mine": "f"}
        assert 3 < step < 999


def test_a_closed_transport_is_opened(service: Service) -> None:
    """The store opens the transport of its client when it needs it."""
    with connected(service.port) as store:
        assert store.get("f") is None
        store.transport.close()  # type: ignore[attr-defined]
        assert store.get("f") is None
    assert service.connections == 2


def test_an_error_of_the_server_keeps_the_connection(service: Service) -> None:
    """The store keeps its connection after an error that came as a whole message."""
    with connected(service.port) as store:
        with pytest.raises(ttypes.FlipperException):
            store.create("")
        with pytest.raises(TApplicationException):
            FeatureFlagStore.Client(UnknownMethodProtocol(store.transport)).Get("f")  # type: ignore[attr-defined]
        assert store.get("f") is None
    assert service.connections == 1


class UnknownMethodProtocol(TBinaryProtocol):
    """A protocol that calls a method which no server has."""

    def writeMessageBegin(self, _: str, kind: int, number: int) -> None:  # noqa: N802
        """Begin the wrong message."""
        super().writeMessageBegin("Forget", kind, number)


def test_a_late_answer_is_dropped(service: Service) -> None:
    """An answer that comes after its timeout is not the answer to the next call."""
    with (
        Proxy("127.0.0.1", service.port) as proxy,
        connected(proxy.port) as store,
    ):
        store.create("f", client_data={"mine": "f"})
        store.create("slow", client_data={"mine": "slow"})
        proxy.delay(0.3)
        socket = store._client._iprot.trans._TBufferedTransport__trans
        socket.setTimeout(100)
        with pytest.raises(TTransportException):
            store.get("slow")
        socket.setTimeout(10_000)
        proxy.delay(0)
        time.sleep(0.4)
        item = store.get("f")
        assert item is not None
        assert item.meta["client_data"] == {"mine": "f"}


FORK = """
import os, sys, threading, time
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport
from flipper import ThriftRPCFeatureFlagStore
from flipper_thrift.python.feature_flag_store.FeatureFlagStore import Client

transport = TBufferedTransport(TSocket("127.0.0.1", int(sys.argv[1])))
store = ThriftRPCFeatureFlagStore(Client(TBinaryProtocol(transport)))

def ask(name):
    for _ in range(100):
        assert store.get(name).feature_name == name

ask("parent")
slow = threading.Thread(target=store.get, args=["slow"])
slow.start()
while store._connection.lock.acquire(blocking=False):  # until the call has begun
    store._connection.lock.release()
child = os.fork()
if not child:
    try:
        ask("child")
    except BaseException:
        os._exit(1)
    os._exit(0)
slow.join()
ask("parent")
sys.exit(os.waitpid(child, 0)[1])
"""


class SlowHandler(FeatureFlagStoreHandler):
    """A server that thinks about some flags."""

    def Get(self, feature_name: str) -> Any:  # noqa: N802
        """Return the flag, after a while if it is slow."""
        if feature_name == "slow":
            time.sleep(0.5)
        return super().Get(feature_name)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes do not fork here")
def test_a_forked_child_has_a_connection_of_its_own(
    memory: MemoryFeatureFlagStore,
) -> None:
    """A child connects anew, even if a thread of the parent waits for an answer."""
    for name in ("parent", "child", "slow"):
        memory.create(name)
    with Service(SlowHandler(memory)) as service:
        command = [sys.executable, "-W", "ignore", "-c", FORK, str(service.port)]
        run = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
        )
        assert run.returncode == 0, run.stderr
    assert service.connections == 2
