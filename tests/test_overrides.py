# SPDX-License-Identifier: Apache-2.0
"""Flags that a test overrides by `override_flags`."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import os
import signal
import threading
import weakref
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from flipper import (
    Condition,
    FeatureFlagClient,
    FlagDoesNotExistError,
    MemoryFeatureFlagStore,
)
from flipper.decorators import is_enabled
from flipper.exceptions import InvalidArgumentError
from flipper.explanation import Reason
from flipper.overrides import OverriddenFlag, listen_to_missing_flags
from flipper.runtime.patching import refresh_readers
from flipper.testing import override_flags

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def client() -> FeatureFlagClient:
    """Return a client with a flag that is on and a flag that is off."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    client.create("ON", is_enabled=True)
    client.create("OFF")
    return client


# Answers


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize("name", ["ON", "OFF", "MISSING", "with-hyphen", "client"])
def test_an_override_switches_a_flag(
    client: FeatureFlagClient, name: str, value: bool
) -> None:
    """The answer is that of the override, whether or not the flag exists."""
    before = client.is_enabled(name)
    with override_flags(client, **{name: value}):
        assert client.is_enabled(name, default=not value) is value
        assert client.is_enabled(name, default=not value, user_id=1) is value
        assert client.get(name).is_enabled() is value
    assert client.is_enabled(name) is before


def test_other_flags_are_answered_as_before(client: FeatureFlagClient) -> None:
    """An override of one flag changes no answer about another."""
    with override_flags(client, X=True):
        assert client.is_enabled("ON") is True
        assert client.is_enabled("OFF") is False
        assert client.is_enabled("MISSING", default="default") == "default"
        client.enable("OFF")
        assert client.is_enabled("OFF") is True


def test_explain_names_the_override(client: FeatureFlagClient) -> None:
    """The reason says that a test decided."""
    with override_flags(client, ON=False):
        evaluation = client.explain("ON", user_id=1)
    assert (evaluation.enabled, evaluation.reason) == (False, Reason.OVERRIDDEN)
    assert str(evaluation) == "Feature 'ON' is off: a test overrides it."


def test_conditions_of_the_flag_do_not_matter(client: FeatureFlagClient) -> None:
    """An override answers for all arguments."""
    client.add_condition("ON", Condition(plan="pro"))
    with override_flags(client, ON=True):
        assert client.is_enabled("ON", plan="free") is True


@pytest.mark.parametrize("value", ["blue", "", 0, 1, 0.0, [], {"size": 3}])
def test_a_value_that_is_no_bool_is_a_variant(
    client: FeatureFlagClient, value: Any
) -> None:
    """A flag with a variant is on, also if Python takes the value for false."""
    with override_flags(client, COLOUR=value) as flags:
        assert client.is_enabled("COLOUR") is True
        assert flags["COLOUR"] == value
    flag = OverriddenFlag("COLOUR", value)
    assert flag.variant("default") == value
    assert flag.is_enabled(user_id=1) is True


def test_variants_are_overridden(client: FeatureFlagClient) -> None:
    """`variant` and `evaluate_all` answer as for flags without rules, or the value."""
    with override_flags(client, OFF=True, Y=False, Z="blue"):
        values = [client.variant(name, "default") for name in ("ON", "OFF", "Y", "Z")]
        assert values == [True, True, "default", "blue"]
        all_values = {"ON": True, "OFF": True, "Y": False, "Z": "blue"}
        assert client.evaluate_all() == all_values
        assert client.evaluate_all(names=["Z", "ON"]) == {"Z": "blue", "ON": True}


def test_nobody_shares_the_value_of_a_variant(client: FeatureFlagClient) -> None:
    """A change of the value that was given or returned changes no answer."""
    given = {"sizes": [1]}
    with override_flags(client, X=given) as flags:
        given["sizes"].append(2)
        flags["X"]["sizes"].append(3)
        assert flags["X"] == {"sizes": [1]}


def test_the_decorator_of_views_sees_the_override(client: FeatureFlagClient) -> None:
    """A function under a flag is called if the override is on."""
    view = is_enabled(client, "OFF", redirect=lambda: "old")(lambda: "new")
    with override_flags(client, OFF=True):
        assert view() == "new"
    assert view() == "old"


# Nothing is written


def test_nothing_is_written(client: FeatureFlagClient) -> None:
    """The store is not called, no event is emitted, and reads show the store."""
    store = mock.Mock(wraps=MemoryFeatureFlagStore())
    features = FeatureFlagClient(store)
    features.events = mock.Mock()
    with override_flags(features, X=True) as flags:
        flags["Y"] = "blue"
        assert features.is_enabled("X")
        assert features.is_enabled("Y")
        assert not store.method_calls
        assert not features.exists("X")
        with pytest.raises(FlagDoesNotExistError):
            features.get_meta("X")
        assert list(features.list()) == []
    assert not features.events.method_calls


def test_a_write_during_an_override_is_kept(client: FeatureFlagClient) -> None:
    """The override hides a write until it ends."""
    with override_flags(client, OFF=False):
        client.enable("OFF")
        assert client.is_enabled("OFF") is False
    assert client.is_enabled("OFF") is True


def test_without_an_override_the_client_reads_as_always(
    client: FeatureFlagClient,
) -> None:
    """Before and after an override, questions call the very object that they did."""
    reader = client._reader
    with override_flags(client, X=True):
        assert client._reader is not reader
    assert client._reader is reader


# Nesting and ending


def test_the_inner_override_takes_precedence(client: FeatureFlagClient) -> None:
    """The outer one counts again as soon as the inner one has ended."""
    with override_flags(client, X=True, Y=True):
        with override_flags(client, X=False):
            assert (client.is_enabled("X"), client.is_enabled("Y")) == (False, True)
        assert client.is_enabled("X") is True
    assert client.is_enabled("X") is False


def test_overrides_may_end_in_any_order(client: FeatureFlagClient) -> None:
    """Tasks that run side by side do not end their overrides in reverse order."""
    first, second = override_flags(client, X=True), override_flags(client, Y=True)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert (client.is_enabled("X"), client.is_enabled("Y")) == (False, True)
    second.__exit__(None, None, None)
    assert client.is_enabled("Y") is False


def test_one_object_may_be_entered_twice(client: FeatureFlagClient) -> None:
    """Each `with` block ends its own override."""
    override = override_flags(client, X=True)
    with override:
        with override:
            assert client.is_enabled("X")
        assert client.is_enabled("X")
    assert not client.is_enabled("X")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_an_override_ends_after_any_error(
    client: FeatureFlagClient, error: type[BaseException]
) -> None:
    """A failed test leaves nothing behind for the next."""
    with pytest.raises(error), override_flags(client, X=True):
        raise error
    assert not client.is_enabled("X")


def test_two_clients_do_not_share_overrides(client: FeatureFlagClient) -> None:
    """An override concerns one client, even if another one has the same store."""
    store = MemoryFeatureFlagStore()
    first, second = FeatureFlagClient(store), FeatureFlagClient(store)
    with override_flags(first, X=True):
        assert (first.is_enabled("X"), second.is_enabled("X")) == (True, False)


def test_the_dict_of_an_override_can_be_changed(client: FeatureFlagClient) -> None:
    """Each change takes effect at once, and all end with the override."""
    with override_flags(client, ON=False) as flags:
        flags["OFF"] = True
        flags.update(X=True, COLOUR="blue")
        assert [*flags] == ["ON", "OFF", "X", "COLOUR"]
        assert client.is_enabled("OFF")
        assert client.is_enabled("X")
        del flags["ON"]
        assert client.is_enabled("ON") is True
        with pytest.raises(KeyError):
            flags["ON"]
        assert "COLOUR': 'blue'" in repr(flags)
    assert not client.is_enabled("OFF")
    assert not client.is_enabled("X")


def test_no_client_is_kept(client: FeatureFlagClient) -> None:
    """After its override, a client is deleted as soon as nobody uses it."""
    with override_flags(client, X=True):
        pass
    other = FeatureFlagClient(MemoryFeatureFlagStore())
    with override_flags(other, X=True):
        reference = weakref.ref(other)
    del other
    gc.collect()
    assert reference() is None


# Threads, tasks and processes


def test_other_threads_see_the_override(client: FeatureFlagClient) -> None:
    """Views run in threads of a server that may have started before the test."""
    asked, overridden = threading.Event(), threading.Event()
    answers = []

    def serve() -> None:
        answers.append(client.is_enabled("X"))
        asked.set()
        overridden.wait(30)
        answers.append(client.is_enabled("X"))

    thread = threading.Thread(target=serve)
    thread.start()
    assert asked.wait(30)
    with override_flags(client, X=True):
        overridden.set()
        thread.join(30)
    assert answers == [False, True]


def test_an_override_that_begins_while_the_reader_changes_is_kept() -> None:
    """A thread that is about to write an older reader does not end the override."""
    changing, overridden = threading.Event(), threading.Event()
    slow: list[threading.Thread] = []

    class SlowClient(FeatureFlagClient):
        @property
        def _reader(self) -> Any:
            return vars(self)["reader"]

        @_reader.setter
        def _reader(self, reader: Any) -> None:
            if threading.current_thread() in slow:
                changing.set()
                # The override waits for this write. If it did not, this would wait for
                # the override, and then write over it.
                overridden.wait(0.2)
            vars(self)["reader"] = reader

    features = SlowClient(MemoryFeatureFlagStore())
    slow.append(threading.Thread(target=features.refresh_reader))
    slow[0].start()
    assert changing.wait(30)
    with override_flags(features, X=True):
        overridden.set()
        slow[0].join(30)
        assert features.is_enabled("X") is True
    assert features.is_enabled("X") is False


@pytest.mark.usefixtures("threads_switch_often")
def test_overrides_in_many_threads_do_not_undo_each_other(
    client: FeatureFlagClient,
) -> None:
    """Every thread sees its own override, while others change the reader too."""
    wrong = []
    done = threading.Event()

    def override(name: str) -> None:
        for _ in range(200):
            with override_flags(client, **{name: True}):
                if not client.is_enabled(name):
                    wrong.append(name)
            if client.is_enabled(name):
                wrong.append(name)

    def refresh() -> None:
        while not done.is_set():
            refresh_readers()

    threads = [threading.Thread(target=override, args=(f"F{n}",)) for n in range(4)]
    refreshing = threading.Thread(target=refresh)
    for thread in (refreshing, *threads):
        thread.start()
    for thread in threads:
        thread.join(60)
    done.set()
    refreshing.join(60)
    assert not wrong
    assert client._overrides == ()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_keeps_the_override_and_can_end_it(
    client: FeatureFlagClient,
) -> None:
    """A lock that a thread of the parent holds during the fork stops no child."""
    from flipper import overrides

    holds, release = threading.Event(), threading.Event()

    def hold() -> None:
        with overrides._lock:
            holds.set()
            release.wait(30)

    with override_flags(client, X=True) as flags:
        thread = threading.Thread(target=hold)
        thread.start()
        assert holds.wait(30)
        child = os.fork()
        if child == 0:  # pragma: no cover  (in the child)
            signal.alarm(10)  # ends a child that waits for the lock
            code = 1
            with contextlib.suppress(BaseException):
                was_on = client.is_enabled("X")
                client._end_override(flags._flags)
                code = 0 if was_on and not client.is_enabled("X") else 1
            os._exit(code)
        release.set()
        thread.join(30)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# Outages


def test_an_override_outlasts_an_outage() -> None:
    """A flag is overridden before, while and after its store fails."""
    failing = mock.Mock()
    failing.get.side_effect = None
    failing.get.return_value = None
    features = FeatureFlagClient(failing)
    with override_flags(features, X=True):
        assert features.is_enabled("X") is True
        failing.get.side_effect = ConnectionError
        assert features.is_enabled("OTHER", default="default") == "default"
        assert features.is_enabled("X") is True
        failing.get.side_effect = None
        assert features.is_enabled("OTHER", default="default") == "default"
        assert features.is_enabled("X") is True
    assert features.is_enabled("X") is False


def test_an_override_outlasts_a_replaced_method(client: FeatureFlagClient) -> None:
    """A test may also replace `get` of the store while it overrides flags."""
    store = MemoryFeatureFlagStore()
    features = FeatureFlagClient(store)
    with override_flags(features, X=True):
        with mock.patch.object(store, "get", return_value=None) as get:
            assert features.is_enabled("X") is True
            features.is_enabled("OTHER")
            get.assert_called_once_with("OTHER")
        assert features.is_enabled("X") is True


def test_a_name_that_cannot_be_hashed_is_left_to_the_store(
    client: FeatureFlagClient,
) -> None:
    """A wrong question gets the answer that it gets without overrides."""
    name: Any = ["X"]
    before = client.is_enabled(name, default="default")
    with override_flags(client, X=True):
        assert client.is_enabled(name, default="default") == before


# As a decorator


def test_a_decorated_function_is_overridden_during_its_call(
    client: FeatureFlagClient,
) -> None:
    """The function keeps its name and signature, which pytest reads."""

    @override_flags(client, X=True)
    def ask(name: str = "X") -> Any:
        """Ask."""
        return client.is_enabled(name)

    assert not client.is_enabled("X")
    assert ask() is True
    assert not client.is_enabled("X")
    assert (ask.__name__, ask.__doc__) == ("ask", "Ask.")
    assert [*inspect.signature(ask).parameters] == ["name"]


def test_a_decorated_coroutine_function_is_overridden_while_it_runs(
    client: FeatureFlagClient,
) -> None:
    """The override begins with the coroutine and ends with it, also if cancelled."""

    @override_flags(client, X=True)
    async def ask(seconds: float) -> Any:
        await asyncio.sleep(seconds)
        return client.is_enabled("X")

    async def run() -> None:
        waiting = ask(0)
        assert not client.is_enabled("X")
        assert await waiting is True
        assert not client.is_enabled("X")
        task = asyncio.create_task(ask(60))
        await asyncio.sleep(0)
        assert client.is_enabled("X")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not client.is_enabled("X")

    assert inspect.iscoroutinefunction(ask)
    asyncio.run(run())


def test_a_decorated_generator_function_is_overridden_until_its_end(
    client: FeatureFlagClient,
) -> None:
    """A fixture with a `yield` has the override until its teardown is over."""

    @override_flags(client, X=True)
    def fixture() -> Iterator[Any]:
        yield client.is_enabled("X")
        yield client.is_enabled("X")

    assert inspect.isgeneratorfunction(fixture)
    running = fixture()
    assert not client.is_enabled("X")
    assert next(running) is True
    assert client.is_enabled("X")
    assert [*running] == [True]
    assert not client.is_enabled("X")


def test_methods_of_all_kinds_can_be_decorated(client: FeatureFlagClient) -> None:
    """The class and the object are passed as usual."""

    class Tests:
        @override_flags(client, X=True)
        def method(self) -> Any:
            return type(self) is Tests and client.is_enabled("X")

        @override_flags(client, X=True)
        @classmethod
        def of_class(cls) -> Any:
            return cls is Tests and client.is_enabled("X")

        @override_flags(client, X=True)
        @staticmethod
        def static() -> Any:
            return client.is_enabled("X")

    assert [Tests().method(), Tests.of_class(), Tests.static()] == [True] * 3


def test_a_recursive_function_keeps_its_override(client: FeatureFlagClient) -> None:
    """Each call has an override of its own."""

    @override_flags(client, X=True)
    def recurse(depth: int) -> bool:
        return (depth == 0 or recurse(depth - 1)) and bool(client.is_enabled("X"))

    assert recurse(3)
    assert not client.is_enabled("X")


# Mistakes


@pytest.mark.parametrize("value", [None, (1,), b"blue", object()])
def test_a_value_that_no_flag_can_have_is_refused(
    client: FeatureFlagClient, value: Any
) -> None:
    """The error names the flag, the value and the remedy, and nothing is overridden."""
    with pytest.raises(InvalidArgumentError) as raised:
        override_flags(client, GOOD=True, BAD=value)
    assert repr(value) in str(raised.value)
    assert "Feature 'BAD'" in str(raised.value)
    assert "use True or False" in str(raised.value)
    with override_flags(client, X=True) as flags:
        with pytest.raises(InvalidArgumentError):
            flags["X"] = value
        assert client.is_enabled("X") is True


def test_a_name_that_no_flag_can_have_is_refused(client: FeatureFlagClient) -> None:
    """It would never be asked about."""
    with pytest.raises(InvalidArgumentError, match="is empty"):
        override_flags(client, **{"": True})


def test_something_else_than_a_client_is_refused() -> None:
    """A store has no questions to override."""
    store: Any = MemoryFeatureFlagStore()
    message = "needs a FeatureFlagClient, and MemoryFeatureFlagStore is none"
    with pytest.raises(InvalidArgumentError, match=message), override_flags(store):
        pass


def test_what_cannot_be_decorated_is_refused(client: FeatureFlagClient) -> None:
    """Otherwise its tests would not be found, or would run without the override."""

    async def items() -> Any:
        yield 1

    class TestShop:
        """Has no tests."""

    with pytest.raises(TypeError, match="class TestShop; decorate its methods"):
        override_flags(client, X=True)(TestShop)
    with pytest.raises(TypeError, match="async generator function items; write"):
        override_flags(client, X=True)(items)


# The listener


def test_the_listener_hears_of_missing_flags_only(client: FeatureFlagClient) -> None:
    """A flag that exists or is overridden is not missing; answers stay as they are."""
    heard: list[Any] = []
    other = FeatureFlagClient(MemoryFeatureFlagStore())
    listen_to_missing_flags(lambda *asked: heard.append(asked))
    try:
        later = FeatureFlagClient(MemoryFeatureFlagStore())
        assert client.is_enabled("ON") is True
        with override_flags(client, X=True):
            assert client.is_enabled("X") is True
            assert client.is_enabled("Y", default="default") == "default"
        assert client.explain("Z").reason is Reason.MISSING
        other.get("OTHER").is_enabled()
        later.is_enabled("LATER")
        assert not client.exists("NOT_ASKED")
    finally:
        listen_to_missing_flags(None)
    client.is_enabled("AFTER")
    assert heard == [
        *((client, "Y"), (client, "Z")),
        *((other, "OTHER"), (later, "LATER")),
    ]
