# SPDX-License-Identifier: Apache-2.0
"""In an outage, questions do not read the store; a background thread does.

`tests/contrib` tests that with the clients of real servers.
"""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from flipper import (
    CachedFeatureFlagStore,
    FailoverFeatureFlagStore,
    FeatureFlagClient,
    MemoryFeatureFlagStore,
)
from flipper.contracts import circuit_breaker
from flipper.contracts.circuit_breaker import CircuitBreaker, current_reader
from flipper.contracts.wrapper import FeatureFlagStoreWrapper
from flipper.exceptions import InvalidFlagDataError
from flipper.runtime.patching import refresh_readers
from flipper.testing.contract import eventually
from support.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

AT_MOST = 30  # seconds until a thread that should have gone on counts as stuck
BACKGROUND = "flipper-circuit-breaker"

forks = pytest.mark.skipif(
    sys.platform == "win32", reason="processes do not fork on this system"
)


class AwayError(Exception):
    """The server is away."""


class Server(MemoryFeatureFlagStore):
    """A store that behaves as if its flags were on a server, which may be away.

    Attributes:
        error: raised by `get`, if there is one.
        takes: seconds until it fails.
        asked_by: the names of the threads that have called `get`.
    """

    outage_errors = (AwayError,)

    def __init__(self) -> None:
        super().__init__()
        self.error: BaseException | None = None
        self.takes = 0.0
        self.asked_by: list[str] = []
        self.create("x", is_enabled=True)

    def get(self, feature_name: str) -> Any:
        """Read a flag, or fail."""
        self.asked_by.append(threading.current_thread().name)
        if self.error is not None:
            time.sleep(self.takes)
            raise self.error
        return super().get(feature_name)

    def asked_by_questions(self) -> list[str]:
        """Return the threads that have called `get`, except the background thread."""
        return [name for name in self.asked_by if name != BACKGROUND]


@pytest.fixture
def server() -> Server:
    """Return a store whose server is reachable; its flag `x` is on."""
    return Server()


@pytest.fixture
def client(server: Server) -> FeatureFlagClient:
    """Return a client that has read the flag."""
    client = FeatureFlagClient(server)
    assert client.is_enabled("x") is True
    return client


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Replace the clock of the circuit breaker."""
    clock = Clock()
    monkeypatch.setattr(circuit_breaker, "monotonic", clock)
    return clock


def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no background thread, as under uWSGI without threads."""
    monkeypatch.setattr(circuit_breaker, "start_thread", lambda *_: None)


def no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no thread start, as at the end of a program."""

    def fail(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)


def is_open(store: Any) -> bool:
    """Return whether the circuit breaker of a store is open."""
    return current_reader(store) is not store


def go_away(server: Server, error: BaseException | None = None) -> None:
    """Let every read fail from now on, and forget which threads have read."""
    server.error = error or AwayError("on purpose")
    server.asked_by.clear()


# Which thread reads the store


def test_only_the_first_question_of_an_outage_reads_the_store(
    server: Server, client: FeatureFlagClient
) -> None:
    """All others are answered at once, while only the background thread reads."""
    go_away(server)
    server.takes = 0.2
    assert client.is_enabled("x") is True
    asked_before = server.asked_by_questions()
    ended = threading.Event()

    def ask() -> set[Any]:
        given = set()
        while not ended.is_set():
            given.add(client.is_enabled("x"))
            given.add(client.explain("x").enabled)
            time.sleep(0.001)
        return given

    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask) for _ in range(8)]
        eventually(lambda: server.asked_by.count(BACKGROUND) >= 3)
        ended.set()
        assert [each.result(AT_MOST) for each in asked] == [{True}] * 8
    assert asked_before == [threading.current_thread().name]
    assert server.asked_by_questions() == asked_before


def test_threads_that_fail_at_once_read_once_each(
    server: Server, client: FeatureFlagClient
) -> None:
    """No thread reads a second time after its read has failed."""
    go_away(server)
    server.takes = 0.3
    together = threading.Barrier(8)

    def ask() -> None:
        together.wait(AT_MOST)
        for _ in range(25):
            assert client.is_enabled("x") is True

    with ThreadPoolExecutor(8) as pool:
        for each in [pool.submit(ask) for _ in range(8)]:
            each.result(AT_MOST)
    asked = server.asked_by_questions()
    assert len(asked) == len(set(asked)) <= 8


def test_the_background_thread_closes_the_circuit_breaker(
    server: Server, client: FeatureFlagClient
) -> None:
    """When the server answers again, the next question reads the store."""
    go_away(server)
    client.is_enabled("x")
    assert is_open(server)
    server.set("x", is_enabled=False)
    server.error = None
    eventually(lambda: not is_open(server))
    assert client.is_enabled("x") is False
    assert client._reader is server.fast_path()


@pytest.mark.parametrize(
    "error",
    [InvalidFlagDataError("no flag", feature_name="x"), ValueError("nonsense")],
    ids=repr,
)
def test_an_error_that_is_no_outage_closes_the_circuit_breaker(
    server: Server, client: FeatureFlagClient, error: Exception
) -> None:
    """The server has answered, and the next question gets that error."""
    go_away(server)
    client.is_enabled("x")
    server.error = error
    eventually(lambda: not is_open(server))
    assert client.explain("x").error is error
    assert not is_open(server)


def test_explain_gives_the_newest_error(
    server: Server, client: FeatureFlagClient
) -> None:
    """The cause may have changed since the outage began."""
    go_away(server, AwayError("first"))
    client.is_enabled("x")
    assert str(client.explain("x").error) == "first"
    server.error = AwayError("second")
    eventually(lambda: str(client.explain("x").error) == "second")


def test_all_clients_of_a_store_share_its_circuit_breaker(server: Server) -> None:
    """A client that is created during the outage does not read the store either."""
    clients = [FeatureFlagClient(server) for _ in range(3)]
    for client in clients:
        client.is_enabled("x")
    go_away(server)
    clients[0].is_enabled("x")
    clients.append(FeatureFlagClient(server))
    for client in clients:
        assert client.is_enabled("x") is True
    assert len(server.asked_by_questions()) == 1


def test_on_error_raise_reads_the_store_despite_an_open_circuit(server: Server) -> None:
    """The caller gets the error of the store itself, as in flipper-client."""
    go_away(server)
    FeatureFlagClient(server).is_enabled("x")
    assert is_open(server)
    for client in (FeatureFlagClient(server, on_error="raise"),) * 3:
        with pytest.raises(AwayError) as caught:
            client.is_enabled("x")
        assert caught.value is server.error
    assert len(server.asked_by_questions()) == 4


def test_a_failover_does_not_read_a_primary_whose_circuit_is_open(
    server: Server,
) -> None:
    """Neither a flag nor a list is read from it until it answers again."""
    listed: list[str] = []

    class Listed(Server):
        def list(self, limit: int | None = None, offset: int = 0) -> Any:
            listed.append("primary")
            return super().list(limit, offset)

    primary = Listed()
    store = FailoverFeatureFlagStore(primary, server)
    go_away(primary)
    for _ in range(5):
        assert store.get("x") is server.get("x")
        assert [item.feature_name for item in store.list()] == ["x"]
    assert len(primary.asked_by_questions()) == 1
    assert listed == []
    primary.error = None
    eventually(lambda: store.get("x") is primary.get("x"))
    assert len([*store.list()]) == 1
    assert listed == ["primary"]


def test_wrappers_around_a_store_share_its_circuit_breaker(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """One background thread reads the store, and the outage is logged once."""
    caplog.set_level(logging.INFO, "flipper")
    store = CachedFeatureFlagStore(server, ttl=0, stale_if_error=60)
    client = FeatureFlagClient(FeatureFlagStoreWrapper(store))
    client.is_enabled("x")
    go_away(server)
    for _ in range(5):
        assert client.is_enabled("x") is True
        assert client.is_enabled("unknown", default=None) is None
    assert is_open(server)
    assert not is_open(store)
    assert len(server.asked_by_questions()) == 1
    server.error = None
    eventually(lambda: not is_open(server))

    def said() -> list[str]:
        records = [one for one in [*caplog.records] if "Server" in one.getMessage()]
        return [record.levelname for record in records]

    eventually(lambda: said() == ["WARNING", "INFO"])


def test_a_closed_circuit_breaker_that_is_still_called_reads_the_store(
    server: Server, client: FeatureFlagClient
) -> None:
    """A thread may call the circuit breaker just after it has closed."""
    go_away(server)
    client.is_enabled("x")
    breaker = client._reader
    assert isinstance(breaker, CircuitBreaker)
    server.error = None
    eventually(lambda: not is_open(server))
    client._reader = breaker
    server.set("x", is_enabled=False)
    assert client.is_enabled("x") is False
    assert client._reader is server.fast_path()


# The background thread


def test_a_store_can_be_collected_while_its_circuit_is_open(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The background thread ends too, although the server is away."""
    caplog.set_level(logging.CRITICAL, "flipper")  # pytest keeps tracebacks
    server = Server()
    client = FeatureFlagClient(server)
    go_away(server)
    for _ in range(3):
        client.is_enabled("x")
    thread = client._reader._thread
    assert thread.is_alive()
    key, gone = id(server), weakref.ref(server)
    del server, client
    # The thread may be reading it, and hold it, at any time.
    eventually(lambda: gc.collect() is None or gone() is None)
    assert key not in circuit_breaker._open
    eventually(lambda: not thread.is_alive())


@pytest.mark.parametrize("stop", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_the_background_thread_survives_every_exception(
    server: Server, client: FeatureFlagClient, stop: type[BaseException]
) -> None:
    """Without it, nothing would notice that the server answers again."""
    go_away(server)
    client.is_enabled("x")
    server.asked_by.clear()
    server.error = stop()
    eventually(lambda: len(server.asked_by) >= 2)
    assert is_open(server)
    server.error = None
    eventually(lambda: not is_open(server))


class HangingServer(Server):
    """A server that never answers one read, as after a lost connection.

    Attributes:
        silent: while it is set, the next read of a background thread hangs.
        released: set to end the read that hangs.
        late: how many reads have hung and ended.
    """

    def __init__(self) -> None:
        self.silent, self.released = threading.Event(), threading.Event()
        self.late = 0
        super().__init__()

    def get(self, feature_name: str) -> Any:
        """Read a flag, or fail, or wait for ever."""
        found = super().get(feature_name)
        if self.silent.is_set() and threading.current_thread().name == BACKGROUND:
            self.silent.clear()
            assert self.released.wait(AT_MOST)
            self.late += 1
        return found


def test_a_read_that_hangs_does_not_stop_the_background_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client without a time limit may wait for ever, so another read is started."""
    monkeypatch.setattr(circuit_breaker, "_TRY_TIMEOUT", 0.05)
    server = HangingServer()
    client = FeatureFlagClient(server)
    go_away(server)
    client.is_enabled("x")
    server.silent.set()
    server.error = None
    eventually(lambda: not server.silent.is_set() and not is_open(server))
    server.set("x", False)
    assert client.is_enabled("x") is False
    # The late answer does not end the next outage.
    go_away(server)
    client.is_enabled("x")
    breaker = current_reader(server)
    server.released.set()
    eventually(lambda: server.late == 1)
    eventually(lambda: server.asked_by.count(BACKGROUND) >= 2)
    assert current_reader(server) is breaker


def test_clients_may_be_created_while_readers_are_refreshed(server: Server) -> None:
    """Creating clients in other threads does not disturb the refresh."""
    over = threading.Event()

    def make_clients() -> None:
        kept: list[Any] = []
        while not over.is_set():
            kept = [*kept[-100:], FeatureFlagClient(server)]

    before = sys.getswitchinterval()
    makers = [threading.Thread(target=make_clients) for _ in range(2)]
    sys.setswitchinterval(1e-5)
    try:
        for maker in makers:
            maker.start()
        for _ in range(500):
            refresh_readers()
    finally:
        over.set()
        sys.setswitchinterval(before)
        for maker in makers:
            maker.join()


def test_pauses_grow_to_a_second_and_differ() -> None:
    """The end of an outage is noticed soon, but not by all processes at once."""
    pauses = [[*islice(circuit_breaker._pauses(), 50)] for _ in range(20)]
    for each in pauses:
        assert 0.05 <= each[0] <= 0.1
        assert all(0.5 <= pause <= 1.0 for pause in each[10:])
    for at_once in zip(*pauses, strict=True):
        assert len(set(at_once)) > 10


def run(script: str) -> str:
    """Run Python code in a new process, which must end well and soon."""
    done = subprocess.run(
        [sys.executable, "-c", PROLOGUE + script],
        capture_output=True,
        text=True,
        timeout=AT_MOST,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


PROLOGUE = """
import os, threading, time
from flipper import FeatureFlagClient, MemoryFeatureFlagStore
from flipper.testing.contract import eventually

class Server(MemoryFeatureFlagStore):
    outage_errors = (ConnectionError,)
    is_away, hang = True, None
    def get(self, feature_name):
        if self.hang and threading.current_thread() is not threading.main_thread():
            self.hang.set()
            time.sleep(600)
        if self.is_away:
            raise ConnectionError
        return super().get(feature_name)

server = Server()
client = FeatureFlagClient(server)
client.create("x", is_enabled=True)
client.is_enabled("x")
"""


def test_a_read_that_hangs_does_not_delay_the_end_of_the_program() -> None:
    """The background thread is a daemon."""
    run("server.hang = threading.Event(); assert server.hang.wait(30)")


@forks
def test_a_forked_child_has_a_background_thread_of_its_own() -> None:
    """The thread of the parent does not exist in the child."""
    assert (
        run(
            """
server.hang = threading.Event()
client.is_enabled("x")
assert server.hang.wait(30)
pid = os.fork()
if not pid:
    server.hang, server.is_away = None, False
    client.disable("x")
    server.create("x")
    eventually(lambda: client._reader is server.fast_path()
               or client.is_enabled("x", default=None) is None)
    print(client.is_enabled("x"), flush=True)
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""
        )
        == "False\n"
    )


# Without threads


@pytest.mark.parametrize("without", [no_threads, no_more_threads])
def test_without_threads_two_questions_a_second_read_the_store(
    server: Server,
    client: FeatureFlagClient,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    without: Callable[[pytest.MonkeyPatch], None],
) -> None:
    """A question that reads successfully closes the circuit breaker."""
    without(monkeypatch)
    go_away(server)
    for _ in range(100):  # ten seconds
        assert client.is_enabled("x") is True
        clock.now += 0.1
    assert 19 <= len(server.asked_by) <= 21
    server.error = None
    server.set("x", is_enabled=False)
    clock.now += 0.5
    assert client.is_enabled("x") is False
    assert not is_open(server)


def test_without_threads_a_slow_failure_is_followed_by_a_longer_pause(
    server: Server,
    client: FeatureFlagClient,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise a program with one thread would wait most of the time."""
    no_threads(monkeypatch)
    go_away(server)

    def wait(seconds: float) -> None:
        clock.now += 10.0

    monkeypatch.setattr(time, "sleep", wait)
    began, waited = clock.now, 0.0
    while clock.now < began + 600:
        before = clock.now
        assert client.is_enabled("x") is True
        waited += clock.now - before
        clock.now += 0.1
    assert waited <= 0.55 * 600


def test_without_threads_only_one_question_at_a_time_reads_the_store(
    server: Server,
    client: FeatureFlagClient,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that hangs delays one thread, and not all of them."""
    no_threads(monkeypatch)
    go_away(server)
    client.is_enabled("x")
    asking, go_on = threading.Event(), threading.Event()

    def hang(feature_name: str) -> Any:
        asking.set()
        assert go_on.wait(AT_MOST)
        raise AwayError

    monkeypatch.setattr(server, "get", hang)
    clock.now += 1
    with ThreadPoolExecutor(1) as pool:
        one = pool.submit(client.is_enabled, "x")
        assert asking.wait(AT_MOST)
        clock.now += 100
        assert client.is_enabled("x") is True
        assert not one.done()
        go_on.set()
        assert one.result(AT_MOST) is True


def test_a_child_without_threads_reads_though_its_parent_was_reading(
    server: Server,
    client: FeatureFlagClient,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The thread of the parent that was reading does not exist in the child."""
    no_threads(monkeypatch)
    go_away(server)
    client.is_enabled("x")
    breaker: Any = client._reader
    assert breaker._starting.acquire(blocking=False)  # as if another thread read
    clock.now += 100
    client.is_enabled("x")
    assert len(server.asked_by) == 1
    breaker.after_fork()  # what a fork does in the child
    client.is_enabled("x")
    assert len(server.asked_by) == 2


def test_an_interrupted_read_does_not_count(
    server: Server,
    client: FeatureFlagClient,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The caller gets the interrupt, and a later question reads again."""
    no_threads(monkeypatch)
    go_away(server)
    client.is_enabled("x")
    server.error = KeyboardInterrupt()
    clock.now += 1
    with pytest.raises(KeyboardInterrupt):
        client.is_enabled("x")
    server.error = None
    server.asked_by.clear()
    client.is_enabled("x")
    assert server.asked_by == []
    clock.now += 1
    client.is_enabled("x")
    assert not is_open(server)


# The errors


class KeywordError(AwayError):
    """An error whose `args` are not the arguments of its constructor."""

    def __init__(self, host: str, *, port: int) -> None:
        super().__init__(f"{host}:{port}")
        self.port = port


class PickyError(AwayError):
    """An error that needs a keyword argument already in `__new__`."""

    def __new__(cls, *args: object, key: str) -> Self:
        """Make it."""
        return super().__new__(cls, *args)

    def __init__(self, *args: object, key: str) -> None:
        super().__init__(*args)


@pytest.mark.parametrize(
    "error",
    [AwayError("a", 1), KeywordError("host", port=1), PickyError("a", key="b")],
    ids=repr,
)
def test_the_errors_of_later_questions_do_not_grow(
    server: Server, client: FeatureFlagClient, error: Exception
) -> None:
    """An error that is raised again would gain a frame each time."""
    go_away(server, error)
    first = client.explain("x").error
    assert first is error
    for _ in range(100):
        later = client.explain("x").error
    assert type(later) is type(error)
    assert str(later) == str(error)
    assert later is not None
    assert later.args == error.args
    assert getattr(later, "port", None) == getattr(error, "port", None)
    length, traceback = 0, later.__traceback__
    while traceback is not None:
        length, traceback = length + 1, traceback.tb_next
    assert length < 10


def test_an_error_object_that_a_store_raises_repeatedly_does_not_grow(
    server: Server, client: FeatureFlagClient
) -> None:
    """Test doubles raise one object again and again; each read would add frames."""
    go_away(server)
    client.is_enabled("x")
    eventually(lambda: server.asked_by.count(BACKGROUND) >= 5)
    length, traceback = 0, server.error.__traceback__  # type: ignore[union-attr]
    while traceback is not None:
        length, traceback = length + 1, traceback.tb_next
    assert length <= 2  # a read may be in progress


def test_an_error_of_the_system_keeps_its_number(server: Server) -> None:
    """`errno` of an `OSError` is not in its `__dict__`, and is copied too."""
    server.outage_errors = (OSError,)  # type: ignore[assignment]
    client = FeatureFlagClient(server)
    go_away(server, ConnectionRefusedError(111, "refused"))
    client.is_enabled("x")
    later = client.explain("x").error
    assert type(later) is ConnectionRefusedError
    assert (later.errno, later.strerror) == (111, "refused")
