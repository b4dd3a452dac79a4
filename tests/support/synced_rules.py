# SPDX-License-Identifier: Apache-2.0
"""The rules of a `SyncedFeatureFlagStore` over a server that reports changes.

Each kind of server has a module test_synced_<server>.py with a subclass::

    from interop.conftest import original_python  # noqa: F401  (a fixture)

    @pytest.fixture(scope="module")
    def server() -> Iterator[XServer]:
        with start_x() as server:
            yield server

    class TestSyncedX(SyncedRules):
        backend = "x"  # as tests/interop/agent.py calls it

        @staticmethod
        def connect(address: Address) -> XFeatureFlagStore: ...

`connect` makes an inner store with its own connections, whose driver waits longer than
a second for an answer; other processes import the module to call it. The subclass also
overrides `address_for_agent`.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import threading
import time
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from flipper import Condition, FeatureFlagClient
from flipper.contrib.cached import CachedFeatureFlagStore
from flipper.contrib.synced import SyncedFeatureFlagStore
from flipper.events import EventType
from flipper.exceptions import (
    FlagDoesNotExistError,
    StoreTimeoutError,
    StoreUnavailableError,
)
from flipper.testing.contract import CHANGES, at_once, eventually
from interop.conftest import agent
from servers import Proxy
from support.synced_programs import Address, run_program, send_line
from support.writes import succeeds

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from servers.process import Server


class LossyWatch:
    """A watch that can lose the changes that are reported to it.

    Attributes:
        is_lossy: whether it loses changes.
        lost: the changes that it has lost.
    """

    def __init__(self, watch: Any) -> None:
        self._watch = watch
        self.close = watch.close
        self.revision = watch.revision
        self.is_lossy = False
        self.lost: list[Collection[str] | None] = []

    def wait(self, timeout: float) -> Collection[str] | None:
        """Wait for changes, and return none of them while `is_lossy`."""
        changed: Collection[str] | None = self._watch.wait(timeout)
        if not self.is_lossy:
            return changed
        if changed is None or changed:
            self.lost.append(changed)
        return ()


class SyncedRules:
    """The rules, to be run on one kind of server each."""

    backend: ClassVar[str]

    @staticmethod
    def connect(address: Address) -> Any:
        """Make an inner store."""
        raise NotImplementedError

    def address_for_agent(self, address: Address) -> str:
        """Return the address in the form that the agent of the interop tests takes."""
        raise NotImplementedError

    @pytest.fixture
    def place(self) -> str:
        """Give a place for flags that no other test uses."""
        return f"flipper-{uuid.uuid4().hex}"

    @pytest.fixture
    def proxy(self, server: Server) -> Iterator[Proxy]:
        """Give a proxy in front of the server."""
        with Proxy(server.host, server.port) as proxy:
            yield proxy

    @pytest.fixture
    def direct(self, server: Server, place: str) -> Address:
        """Give the address of the server."""
        return Address(server.host, server.port, place)

    @pytest.fixture
    def through(self, proxy: Proxy, place: str) -> Address:
        """Give the address of the proxy."""
        return Address(proxy.host, proxy.port, place)

    @pytest.fixture
    def make_inner(self) -> Iterator[Callable[[Address], Any]]:
        """Give a function that makes inner stores, which are closed after the test."""
        with contextlib.ExitStack() as made:

            def make_inner(address: Address) -> Any:
                inner = self.connect(address)
                made.callback(getattr(inner, "close", str))
                return inner

            yield make_inner

    @pytest.fixture
    def others(
        self, make_inner: Callable[[Address], Any], direct: Address
    ) -> FeatureFlagClient:
        """Give a client of another process, directly on the server; flag "x" is on."""
        others = FeatureFlagClient(make_inner(direct))
        others.create("x", is_enabled=True)
        return others

    @pytest.fixture
    def inner(
        self,
        make_inner: Callable[[Address], Any],
        through: Address,
        others: FeatureFlagClient,
    ) -> Any:
        """Give the inner store, which reaches the server through the proxy."""
        return make_inner(through)

    @pytest.fixture
    def store(self, inner: Any) -> Iterator[SyncedFeatureFlagStore]:
        """Give a synced store that has the flags and listens to changes."""
        with SyncedFeatureFlagStore(inner, write_timeout=1) as store:
            eventually(lambda: is_live(store))
            yield store

    # Changes

    def test_changes_by_another_process_are_seen(
        self, store: SyncedFeatureFlagStore, direct: Address
    ) -> None:
        """Each of 50 changes is reported; polling would take much longer."""
        code = """
            others = FeatureFlagClient(connect(address))
            for line in sys.stdin:
                (others.enable if line == "True\\n" else others.disable)("x")
        """
        flags = FeatureFlagClient(store)
        with self.program(code, direct) as process:
            for number in range(50):
                send_line(process, str(number % 2 == 1))
                eventually(lambda n=number: flags.is_enabled("x") is (n % 2 == 1))

    @pytest.mark.interop
    def test_changes_by_the_published_library_are_seen(
        self,
        make_inner: Callable[[Address], Any],
        shared_place: Address,
        original_python: Path,
        tmp_path: Path,
    ) -> None:
        """Processes with the published flipper-client need not know of listeners."""
        where = self.address_for_agent(shared_place)
        flag = {"is_enabled": True, "client_data": {}, "conditions": []}
        with (
            agent(original_python, self.backend, where, tmp_path) as original,
            SyncedFeatureFlagStore(make_inner(shared_place)) as store,
        ):
            flags = FeatureFlagClient(store)
            eventually(lambda: is_live(store))
            for number in range(20):
                name = f"flag-{number}"
                original.write({name: {**flag, "bucketer": None}})
                eventually(lambda name=name: flags.is_enabled(name))
            original.rewrite("flag-1", {"new": 1})
            eventually(lambda: flags.get_client_data("flag-1") == {"new": 1})
            assert flags.is_enabled("flag-1") is False
            original.destroy("flag-2")
            eventually(lambda: not flags.exists("flag-2"))
            assert is_live(store)

    @pytest.fixture
    def shared_place(self, server: Server) -> Address:
        """Give the address of the place that agents use."""
        return Address(server.host, server.port, "shared")

    def test_creation_metadata_and_deletion_are_seen(
        self, store: SyncedFeatureFlagStore, others: FeatureFlagClient
    ) -> None:
        """The creation, change and deletion of a flag are reported."""
        flags = FeatureFlagClient(store)
        others.create("eu/ö 旗", is_enabled=True)
        eventually(lambda: flags.is_enabled("eu/ö 旗"))
        others.add_condition("eu/ö 旗", Condition(user=1))
        eventually(lambda: not flags.is_enabled("eu/ö 旗", user=2))
        others.destroy("eu/ö 旗")
        eventually(lambda: not flags.exists("eu/ö 旗"))
        assert flags.is_enabled("x") is True

    def test_a_change_costs_one_read_of_its_flag(
        self, inner: Any, others: FeatureFlagClient
    ) -> None:
        """A change makes the store read this flag only, however many there are."""
        for number in range(300):
            others.create(f"flag-{number}")
        reads: list[str] = []
        get, list_all = inner.get, inner.list
        inner.get = lambda name: reads.append(name) or get(name)
        inner.list = lambda: reads.append("all") or list_all()
        with SyncedFeatureFlagStore(inner, poll_interval=3600) as store:
            eventually(lambda: len(list(store.list())) == 301 and is_live(store))
            # The signals of the flags created above may come late.
            wait_until_calm(reads)
            reads.clear()
            others.disable("x")
            eventually(lambda: not FeatureFlagClient(store).is_enabled("x"))
            wait_until_calm(reads)
            assert reads == ["x"]

    def test_a_lost_message_is_made_up_for_by_polling(
        self, inner: Any, others: FeatureFlagClient
    ) -> None:
        """All flags are read again after twenty intervals at the latest."""
        watch, watches = inner.watch, list[LossyWatch]()
        inner.watch = lambda: watches.append(LossyWatch(watch())) or watches[-1]
        with SyncedFeatureFlagStore(inner, poll_interval=0.1) as store:
            flags = FeatureFlagClient(store)
            eventually(lambda: is_live(store))
            watches[-1].is_lossy = True
            others.disable("x")
            eventually(lambda: watches[-1].lost)
            eventually(lambda: not flags.is_enabled("x"))

    def test_threads_read_while_the_flag_changes(
        self, store: SyncedFeatureFlagStore, others: FeatureFlagClient
    ) -> None:
        """Each answer is one that the flag had at some time."""
        flags = FeatureFlagClient(store)
        others.set_conditions("x", [Condition(user="yes")])
        eventually(lambda: not flags.is_enabled("x", user="no"))
        wrong: list[object] = []
        is_over = threading.Event()

        def ask() -> None:
            try:
                while not is_over.is_set():
                    answers = [flags.is_enabled("x", user=u) for u in ("yes", "no")]
                    if answers != [True, False]:
                        wrong.append(answers)
                    time.sleep(0.005)
            except Exception as error:  # noqa: BLE001  (compared below)
                wrong.append(error)

        threads = [threading.Thread(target=ask) for _ in range(100)]
        for thread in threads:
            thread.start()
        for number in range(25):
            others.set_conditions("x", [Condition(user="yes")] * (number % 5 + 1))
            others.set_client_data("x", {"number": number})
        eventually(lambda: flags.get_client_data("x").get("number") == 24)
        is_over.set()
        for thread in threads:
            thread.join()
        assert not wrong

    # Writes

    @pytest.mark.parametrize("has_listener", [False, True])
    def test_writes_do_not_wait_for_the_copy(
        self, inner: Any, others: FeatureFlagClient, has_listener: bool
    ) -> None:
        """A flag can be changed before the flags were read for the first time."""
        may_read = threading.Event()
        list_all = inner.list
        inner.list = lambda: may_read.wait(60) and list_all()
        with SyncedFeatureFlagStore(
            inner, start_timeout=0, on_start_failure="empty"
        ) as store:
            flags = FeatureFlagClient(store)
            events: list[Any] = []
            if has_listener:
                flags.events.on(
                    EventType.PRE_SET_CLIENT_DATA, lambda *e: events.append(e)
                )
            for change in CHANGES.values():
                others.create("x", client_data={"theirs": 1})
                change(flags, "x")
            assert events == ([("x", {"theirs": 1, "ours": 2})] if has_listener else [])
            others.create("x")
            flags.enable("x")
            eventually(lambda: others.is_enabled("x"))
            with pytest.raises(FlagDoesNotExistError):
                flags.enable("missing")
            assert store.status().state == "initialising"
            may_read.set()
            eventually(lambda: flags.is_enabled("x"))

    @pytest.mark.parametrize("has_listener", [False, True])
    def test_writes_during_an_outage_do_not_report_a_missing_flag(
        self,
        store: SyncedFeatureFlagStore,
        others: FeatureFlagClient,
        proxy: Proxy,
        has_listener: bool,
    ) -> None:
        """A write raises the error of the inner store, and no event is emitted."""
        flags = FeatureFlagClient(store)
        events: list[Any] = []
        if has_listener:
            for event in EventType:
                flags.events.on(event, lambda *_: events.append(1))
        proxy.cut()
        errors: list[Exception] = []

        def write(name: str, change: Callable[..., object]) -> None:
            try:
                change(flags, name)
            except Exception as error:  # noqa: BLE001  (checked below)
                errors.append(error)

        # At the same time, since drivers retry for a while.
        at_once(
            *(partial(write, name, change) for name, change in CHANGES.items()),
            partial(write, "x", CHANGES["disable"]),
        )
        assert len(errors) == len(CHANGES) + 1
        assert not any(isinstance(error, FlagDoesNotExistError) for error in errors)
        assert not events
        assert flags.is_enabled("x") is True
        proxy.restore()
        others.create("made-since")
        eventually(lambda: succeeds(lambda: flags.enable("made-since")))
        eventually(lambda: others.is_enabled("made-since"))

    # Outages

    def test_a_lost_connection_changes_no_answer(
        self, store: SyncedFeatureFlagStore, others: FeatureFlagClient, proxy: Proxy
    ) -> None:
        """The last known flags are answered until the connection is restored."""
        flags = FeatureFlagClient(store)
        proxy.cut()
        others.disable("x")
        assert all(flags.is_enabled("x") for _ in range(5000))
        assert not any(flags.is_enabled("missing") for _ in range(10))
        eventually(lambda: store.status().state == "stale")
        assert flags.is_enabled("x") is True
        proxy.restore()
        eventually(lambda: not flags.is_enabled("x"))
        eventually(lambda: is_live(store))
        others.enable("x")
        eventually(lambda: flags.is_enabled("x"))

    def test_a_server_that_hangs_changes_no_answer(
        self, store: SyncedFeatureFlagStore, others: FeatureFlagClient, proxy: Proxy
    ) -> None:
        """The silence is noticed, and writes raise an error after their timeout."""
        flags = FeatureFlagClient(store)
        proxy.blackhole()
        others.disable("x")
        assert all(flags.is_enabled("x") for _ in range(5000))
        with pytest.raises(StoreTimeoutError):
            store.create("y")
        eventually(lambda: store.status().state == "stale")
        assert flags.is_enabled("x") is True
        proxy.restore()
        eventually(lambda: not flags.is_enabled("x"))
        eventually(lambda: is_live(store))

    def test_a_slow_server_changes_no_answer(
        self, store: SyncedFeatureFlagStore, others: FeatureFlagClient, proxy: Proxy
    ) -> None:
        """A slow server is followed; a write that takes too long raises an error."""
        flags = FeatureFlagClient(store)
        proxy.delay(1.5)
        with pytest.raises(StoreTimeoutError):
            store.create("y")
        others.disable("x")
        eventually(lambda: not flags.is_enabled("x"))
        assert all(not flags.is_enabled("x") for _ in range(5000))

    def test_frozen_time_does_not_stop_the_thread(
        self, store: SyncedFeatureFlagStore, others: FeatureFlagClient, proxy: Proxy
    ) -> None:
        """Changes and outages are noticed while an application's test freezes time."""
        freezegun = pytest.importorskip("freezegun")
        flags = FeatureFlagClient(store)
        with freezegun.freeze_time("2040-01-01"):
            others.disable("x")
            eventually(lambda: not flags.is_enabled("x"))
            proxy.blackhole()
            eventually(lambda: store.status().state == "stale")
        proxy.restore()
        eventually(lambda: is_live(store))

    @pytest.mark.parametrize("end", ["stop", "kill"])
    def test_a_restarted_server_is_followed_again(
        self,
        store: SyncedFeatureFlagStore,
        others: FeatureFlagClient,
        server: Server,
        end: str,
    ) -> None:
        """After a restart the store sees all changes made before and after."""
        flags = FeatureFlagClient(store)
        getattr(server, end)()
        try:
            eventually(lambda: store.status().state == "stale")
            assert flags.is_enabled("x") is True
        finally:
            server.start()
        eventually(lambda: succeeds(lambda: others.disable("x")))
        eventually(lambda: not flags.is_enabled("x"))
        eventually(lambda: is_live(store))

    def test_a_start_without_the_server_is_no_start_without_flags(
        self,
        make_inner: Callable[[Address], Any],
        others: FeatureFlagClient,
        through: Address,
        proxy: Proxy,
    ) -> None:
        """A start without the server raises, or answers every caller's default."""
        proxy.cut()
        inner = make_inner(through)
        with pytest.raises(StoreUnavailableError):
            SyncedFeatureFlagStore(inner, start_timeout=1)
        with SyncedFeatureFlagStore(
            inner, start_timeout=0.1, on_start_failure="empty"
        ) as store:
            assert store.status().state != "live"
            assert FeatureFlagClient(store).is_enabled("x", default=True) is True
            proxy.restore()
            eventually(lambda: store.get("x"))
            eventually(lambda: is_live(store))

    # Processes

    def test_forked_children_see_changes(
        self, others: FeatureFlagClient, direct: Address
    ) -> None:
        """Children and parent see changes after a fork, as in a web server."""
        code = """
            store = SyncedFeatureFlagStore(connect(address))
            flags = FeatureFlagClient(store)
            assert flags.is_enabled("x")
            children = []
            for _ in range(8):
                child = os.fork()
                if not child:
                    signal.alarm(60)
                    assert flags.is_enabled("x")
                    os.write(1, b"r")
                    eventually(lambda: not flags.is_enabled("x"))
                    os._exit(0)
                children.append(child)
            eventually(lambda: not flags.is_enabled("x"))
            for child in children:
                assert os.waitpid(child, 0)[1] == 0
            os.write(1, b"!")
        """
        with self.program(code, direct) as process:
            assert process.stdout is not None
            assert process.stdout.read(8) == "r" * 8
            others.disable("x")
            assert process.stdout.read() == "!"
            assert process.wait(60) == 0

    def test_processes_can_fork_while_the_store_is_used(
        self, others: FeatureFlagClient, direct: Address
    ) -> None:
        """No child hangs, whatever a thread of the parent does at the fork."""
        code = """
            store = SyncedFeatureFlagStore(connect(address))
            flags = FeatureFlagClient(store)

            def use():
                while True:
                    flags.is_enabled("x")
                    flags.set_client_data("x", {"time": time.time()})

            for _ in range(2):
                threading.Thread(target=use, daemon=True).start()
            for number in range(50):
                child = os.fork()
                if not child:
                    signal.alarm(60)
                    assert flags.is_enabled("x")
                    if number % 10 == 0:
                        flags.create(f"by-{number}")
                        assert flags.exists(f"by-{number}")
                    os._exit(0)
                assert os.waitpid(child, 0)[1] == 0
            os.write(1, b"!")
            os._exit(0)
        """
        with self.program(code, direct) as process:
            assert process.stdout is not None
            assert process.stdout.read() == "!"
        eventually(lambda: all(others.exists(f"by-{n}") for n in range(0, 50, 10)))

    @pytest.mark.parametrize("outage", ["cut", "blackhole"])
    def test_a_program_ends_although_the_server_is_away(
        self, others: FeatureFlagClient, through: Address, proxy: Proxy, outage: str
    ) -> None:
        """A program ends without a call of `close`."""
        code = """
            store = SyncedFeatureFlagStore(connect(address))
            print(FeatureFlagClient(store).is_enabled("x"), flush=True)
            sys.stdin.read()
        """
        with self.program(code, through) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "True\n"
            getattr(proxy, outage)()
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(15) == 0

    # Cost

    def test_an_idle_store_asks_once_a_second_at_most(
        self, store: SyncedFeatureFlagStore, proxy: Proxy
    ) -> None:
        """An idle store asks at least once, since a dead connection gives no sign."""
        time.sleep(1)
        before, began = proxy.requests, time.monotonic()
        time.sleep(3)
        requests = proxy.requests - before
        # One more than there are whole seconds between the first and the last.
        assert 1 <= requests <= time.monotonic() - began + 1

    @pytest.mark.parametrize("kind", ["inner", "synced", "cached"])
    def test_garbage_collected_stores_leave_no_threads_and_connections(
        self,
        others: FeatureFlagClient,
        through: Address,
        proxy: Proxy,
        kind: str,
        own_threads: Callable[[], set[threading.Thread]],
    ) -> None:
        """Stores need not be closed."""
        wrap: Callable[[Any], Any] = {
            "inner": lambda inner: inner,
            "synced": SyncedFeatureFlagStore,
            "cached": functools.partial(CachedFeatureFlagStore, invalidate=True),
        }[kind]

        def make() -> Any:
            store = wrap(self.connect(through))
            assert FeatureFlagClient(store).is_enabled("x")
            return store

        def is_gone() -> bool:
            gc.collect()
            left = [one for one in own_threads() if not one.name.startswith("proxy-")]
            return not left and not proxy.clients()

        stores = [make() for _ in range(20)]
        time.sleep(0.1)  # until their threads wait for changes
        stores.clear()
        dropped = time.monotonic()
        eventually(is_gone)
        # Without waiting for the last answer, for which Consul takes 30 seconds.
        assert time.monotonic() - dropped < 25

    def program(
        self, code: str, address: Address
    ) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
        """Run a program that uses inner stores of this class."""
        rules = type(self)
        return run_program(code, rules.__module__, rules.__qualname__, address)


def is_live(store: SyncedFeatureFlagStore) -> bool:
    """Return whether changes are reported to a store."""
    return store.status().state == "live"


def wait_until_calm(reads: list[str]) -> None:
    """Wait until nothing was read for a while."""
    known = -1
    while known != len(reads):
        known = len(reads)
        time.sleep(0.7)  # longer than the store waits for a change before it asks again
