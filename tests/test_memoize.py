# SPDX-License-Identifier: Apache-2.0
"""`memoize` and `preload`: one answer and one read for each flag of a request."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import itertools
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
import redis

from flipper import (
    CachedFeatureFlagStore,
    Condition,
    FeatureFlagClient,
    FlagDoesNotExistError,
    MemoryFeatureFlagStore,
    RedisFeatureFlagStore,
    SyncedFeatureFlagStore,
)
from flipper.bucketing import (
    ConsistentHashPercentageBucketer,
    LinearRampPercentage,
    PercentageBucketer,
)
from flipper.bucketing.base import AbstractBucketer
from flipper.contracts import circuit_breaker
from flipper.contracts.circuit_breaker import current_reader
from flipper.exceptions import FlipperError, InvalidArgumentError
from flipper.explanation import Reason
from flipper.memoizing.answers import has_fixed_answers
from flipper.memoizing.memo import Memo
from flipper.rules import Rollout, Rule, Rules, Split
from flipper.testing import override_flags
from support.custom_stores import CustomStore, ForwardingStore, RemoteStore
from test_speed_guard import Workload, calls_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from servers import RedisServer

QUESTIONS: dict[str, Callable[[FeatureFlagClient, str], Any]] = {
    "is_enabled": lambda client, name: client.is_enabled(name),
    "variant": lambda client, name: bool(client.variant(name, False)),
    "explain": lambda client, name: client.explain(name).enabled,
    "handle": lambda client, name: client.get(name).is_enabled(),
    "evaluate_all": lambda client, name: client.evaluate_all()[name],
    "evaluate_all of names": lambda client, name: client.evaluate_all(names=[name])[
        name
    ],
}


@pytest.fixture
def store() -> ForwardingStore:
    """Return a store that counts its calls, with flags that are on and off."""
    store = ForwardingStore()
    store.flags.create("ON", is_enabled=True)
    store.flags.create("OFF")
    return store


@pytest.fixture
def client(store: ForwardingStore) -> FeatureFlagClient:
    """Return a client of the store."""
    return FeatureFlagClient(store)


# One state and one read


@pytest.mark.parametrize("second", QUESTIONS)
@pytest.mark.parametrize("first", QUESTIONS)
def test_a_flag_keeps_its_state_and_is_read_once(
    client: FeatureFlagClient, store: ForwardingStore, first: str, second: str
) -> None:
    """All questions in a block have the same answer, whichever come first."""
    with client.memoize():
        assert QUESTIONS[first](client, "ON") is True
        store.flags.set("ON", False)
        assert QUESTIONS[second](client, "ON") is True
        assert client.is_enabled("ON", user_id=2) is True
    assert len(store.calls) <= 1
    assert client.is_enabled("ON") is False


def test_a_missing_flag_stays_missing(
    client: FeatureFlagClient, store: ForwardingStore
) -> None:
    """A flag that others create meanwhile is not there before the next block."""
    with client.memoize():
        assert client.is_enabled("NEW", default="default") == "default"
        store.flags.create("NEW", is_enabled=True)
        assert client.is_enabled("NEW") is False
        assert client.explain("NEW").reason is Reason.MISSING
        assert "NEW" not in client.evaluate_all()
    assert client.is_enabled("NEW") is True


def test_all_flags_stay_as_they_were_listed(
    client: FeatureFlagClient, store: ForwardingStore
) -> None:
    """Neither new nor deleted flags change the answer of `evaluate_all`."""
    with client.memoize():
        assert client.is_enabled("OFF") is False
        store.flags.delete("OFF")
        expected = {"ON": True, "OFF": False}
        assert client.evaluate_all() == expected
        store.flags.create("NEW", is_enabled=True)
        store.flags.delete("ON")
        with mock.patch.object(store, "list", side_effect=AssertionError):
            assert client.evaluate_all() == expected
        assert client.is_enabled("NEW") is False
        assert client.is_enabled("ON") is True
        client.create("OWN", is_enabled=True)
        assert client.evaluate_all() == {**expected, "OWN": True}
    assert client.evaluate_all() == {"NEW": True, "OWN": True}


def test_names_that_cannot_be_flags_are_asked_of_the_store(
    client: FeatureFlagClient, store: ForwardingStore
) -> None:
    """What cannot be a name gives the default, as outside of a block."""
    with client.memoize():
        for name in ([], 1, None):
            assert client.is_enabled(name, "default") == "default"  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize(
    "wrap",
    [
        CachedFeatureFlagStore,
        SyncedFeatureFlagStore,
        lambda store: MemoryFeatureFlagStore(),
    ],
)
def test_stores_in_memory_are_memoized_as_well(wrap: Callable[[Any], Any]) -> None:
    """They answer quickly, but their flags change at any time."""
    store = wrap(MemoryFeatureFlagStore())
    client, other = FeatureFlagClient(store), FeatureFlagClient(store)
    client.create("X", is_enabled=True)
    with client.memoize():
        assert client.is_enabled("X") is True
        other.disable("X")
        assert client.is_enabled("X") is True
        assert other.is_enabled("X") is False
    assert client.is_enabled("X") is False
    if hasattr(store, "close"):
        store.close()


# One answer to the same question


class Alternating(AbstractBucketer):
    """A bucketer of an application, which is on every second time."""

    def __init__(self) -> None:
        self.answers = itertools.cycle([True, False])

    @classmethod
    def get_type(cls) -> str:
        """Return its type."""
        return cls.__name__

    def to_dict(self) -> dict[str, Any]:
        """Return its plain data."""
        return super().to_dict()

    @classmethod
    def from_dict(cls, fields: Any) -> Alternating:
        """Make one of its plain data."""
        return cls()

    def check(self, **_: Any) -> bool:
        """Decide."""
        return next(self.answers)


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_random_answer_is_drawn_once(name: str) -> None:
    """A random bucketer draws once in a block for the same arguments."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("X", is_enabled=True)
    client.set_bucketer("X", PercentageBucketer(0.5))
    drawn = set()
    for _ in range(60):
        with client.memoize():
            answers = {QUESTIONS[name](client, "X") for _ in range(5)}
            answers |= {question(client, "X") for question in QUESTIONS.values()}
        assert len(answers) == 1
        drawn |= answers
    assert drawn == {True, False}


def test_other_arguments_are_another_question() -> None:
    """Values of other types are other arguments, and unhashable ones are allowed."""
    client = FeatureFlagClient(store := MemoryFeatureFlagStore())
    client.create("X", is_enabled=True)
    meta = store.get("X").raw_meta  # type: ignore[union-attr]  # it exists
    meta.bucketer = Alternating()
    store.set_meta("X", meta)
    with client.memoize():
        values: list[Any] = [1, True, 1.0, "1", [1], {"a": [1]}, None]
        answers = [client.is_enabled("X", user_id=value) for value in values]
        assert answers == [True, False, True, False, True, False, True]
        again = [client.is_enabled("X", user_id=value) for value in values]
        assert again == answers
        client.is_enabled("X", a=1, b=2)
        assert client.is_enabled("X", b=2, a=1) is client.is_enabled("X", a=1, b=2)


def test_a_prerequisite_is_one_answer_too() -> None:
    """A flag that depends on a random flag agrees with it."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    for name in ("RANDOM", "DEPENDENT"):
        client.create(name, is_enabled=True)
    client.set_bucketer("RANDOM", PercentageBucketer(0.5))
    client.add_condition("DEPENDENT", Condition(RANDOM__enabled=True))
    for _ in range(30):
        with client.memoize():
            first = client.is_enabled("DEPENDENT")
            assert client.is_enabled("RANDOM") is first
            assert client.explain("DEPENDENT").enabled is first


def test_a_write_to_a_prerequisite_is_seen() -> None:
    """What was memoized of a flag that depends on the written one is forgotten."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    for name in ("A", "B"):
        client.create(name, is_enabled=True)
    ramp = PercentageBucketer(LinearRampPercentage(1, 1, 60))
    client.set_bucketer("B", ramp)
    client.add_condition("B", Condition(A__enabled=True))
    with client.memoize():
        assert client.is_enabled("B") is True
        client.disable("A")
        assert client.is_enabled("B") is False


VARYING: dict[str, Any] = {
    "random": PercentageBucketer(0.5),
    "ramp": ConsistentHashPercentageBucketer(
        key_whitelist=["user_id"], percentage=LinearRampPercentage(0, 1, 60)
    ),
    "own": Alternating(),
    "rules": Rules([Rule(None, Rollout(LinearRampPercentage(0, 1, 60), "user_id"))]),
    "otherwise": Rules(
        [Rule(Condition(a=1), True)], Rollout(LinearRampPercentage(0, 1, 9), "user_id")
    ),
    "expression": Rules(
        [
            Rule(
                Condition(a=1) & ~Rollout(LinearRampPercentage(0, 1, 60), "user_id"),
                True,
            )
        ]
    ),
}
FIXED: dict[str, Any] = {
    "consistent": ConsistentHashPercentageBucketer(
        key_whitelist=["user_id"], percentage=0.5
    ),
    "rules": Rules([Rule(Condition(a__gt=1), Rollout(0.5, "user_id"))], "off"),
    "split": Rules([Rule(None, Split({"a": 0.5, "b": 0.5}, "user_id"))]),
    "none": None,
}


@pytest.mark.parametrize(
    ("kind", "is_fixed"),
    [*[(kind, False) for kind in VARYING], *[(kind, True) for kind in FIXED]],
)
def test_only_answers_that_vary_are_memoized(kind: str, is_fixed: bool) -> None:
    """Most flags decide faster than a table of their answers can be read."""
    decided_by = (FIXED if is_fixed else VARYING)[kind]
    client = FeatureFlagClient(store := MemoryFeatureFlagStore())
    client.create("X", is_enabled=True)
    client.add_condition(
        "X", Condition(seats__gt=3, plan="pro", since__before="2030-01-01")
    )
    if isinstance(decided_by, Rules):
        client.set_rules("X", decided_by)
    else:
        meta = store.get("X").raw_meta  # type: ignore[union-attr]  # it exists
        meta.bucketer = decided_by or meta.bucketer
        store.set_meta("X", meta)
    item: Any = store.get("X")
    assert has_fixed_answers(item) is is_fixed


def test_a_condition_of_the_application_may_vary() -> None:
    """Nobody knows how its class decides."""

    class Own(Condition):
        pass

    client = FeatureFlagClient(store := MemoryFeatureFlagStore())
    client.create("X", is_enabled=True)
    client.add_condition("X", Own(a=1))
    item: Any = store.get("X")
    assert not has_fixed_answers(item)


# Writes


WRITES: dict[str, Callable[[FeatureFlagClient], object]] = {
    "enable": lambda client: client.enable("OFF"),
    "create": lambda client: client.create("OFF", is_enabled=True),
    "handle": lambda client: client.get("OFF").enable(),
    "rules": lambda client: (client.set_rules("OFF", None), client.enable("OFF")),
    "conditions": lambda client: (
        client.set_conditions("OFF", []),
        client.enable("OFF"),
    ),
}


@pytest.mark.parametrize("listens", [False, True])
@pytest.mark.parametrize("kind", [ForwardingStore, MemoryFeatureFlagStore, CustomStore])
@pytest.mark.parametrize("write", WRITES)
def test_a_write_by_the_client_is_seen(
    kind: Callable[[], Any], write: str, listens: bool
) -> None:
    """A program that changes a flag acts on the changed flag."""
    client = FeatureFlagClient(kind())
    client.create("OFF")
    if listens:
        client.events.on("post_enable", lambda *_: None)
    with client.memoize():
        with client.memoize():
            assert client.is_enabled("OFF") is False
            WRITES[write](client)
            assert client.is_enabled("OFF") is True
            assert client.evaluate_all() == {"OFF": True}
        assert client.is_enabled("OFF") is True
        client.destroy("OFF")
        assert client.is_enabled("OFF", default="default") == "default"
        with pytest.raises(FlagDoesNotExistError):
            client.enable("OFF")


def test_writes_of_others_are_not_seen(client: FeatureFlagClient) -> None:
    """A block belongs to its thread: a write in another one does not end its answer."""
    with client.memoize():
        assert client.is_enabled("ON") is True
        thread = threading.Thread(target=client.disable, args=["ON"])
        thread.start()
        thread.join()
        assert client.is_enabled("ON") is True
    assert client.is_enabled("ON") is False


def test_a_read_that_began_before_a_write_is_not_kept(
    client: FeatureFlagClient, store: ForwardingStore
) -> None:
    """The flag may have been read before it was written."""
    with client.memoize():
        get = store.flags.get

        def write_meanwhile(name: str) -> Any:
            item = get(name)
            store.flags.get = get
            client.disable("ON")
            return item

        store.flags.get = write_meanwhile
        assert client.is_enabled("ON") is True
        assert client.is_enabled("ON") is False


# Overrides and hooks of tests


def test_overrides_are_seen(client: FeatureFlagClient) -> None:
    """A test may override a flag within a block, as before it."""
    with override_flags(client, OFF=True), client.memoize():
        assert client.is_enabled("OFF") is True
        with override_flags(client, ON=False, COLOUR="blue"):
            assert client.is_enabled("ON") is False
            assert client.variant("COLOUR") == "blue"
            expected = {"ON": False, "OFF": True, "COLOUR": "blue"}
            assert client.evaluate_all() == expected
        assert client.is_enabled("ON") is True
    assert client.is_enabled("OFF") is False


# Blocks


def test_a_block_within_a_block_has_the_same_answers(
    client: FeatureFlagClient, store: ForwardingStore
) -> None:
    """A function that memoizes may be called by another one that does."""
    with client.memoize():
        with client.memoize():
            assert client.is_enabled("ON") is True
        store.flags.set("ON", False)
        assert client.is_enabled("ON") is True
        with client.memoize():
            assert client.is_enabled("ON") is True
            assert client.evaluate_all() == {"ON": True, "OFF": False}
        store.flags.delete("OFF")
        assert client.evaluate_all() == {"ON": True, "OFF": False}
    assert store.calls == ["get"]
    assert client.is_enabled("ON") is False


def test_a_block_ends_after_an_error(
    client: FeatureFlagClient, store: ForwardingStore
) -> None:
    """An error in a request has no effect on the next one."""
    block = client.memoize()

    def fail() -> None:
        with block:
            assert client.is_enabled("ON") is True
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    store.flags.set("ON", False)
    assert client.is_enabled("ON") is False
    with block:  # it may be used again, one time after the other
        assert client.is_enabled("ON") is False


def test_a_block_cannot_begin_twice_at_once(client: FeatureFlagClient) -> None:
    """An object that is shared by two requests would mix them up."""
    block = client.memoize()
    with block, pytest.raises(FlipperError, match="has begun already"):
        block.__enter__()
    block.__exit__(None, None, None)  # has no effect once it is over


def test_a_block_may_end_in_another_context(
    client: FeatureFlagClient, store: ForwardingStore
) -> None:
    """Frameworks end generators in other contexts than they begin them."""
    block = client.memoize()
    here = contextvars.copy_context()
    here.run(block.__enter__)
    assert here.run(client.is_enabled, "ON") is True
    store.flags.set("ON", False)
    assert here.run(client.is_enabled, "ON") is True
    contextvars.copy_context().run(block.__exit__, None, None, None)
    assert here.run(client.is_enabled, "ON") is False


def test_clients_do_not_share_a_block(store: ForwardingStore) -> None:
    """A block holds for the client that began it."""
    first, second = FeatureFlagClient(store), FeatureFlagClient(store)
    with second.memoize():
        pass
    with first.memoize():
        assert (first.is_enabled("ON"), second.is_enabled("ON")) == (True, True)
        store.flags.set("ON", False)
        assert (first.is_enabled("ON"), second.is_enabled("ON")) == (True, False)


def test_a_client_that_memoized_is_freed(client: FeatureFlagClient) -> None:
    """Nothing of a block keeps a client or a flag alive."""
    own = FeatureFlagClient(MemoryFeatureFlagStore())
    own.create("X", is_enabled=True)
    with own.memoize(), own.context(a=1):
        own.is_enabled("X")
    reference = weakref.ref(own)
    del own
    gc.collect()
    assert reference() is None


# Threads and tasks


def test_each_thread_has_its_own_block(store: ForwardingStore) -> None:
    """Requests in threads see each its own state, and all reads are one per request."""
    client = FeatureFlagClient(store)
    barrier = threading.Barrier(8)

    def request(number: int) -> None:
        barrier.wait(10)
        for _ in range(30):
            with client.memoize():
                first = client.is_enabled("ON")
                store.flags.set("ON", number % 2 == 0)
                for _ in range(5):
                    assert client.is_enabled("ON") is first

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(request, range(8)))
    assert store.calls == ["get"] * 8 * 30


@pytest.mark.usefixtures("threads_switch_often")
def test_threads_of_one_request_get_one_answer(store: ForwardingStore) -> None:
    """Threads that run in copies of the context belong to the request."""
    client = FeatureFlagClient(store)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(50):
            with client.memoize():
                contexts = [contextvars.copy_context() for _ in range(8)]
                answers = []
                for number, context in enumerate(contexts):
                    pool.submit(store.flags.set, "ON", number % 2 == 0)
                    asked = pool.submit(context.run, client.is_enabled, "ON")
                    answers.append(asked)
                assert len({each.result() for each in answers}) == 1


def test_each_task_has_its_own_block(store: ForwardingStore) -> None:
    """Requests in tasks see each its own state; tasks of a request share it."""
    client = FeatureFlagClient(store)

    async def ask(expected: bool) -> None:
        await asyncio.sleep(0)
        assert client.is_enabled("ON") is expected

    async def request(number: int) -> None:
        with client.memoize():
            first = client.is_enabled("ON")
            store.flags.set("ON", number % 2 == 0)
            await asyncio.gather(*(ask(first) for _ in range(3)))
            await asyncio.to_thread(lambda: asyncio.run(ask(first)))
            assert client.is_enabled("ON") is first

    async def serve() -> None:
        await asyncio.gather(*map(request, range(20)))

    asyncio.run(serve())
    assert store.calls == ["get"] * 20


def test_a_task_that_outlives_its_request_reads_again(store: ForwardingStore) -> None:
    """A background task must not answer by the state of an old request for ever."""
    client = FeatureFlagClient(store)

    async def run_on(is_over: asyncio.Event) -> None:
        with client.memoize():
            assert client.is_enabled("ON") is True
            await is_over.wait()
            store.flags.set("ON", False)
            assert client.is_enabled("ON") is True  # its own block is not over
            assert client.is_enabled("OFF") is False
        assert client.is_enabled("ON") is False
        with client.memoize():
            assert client.is_enabled("ON") is False
            assert client.evaluate_all() == {"ON": False, "OFF": False}

    async def serve() -> None:
        is_over = asyncio.Event()
        with client.memoize():
            assert client.is_enabled("ON") is True
            task = asyncio.ensure_future(run_on(is_over))
            await asyncio.sleep(0)
        is_over.set()
        await task

    asyncio.run(serve())


# A store that fails


def test_a_failure_is_one_answer_as_well(caplog: pytest.LogCaptureFixture) -> None:
    """A store that answers again in the middle of a request changes no answer."""
    store = CustomStore()
    client = FeatureFlagClient(store)
    for name in ("KNOWN", "UNKNOWN"):
        client.create(name, is_enabled=True)
    client._source.record_write("UNKNOWN", None)
    error = store.failure = ValueError("no")
    with client.memoize():
        for _ in range(2):
            with client.memoize():
                assert client.is_enabled("KNOWN") is True
                assert client.is_enabled("UNKNOWN", default="default") == "default"
                assert client.explain("UNKNOWN").reason is Reason.ERROR
                assert client.explain("UNKNOWN").error is error
                assert client.explain("KNOWN").error is error
                assert client.variant("KNOWN") is True
            store.failure = None
        assert client.is_enabled("UNKNOWN", default="default") == "default"
        client.disable("KNOWN")  # a write is seen all the same
        assert client.is_enabled("KNOWN") is False
    assert client.is_enabled("UNKNOWN") is True
    caplog.clear()


def test_a_client_that_raises_asks_again() -> None:
    """With `on_error="raise"` each question raises what the store raises then."""
    store = CustomStore()
    client = FeatureFlagClient(store, on_error="raise")
    client.create("X", is_enabled=True)
    store.failure = ValueError("no")
    with client.memoize():
        for _ in range(2):
            with pytest.raises(ValueError, match="no"):
                client.is_enabled("X")
            with pytest.raises(ValueError, match="no"):
                client.preload(["X"])
        with pytest.raises(ValueError, match="no"), client.memoize(preload=["X"]):
            raise AssertionError
        store.failure = None
        assert client.is_enabled("X") is True


def test_an_outage_is_one_answer_for_all_flags() -> None:
    """`evaluate_all` keeps the last known states until the block ends."""
    store = RemoteStore()
    client = FeatureFlagClient(store)
    client.create("X", is_enabled=True)
    store.failure = ConnectionError("down")
    fails = mock.patch.object(store, "list", side_effect=ConnectionError("down"))
    with fails, client.memoize():
        assert client.evaluate_all() == {"X": True}
        assert client.is_enabled("X") is True
        store._items["X"] = store._items["X"].with_state(False)
        assert client.evaluate_all() == {"X": True}
    assert current_reader(store) is not store


def test_prerequisites_that_cannot_be_read_have_the_error_of_the_store() -> None:
    """The reason is what the store has raised, also the second time."""
    store = CustomStore()
    client = FeatureFlagClient(store)
    client.create("X", is_enabled=True)
    client.add_condition("X", Condition(OTHER__enabled=True))
    with client.memoize():
        client.preload(["X"])
        error = store.failure = ValueError("no")
        for _ in range(2):
            assert client.explain("X").error is error
            assert client.is_enabled("X") is False


# preload


def test_preload_reads_flags_that_are_not_known(
    client: FeatureFlagClient, store: ForwardingStore
) -> None:
    """Flags are read once, wherever they are asked for first."""
    with client.memoize(preload=["ON", "MISSING", "ON"]):
        assert store.calls == ["get", "get"]
        store.flags.set("ON", False)
        with client.memoize(preload=iter(["ON", "OFF"])):
            assert store.calls == ["get"] * 3
        client.preload(("ON", "OFF", "MISSING"))
        client.preload([])
        answers = [client.is_enabled(name) for name in ("ON", "OFF", "MISSING")]
        assert answers == [True, False, False]
        names = ["ON", "OTHER"]
        assert client.evaluate_all(names=iter(names)) == {"ON": True, "OTHER": False}
    assert store.calls == ["get"] * 4
    client.preload(["ON"])  # has no effect outside of a block
    assert store.calls == ["get"] * 4
    assert FeatureFlagClient(store).preload(["ON"]) is None  # type: ignore[func-returns-value]  # on purpose


@pytest.mark.parametrize("names", ["ON", 3, [1], None])
def test_names_to_preload_are_a_list(client: FeatureFlagClient, names: Any) -> None:
    """A single name would be taken for a list of letters."""
    with pytest.raises(InvalidArgumentError, match="is no list of feature names"):
        client.preload(names)
    if names:
        with pytest.raises(InvalidArgumentError, match="is no list of feature names"):
            client.memoize(preload=names)


def test_preload_during_an_outage_opens_the_circuit_breaker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Then no flag waits for the server, and the last known states answer."""
    # Otherwise its thread may read the store, too, before the test looks.
    monkeypatch.setattr(circuit_breaker, "_FIRST_PAUSE", 60)
    store = RemoteStore()
    client = FeatureFlagClient(store)
    client.create("X", is_enabled=True)
    store.failure = ConnectionError("down")
    store.reads = 0
    with client.memoize(preload=["X", "Y", "Z"]):
        assert store.reads == 1
        assert [client.is_enabled(name) for name in "XYZ"] == [True, False, False]
        client.preload(["V", "W"])
    assert current_reader(store) is not store


def test_preload_leaves_other_errors_to_the_questions() -> None:
    """An error that may concern one flag is that of this flag."""
    store = CustomStore()
    client = FeatureFlagClient(store)
    client.create("X", is_enabled=True)
    store.failure = ValueError("no")
    with client.memoize(preload=["X"]):
        store.failure = None
        assert client.is_enabled("X") is True


@pytest.fixture
def redis_client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """Return a client of Redis."""
    with redis.Redis(redis_server.host, redis_server.port) as client:
        yield client


@pytest.mark.redis
def test_a_request_is_one_command_of_redis(redis_client: redis.Redis) -> None:
    """All flags of a request take one MGET, however often they are asked."""
    store = RedisFeatureFlagStore(redis_client, "test-memoize")
    client = FeatureFlagClient(store)
    names = [f"flag-{number}" for number in range(10)]
    for name in names[::2]:
        client.create(name, is_enabled=True)
    execute = redis_client.execute_command
    spy = mock.patch.object(redis_client, "execute_command", wraps=execute)
    with spy as spied, client.memoize(preload=names):
        for _ in range(3):
            answers = [client.is_enabled(name) for name in names]
            assert answers == [True, False] * 5
        all_answers = client.evaluate_all(names=names)
        assert all_answers == dict(zip(names, answers, strict=True))
    assert [call.args[0] for call in spied.mock_calls] == ["MGET"]


# Cost


def test_a_client_that_does_not_memoize_pays_nothing(store: ForwardingStore) -> None:
    """The costs of `is_enabled` are those of a client that cannot memoize."""
    memory = MemoryFeatureFlagStore()
    memory.create("X", is_enabled=True)
    client, other = FeatureFlagClient(memory), FeatureFlagClient(memory)
    with other.memoize(), other.context(a=1):
        before = calls_of(Workload(lambda: client.is_enabled("X")))
    assert len(before) == 2
    assert client._reader is client._store_reader


def test_a_second_question_costs_no_more_than_the_first() -> None:
    """Both are answered from memory, but the second one reads no store."""
    memory = MemoryFeatureFlagStore()
    client = FeatureFlagClient(memory)
    client.create("X", is_enabled=True)
    client.create("Y", is_enabled=True)
    client.add_condition("Y", Condition(plan="pro"))
    for name in "XY":

        def ask(name: str = name) -> Any:
            return client.is_enabled(name, plan="pro")

        def ask_first(ask: Callable[[], Any] = ask) -> None:
            with client.memoize():
                ask()

        def begin() -> None:
            with client.memoize():
                pass

        first = len(calls_of(Workload(ask_first))) - len(calls_of(Workload(begin)))
        with client.memoize():
            ask()
            second = len(calls_of(Workload(ask)))
        assert second <= first
        assert second <= 5


def test_a_block_costs_few_calls(client: FeatureFlagClient) -> None:
    """A request that asks for no flag pays for the block only."""

    def begin() -> None:
        with client.memoize():
            pass

    begin()
    assert len(calls_of(Workload(begin))) <= 11


def test_a_block_does_not_keep_what_was_read_before_a_write_of_another_thread() -> None:
    """A write between the last look at it and the keeping is noticed."""

    class Interrupted(Memo):
        def setdefault(self, *arguments: Any) -> Any:
            self.forget("x")
            return super().setdefault(*arguments)

    memo = Interrupted()
    assert memo.put("x", "before", memo.last_write) == "before"
    assert "x" not in memo
