# SPDX-License-Identifier: Apache-2.0
"""A store whose server is away is spared, and tried in the background.

That the clients of real servers do so is in `tests/contrib`.
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
    """Flags as if on a server, which may be away.

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
        """Name the threads that have called `get`, but for the background thread."""
        return [name for name in self.asked_by if name != BACKGROUND]


@pytest.fixture
def server() -> Server:
    """Give a server that is there; it has the flag `x`, which is on."""
    return Server()


@pytest.fixture
def client(server: Server) -> FeatureFlagClient:
    """Give a client that knows the flag."""
    client = FeatureFlagClient(server)
    assert client.is_enabled("x") is True
    return client


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Give the clock of the circuit breaker."""
    clock = Clock()
    monkeypatch.setattr(circuit_breaker, "monotonic", clock)
    return clock


def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no background thread run, as in uWSGI without threads."""
    monkeypatch.setattr(circuit_breaker, "start_thread", lambda *_: None)


def no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no thread start, as at the very end of a program."""

    def fail(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)


def is_open(store: Any) -> bool:
    """Tell whether a store is spared."""
    return current_reader(store) is not store


def leave(server: Server, error: BaseException | None = None) -> None:
    """Let the server be away from now on, and forget who has asked it."""
    server.error = error or AwayError("on purpose")
    server.asked_by.clear()


# Who asks


def test_one_question_is_slow_and_no_other_one_asks(
    server: Server, client: FeatureFlagClient
) -> None:
    """Once a server is known to be away, only the background thread waits for it."""
    leave(server)
    server.takes = 0.2
    assert client.is_enabled("x") is True
    asked_before = [*server.asked_by]
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


def test_of_threads_that_notice_at_once_each_asks_once(
    server: Server, client: FeatureFlagClient
) -> None:
    """None of them asks again, though each of them has failed."""
    leave(server)
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


def test_a_server_that_is_back_is_noticed_without_a_question(
    server: Server, client: FeatureFlagClient
) -> None:
    """The next question asks it again."""
    leave(server)
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
def test_an_answer_that_is_an_error_closes_it(
    server: Server, client: FeatureFlagClient, error: Exception
) -> None:
    """It comes from a server that is there, and the next question hears it."""
    leave(server)
    client.is_enabled("x")
    server.error = error
    eventually(lambda: not is_open(server))
    assert client.explain("x").error is error
    assert not is_open(server)


def test_the_newest_error_is_told(server: Server, client: FeatureFlagClient) -> None:
    """The reason may have changed since the server went away."""
    leave(server, AwayError("first"))
    client.is_enabled("x")
    assert str(client.explain("x").error) == "first"
    server.error = AwayError("second")
    eventually(lambda: str(client.explain("x").error) == "second")


def test_all_clients_of_a_store_spare_it(server: Server) -> None:
    """Also one that is made meanwhile, as by applications that make one per request."""
    clients = [FeatureFlagClient(server) for _ in range(3)]
    for client in clients:
        client.is_enabled("x")
    leave(server)
    clients[0].is_enabled("x")
    clients.append(FeatureFlagClient(server))
    for client in clients:
        assert client.is_enabled("x") is True
    assert len(server.asked_by_questions()) == 1


def test_who_wants_errors_asks_each_time(server: Server) -> None:
    """As flipper-client did, though others spare the store."""
    leave(server)
    FeatureFlagClient(server).is_enabled("x")
    assert is_open(server)
    for client in (FeatureFlagClient(server, on_error="raise"),) * 3:
        with pytest.raises(AwayError) as caught:
            client.is_enabled("x")
        assert caught.value is server.error
    assert len(server.asked_by_questions()) == 4


def test_a_failover_asks_the_primary_no_more(server: Server) -> None:
    """Neither for a flag nor for a list, until it is back."""
    listed: list[str] = []

    class Listed(Server):
        def list(self, limit: int | None = None, offset: int = 0) -> Any:
            listed.append("primary")
            return super().list(limit, offset)

    primary = Listed()
    store = FailoverFeatureFlagStore(primary, server)
    leave(primary)
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
    """One thread tries, and the outage is logged once."""
    caplog.set_level(logging.INFO, "flipper")
    store = CachedFeatureFlagStore(server, ttl=0, stale_if_error=60)
    client = FeatureFlagClient(FeatureFlagStoreWrapper(store))
    client.is_enabled("x")
    leave(server)
    for _ in range(5):
        assert client.is_enabled("x") is True
        assert client.is_enabled("unknown", default=None) is None
    assert is_open(server)
    assert not is_open(store)
    assert len(server.asked_by_questions()) == 1
    server.error = None
    eventually(lambda: not is_open(server))
    said = [record for record in caplog.records if "Server" in record.getMessage()]
    assert [record.levelname for record in said] == ["WARNING", "INFO"]


def test_a_reader_that_was_taken_too_late_asks_the_store(
    server: Server, client: FeatureFlagClient
) -> None:
    """A thread may take the circuit breaker for the reader just after it has closed."""
    leave(server)
    client.is_enabled("x")
    breaker = client._reader
    assert isinstance(breaker, CircuitBreaker)
    server.error = None
    eventually(lambda: not is_open(server))
    client._reader = breaker
    server.set("x", is_enabled=False)
    assert client.is_enabled("x") is False
    assert client._reader is server.fast_path()


# The thread


def test_a_store_that_nobody_holds_is_free_to_go(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And its thread ends, though the server is away."""
    caplog.set_level(logging.CRITICAL, "flipper")  # pytest keeps tracebacks
    server = Server()
    client = FeatureFlagClient(server)
    leave(server)
    for _ in range(3):
        client.is_enabled("x")
    thread = client._reader._thread
    assert thread.is_alive()
    key, gone = id(server), weakref.ref(server)
    del server, client
    # The thread may be asking it at any time.
    eventually(lambda: gc.collect() is None or gone() is None)
    assert key not in circuit_breaker._open
    eventually(lambda: not thread.is_alive())


@pytest.mark.parametrize("stop", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_whatever_a_try_raises_the_thread_goes_on(
    server: Server, client: FeatureFlagClient, stop: type[BaseException]
) -> None:
    """Nobody else would notice that the server is back."""
    leave(server)
    client.is_enabled("x")
    server.asked_by.clear()
    server.error = stop()
    eventually(lambda: len(server.asked_by) >= 2)
    assert is_open(server)
    server.error = None
    eventually(lambda: not is_open(server))


class Hanging(Server):
    """A server of whose replies one never comes, as where a connection is lost.

    Attributes:
        silent: while it is set, a background thread that asks is not answered.
        left: set for who was not answered to be answered after all.
        late: how many were answered so.
    """

    def __init__(self) -> None:
        self.silent, self.left = threading.Event(), threading.Event()
        self.late = 0
        super().__init__()

    def get(self, feature_name: str) -> Any:
        """Read a flag, or fail, or wait for ever."""
        found = super().get(feature_name)
        if self.silent.is_set() and threading.current_thread().name == BACKGROUND:
            self.silent.clear()
            assert self.left.wait(AT_MOST)
            self.late += 1
        return found


def test_a_try_without_an_answer_is_left_to_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client without a time limit may wait for ever; other tries are made then."""
    monkeypatch.setattr(circuit_breaker, "_TRY_TIMEOUT", 0.05)
    server = Hanging()
    client = FeatureFlagClient(server)
    leave(server)
    client.is_enabled("x")
    server.silent.set()
    server.error = None
    eventually(lambda: not server.silent.is_set() and not is_open(server))
    server.set("x", False)
    assert client.is_enabled("x") is False
    # What comes late is no answer of the next outage.
    leave(server)
    client.is_enabled("x")
    breaker = current_reader(server)
    server.left.set()
    eventually(lambda: server.late == 1)
    eventually(lambda: server.asked_by.count(BACKGROUND) >= 2)
    assert current_reader(server) is breaker


def test_clients_may_be_made_while_a_server_goes_and_comes(server: Server) -> None:
    """All clients are told of an outage, and new ones do not disturb that."""
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
    """A server that is back is noticed soon, and not by all processes at once."""
    pauses = [[*islice(circuit_breaker._pauses(), 50)] for _ in range(20)]
    for each in pauses:
        assert 0.05 <= each[0] <= 0.1
        assert all(0.5 <= pause <= 1.0 for pause in each[10:])
    for at_once in zip(*pauses, strict=True):
        assert len(set(at_once)) > 10


def run(script: str) -> str:
    """Run Python code in a process of its own, which has to end well and soon."""
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


def test_a_try_that_hangs_does_not_hold_up_the_end_of_the_program() -> None:
    """It is a daemon thread."""
    run("server.hang = threading.Event(); assert server.hang.wait(30)")


@forks
def test_a_child_tries_by_a_thread_of_its_own() -> None:
    """The parent's is not in the child, whatever it was doing."""
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


# Where no thread runs


@pytest.mark.parametrize("without", [no_threads, no_more_threads])
def test_without_threads_a_question_tries_twice_a_second(
    server: Server,
    client: FeatureFlagClient,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    without: Callable[[pytest.MonkeyPatch], None],
) -> None:
    """And the one that finds the server back asks it."""
    without(monkeypatch)
    leave(server)
    for _ in range(100):  # ten seconds
        assert client.is_enabled("x") is True
        clock.now += 0.1
    assert 19 <= len(server.asked_by) <= 21
    server.error = None
    server.set("x", is_enabled=False)
    clock.now += 0.5
    assert client.is_enabled("x") is False
    assert not is_open(server)


def test_without_threads_who_takes_long_to_fail_is_asked_more_seldom(
    server: Server,
    client: FeatureFlagClient,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Or a program of one thread would do hardly anything but wait."""
    no_threads(monkeypatch)
    leave(server)

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


def test_without_threads_one_question_tries_while_the_others_go_on(
    server: Server,
    client: FeatureFlagClient,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that hangs costs one thread its time, not all of them."""
    no_threads(monkeypatch)
    leave(server)
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


def test_a_child_without_threads_tries_though_its_parent_was_trying(
    server: Server,
    client: FeatureFlagClient,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The question that would end the outage is not in a forked child."""
    no_threads(monkeypatch)
    leave(server)
    client.is_enabled("x")
    breaker: Any = client._reader
    assert breaker._starting.acquire(blocking=False)  # as if another thread tried
    clock.now += 100
    client.is_enabled("x")
    assert len(server.asked_by) == 1
    breaker.after_fork()  # what a fork does in the child
    client.is_enabled("x")
    assert len(server.asked_by) == 2


def test_an_interrupted_try_is_none(
    server: Server,
    client: FeatureFlagClient,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who was interrupted hears of it, and the next question tries in its time."""
    no_threads(monkeypatch)
    leave(server)
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


class ManyError(AwayError):
    """An error that cannot be made anew by what it says of itself."""

    def __init__(self, host: str, *, port: int) -> None:
        super().__init__(f"{host}:{port}")
        self.port = port


class PickyError(AwayError):
    """An error that can be made in one way only."""

    def __new__(cls, *args: object, key: str) -> Self:
        """Make it."""
        return super().__new__(cls, *args)

    def __init__(self, *args: object, key: str) -> None:
        super().__init__(*args)


@pytest.mark.parametrize(
    "error",
    [AwayError("a", 1), ManyError("host", port=1), PickyError("a", key="b")],
    ids=repr,
)
def test_questions_get_errors_like_the_first_that_do_not_grow(
    server: Server, client: FeatureFlagClient, error: Exception
) -> None:
    """An error that is raised again grows by each frame, with all that is in it."""
    leave(server, error)
    first = client.explain("x").error
    assert first is error
    for _ in range(100):
        told = client.explain("x").error
    assert type(told) is type(error)
    assert str(told) == str(error)
    assert told is not None
    assert told.args == error.args
    assert getattr(told, "port", None) == getattr(error, "port", None)
    length, traceback = 0, told.__traceback__
    while traceback is not None:
        length, traceback = length + 1, traceback.tb_next
    assert length < 10


def test_an_error_that_a_store_raises_again_and_again_does_not_grow(
    server: Server, client: FeatureFlagClient
) -> None:
    """As test doubles do: each try would add frames to it, all night."""
    leave(server)
    client.is_enabled("x")
    eventually(lambda: server.asked_by.count(BACKGROUND) >= 5)
    length, traceback = 0, server.error.__traceback__  # type: ignore[union-attr]
    while traceback is not None:
        length, traceback = length + 1, traceback.tb_next
    assert length <= 2  # a try may be under way


def test_an_error_of_the_system_keeps_its_number(server: Server) -> None:
    """It is not among its attributes that can be listed."""
    server.outage_errors = (OSError,)  # type: ignore[assignment]
    client = FeatureFlagClient(server)
    leave(server, ConnectionRefusedError(111, "refused"))
    client.is_enabled("x")
    told = client.explain("x").error
    assert type(told) is ConnectionRefusedError
    assert (told.errno, told.strerror) == (111, "refused")
