# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: ARG002, PLR2004, S101, SLF001  (these are tests)
"""The contract of a store: every promise that a store makes, each as a test.

Subclass `StoreContract` beside your tests and run pytest: see there what to give.
`flipper.contrib.interface` says what the six methods are for.
"""

from __future__ import annotations

import json
import sys
import threading
from contextlib import nullcontext, suppress
from functools import partial
from time import sleep, time
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import pytest

from ..arguments import LONGEST_NAME
from ..bucketing import NoOpBucketer, Percentage, PercentageBucketer
from ..client import FeatureFlagClient
from ..conditions import Condition
from ..contracts import document
from ..contracts.atomic import AtomicFeatureFlagStore, update, updates_atomically
from ..contracts.watch import Watch, WatchRefusedError, watch
from ..contracts.wrapper import FeatureFlagStoreWrapper
from ..contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from ..events import EventType
from ..exceptions import (
    ConcurrentUpdateError,
    FlagDoesNotExistError,
    InvalidFlagDataError,
)
from ..runtime.clock import monotonic
from ..runtime.containers import copy_containers
from .samples import (
    BROKEN_DOCUMENTS,
    BUCKETERS,
    CLIENT_DATA,
    CONDITIONS,
    CONTEXTS,
    DOCUMENT,
    FOREIGN_DOCUMENTS,
    NAMES,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

T = TypeVar("T")

WRITERS = 8
"""How many threads write at once."""
PATIENCE = 60.0
"""Seconds that a test waits for what has to happen, before it calls that a failure."""


class StoreContract:
    """Every promise of a store as a test, to be run by pytest on a store of one's own.

    A subclass whose name begins with `Test` gives `make_store`. It may give
    `close_store`; `write_document` and `read_document`, a back door past the store, so
    that a mistake in writing cannot hide behind its mirror image in reading; and
    `open_again`. Rules that need what is not given are skipped, with the reason. What
    `make_store` needs may come from a fixture of the subclass with `autouse=True`.

    Where a promise depends on what other processes do, they are played by threads, and
    by a rival who writes between the reading and the writing of one change. That needs
    `AtomicFeatureFlagStore`; a store with its own six methods only is asked to lose
    nothing among the threads of one process.
    """

    atomic: ClassVar[bool | None] = None
    """Whether a change is one atomic step for all processes; `None` finds out."""
    longest_name: ClassVar[int] = LONGEST_NAME
    """The longest name that the store bears, in bytes of UTF-8."""
    refused_names: ClassVar[Collection[str]] = ()
    """Values of `NAMES` that the backend cannot keep."""
    broken_is_missing: ClassVar[bool] = False
    """Whether a document that is no flag is taken for none, as in a copy of a list."""
    repetitions: ClassVar[int] = 50
    """How often each thread writes; less makes the tests of a slow store short."""
    seed: ClassVar[int | None] = None
    """Of the random operations; `None` takes a new one each time, and prints it."""

    # -- what a subclass gives ---------------------------------------------------------

    def make_store(self) -> Any:
        """Make a store that is empty, whatever other stores were made before."""
        raise NotImplementedError

    def close_store(self, store: Any) -> None:
        """Give back what the store holds: connections, threads."""

    def write_document(self, store: Any, feature_name: str, document: bytes) -> None:
        """Put these bytes where the store keeps the flag, without asking the store."""
        pytest.skip("a rule about documents, and write_document is not given")

    def read_document(self, store: Any, feature_name: str) -> bytes | None:
        """Return the bytes that the store keeps of the flag, without asking the store.

        `None` if there are none.
        """
        pytest.skip("a rule about documents, and read_document is not given")

    def open_again(self, store: Any) -> Any:
        """Make another store over the same flags, as another process would have it."""
        pytest.skip("a rule about several processes, and open_again is not given")

    @pytest.fixture(autouse=True)
    def no_turns(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let threads meet as processes do, which cannot wait for each other."""
        monkeypatch.setattr(document, "turn", lambda *_: nullcontext())

    @pytest.fixture
    def store(self) -> Iterator[Any]:
        """Give the store of a test, and close it afterwards."""
        store = self.make_store()
        yield store
        self.close_store(store)

    @pytest.fixture
    def client(self, store: Any) -> FeatureFlagClient:
        """Give a client of the store that lets every error out."""
        return FeatureFlagClient(store, on_error="raise")

    @pytest.fixture
    def rival(
        self, store: Any, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[..., AtomicFeatureFlagStore]:
        """Give a function that lets a rival write between a reading and a writing.

        Called with what the rival does, and how many times, it returns the store that
        the rival writes: the innermost, behind every cache.
        """
        raced = innermost(store)
        if not isinstance(raced, AtomicFeatureFlagStore):
            pytest.skip(
                "there is no reading and writing apart: no hooks to stand between"
            )
        if not updates_atomically(raced):
            pytest.skip("not atomic: get, set or set_meta is overridden")

        def let(
            write: Callable[[AtomicFeatureFlagStore], object], times: int = 1
        ) -> Any:
            swap, left = raced._swap, [times]

            def racing_swap(item: FeatureFlagStoreItem, expected: Any) -> bool:
                if left[0] > 0:
                    left[0] -= 1
                    with monkeypatch.context() as alone:
                        alone.setattr(raced, "_swap", swap)
                        write(raced)
                return swap(item, expected)

            monkeypatch.setattr(raced, "_swap", racing_swap)
            return raced

        return let

    # -- create ------------------------------------------------------------------------

    def test_create_returns_the_new_flag(self, store: Any) -> None:
        """Caches keep what `create` returns, so it has to be the whole flag."""
        item = store.create("f", is_enabled=True, client_data={"a": [1]})
        assert plain(item) == plain(store.get("f"))
        assert (item.feature_name, item.raw_is_enabled) == ("f", True)
        assert item.meta["client_data"] == {"a": [1]}

    def test_a_new_flag_is_off_and_has_no_metadata(self, store: Any) -> None:
        """A flag that nobody has configured must switch nothing on."""
        store.create("f")
        item = store.get("f")
        assert item.raw_is_enabled is False
        assert {**item.meta, "created_date": 0} == {
            "client_data": {},
            "created_date": 0,
            "conditions": [],
            "bucketer": {"type": "NoOpBucketer"},
        }

    def test_create_takes_state_and_client_data_by_position(self, store: Any) -> None:
        """The three parameters have an order, and callers rely on it."""
        store.create("f", True, {"a": 1})
        item = store.get("f")
        assert item.raw_is_enabled is True
        assert item.meta["client_data"] == {"a": 1}

    def test_created_date_is_now_in_whole_seconds(self, store: Any) -> None:
        """Milliseconds, text or local time would make dates of two stores differ."""
        date = store.create("f").meta["created_date"]
        assert type(date) is int
        assert abs(date - time()) < 3600  # the clock of a server may differ
        assert store.get("f").meta["created_date"] == date

    def test_create_over_a_flag_replaces_it_whole(self, store: Any) -> None:
        """Nothing of the flag that was there may limit, or open, the new one."""
        fill(store, "f")
        store.create("f", client_data={"new": 1})
        item = store.get("f")
        assert item.raw_is_enabled is False
        assert item.meta["client_data"] == {"new": 1}
        assert item.meta["conditions"] == []
        assert item.meta["bucketer"] == {"type": "NoOpBucketer"}
        assert item.meta["created_date"] != 1

    # -- get ---------------------------------------------------------------------------

    def test_get_of_a_missing_flag_is_none(self, store: Any) -> None:
        """A missing flag answers the caller's default, so it must not raise."""
        store.create("other")
        assert store.get("f") is None

    def test_a_missing_flag_is_found_once_it_is_created(self, store: Any) -> None:
        """That a flag is missing may be remembered, but not beyond its creation."""
        assert store.get("f") is None
        store.create("f")
        assert store.get("f") is not None

    # -- set ---------------------------------------------------------------------------

    @pytest.mark.parametrize("is_enabled", [True, False])
    def test_set_changes_the_state_and_keeps_the_metadata(
        self, store: Any, is_enabled: bool
    ) -> None:
        """Switching a flag off and on again must not open it for everybody."""
        fill(store, "f", is_enabled=not is_enabled)
        before = plain(store.get("f"))
        assert store.set("f", is_enabled) is None
        assert plain(store.get("f")) == {**before, "is_enabled": is_enabled}

    def test_set_of_a_missing_flag_creates_it(self, store: Any) -> None:
        """A flag set by its store only is a flag as by `create`."""
        for name, is_enabled in (("on", True), ("off", False)):
            assert store.set(name, is_enabled) is None
            created = plain(store.create("other", is_enabled))
            item = plain(store.get(name))
            assert abs(item["created_date"] - created["created_date"]) < 3600
            created.update(feature_name=name, created_date=item["created_date"])
            assert item == created

    # -- delete ------------------------------------------------------------------------

    def test_delete_removes_this_flag_alone(self, store: Any) -> None:
        """What is deleted reads as never created, and the others stay."""
        store.create("f", is_enabled=True)
        fill(store, "other")
        other = plain(store.get("other"))
        assert store.delete("f") is None
        assert store.get("f") is None
        assert plain(store.get("other")) == other
        assert names(store.list()) == ["other"]

    def test_delete_of_a_missing_flag_does_nothing(self, store: Any) -> None:
        """Two processes that clean up must not fail each other."""
        store.create("other")
        assert store.delete("f") is None
        assert names(store.list()) == ["other"]

    def test_a_deleted_flag_comes_back_empty(self, store: Any) -> None:
        """Nothing of a deleted flag may be kept for one of the same name."""
        fill(store, "f")
        store.delete("f")
        store.set("f", True)
        assert plain(store.get("f"))["client_data"] == {}
        assert store.get("f").meta["conditions"] == []

    # -- list --------------------------------------------------------------------------

    def test_an_empty_store_lists_nothing(self, store: Any) -> None:
        """A first start is no error."""
        assert list(store.list()) == []
        assert list(store.list(limit=3, offset=2)) == []

    def test_list_gives_every_flag_once_and_whole(self, store: Any) -> None:
        """An overview that leaves out what is off, or shows half of it, misleads."""
        many = self._create_many(store, 12)
        fill(store, "f")
        listed = {item.feature_name: plain(item) for item in store.list()}
        assert sorted(names(store.list())) == sorted([*many, "f"])
        assert listed == {name: plain(store.get(name)) for name in [*many, "f"]}

    def test_list_is_an_iterator(self, store: Any) -> None:
        """Callers take the first of it with `next`, and it may be long."""
        self._create_many(store, 3)
        flags = store.list()
        assert iter(flags) is flags
        assert next(flags).feature_name in {"f0", "f1", "f2"}

    def test_list_gives_at_most_limit_flags(self, store: Any) -> None:
        """A page has a size; none at all is a size too."""
        every = self._create_many(store, 7)
        assert list(store.list(limit=0)) == []
        assert len(list(store.list(limit=1))) == 1
        assert len(list(store.list(limit=5))) == 5
        assert sorted(names(store.list(limit=7))) == every
        assert sorted(names(store.list(limit=1000))) == every
        assert sorted(names(store.list(limit=None))) == every

    def test_list_leaves_out_offset_flags(self, store: Any) -> None:
        """Behind the last flag there is nothing, and no error."""
        every = self._create_many(store, 7)
        assert sorted(names(store.list(offset=0))) == every
        assert len(list(store.list(offset=5))) == 2
        assert list(store.list(offset=7)) == []
        assert list(store.list(offset=1000)) == []
        assert list(store.list(limit=0, offset=2)) == []

    def test_list_takes_limit_and_offset_by_position(self, store: Any) -> None:
        """The two have an order, and exchanged they give another page."""
        self._create_many(store, 7)
        assert names(store.list(2, 4)) == names(store.list(limit=2, offset=4))
        assert len(list(store.list(2, 6))) == 1

    def test_pages_cover_every_flag_exactly_once(self, store: Any) -> None:
        """Who walks through the pages of an overview sees each flag, and no twins."""
        every = self._create_many(store, 10)

        def walk(_: str, size: int) -> None:
            paged = []
            for offset in range(0, 10, size):
                paged += names(store.list(limit=size, offset=offset))
            assert sorted(paged) == every

        for_each({f"pages of {size}": size for size in (1, 3, 5, 10)}, walk)

    def test_list_leaves_out_what_is_deleted_meanwhile(self, store: Any) -> None:
        """A flag that goes while the list is read is no `None` in it, and no error."""
        every = self._create_many(store, 9)
        flags = store.list()
        listed = [next(flags).feature_name]
        gone = [name for name in every if name not in listed][::2]
        for name in gone:
            store.delete(name)
        listed += [item.feature_name for item in flags]
        assert sorted(set(listed)) == sorted(listed)
        assert set(every) - set(gone) <= set(listed) <= set(every)

    def test_flags_that_stay_are_listed_whatever_others_do(self, store: Any) -> None:
        """Other processes create and delete all the time; no list may suffer."""
        every = self._create_many(store, 5)
        done = threading.Event()

        def come_and_go() -> None:
            number = 0
            while not done.is_set():
                number += 1
                store.create(f"passing-{number % 7}")
                store.set(every[number % 5], number % 2 == 0)
                store.delete(f"passing-{(number + 3) % 7}")

        def read() -> None:
            try:
                for _ in range(max(self.repetitions // 5, 3)):
                    listed = names(store.list())
                    assert set(every) <= set(listed)
                    assert len(set(listed)) == len(listed)
            finally:
                done.set()

        at_once(come_and_go, read)

    # -- set_meta ----------------------------------------------------------------------

    @pytest.mark.parametrize("is_enabled", [True, False])
    def test_set_meta_replaces_the_metadata_and_keeps_the_state(
        self, store: Any, is_enabled: bool
    ) -> None:
        """A new condition must not switch a flag on that somebody switched off."""
        store.create("f", is_enabled, {"old": 1})
        meta = FeatureFlagStoreMeta(
            1_500_000_000,
            {"new": 2},
            [Condition(age__gt=18)],
            PercentageBucketer(Percentage(0.5)),
        )
        assert store.set_meta("f", meta) is None
        item = store.get("f")
        assert item.raw_is_enabled is is_enabled
        assert item.meta == meta.to_dict()

    def test_set_meta_takes_away_what_is_not_in_it(self, store: Any) -> None:
        """Replaced is not merged: a condition that was removed limits nobody."""
        fill(store, "f")
        store.set_meta("f", FeatureFlagStoreMeta(7))
        assert store.get("f").meta == FeatureFlagStoreMeta(7).to_dict()

    def test_set_meta_of_a_missing_flag_raises(self, store: Any) -> None:
        """There is no state to keep; and the metadata is not looked at before that."""
        store.create("other")

        def refuse(_: str, meta: Any) -> None:
            with pytest.raises(FlagDoesNotExistError, match="Feature f does not exist"):
                store.set_meta("f", meta)
            assert store.get("f") is None

        metas = {"metadata": FeatureFlagStoreMeta(1), "dict": {}, "junk": "junk"}
        for_each({**metas, "none": None}, refuse)
        assert names(store.list()) == ["other"]

    # -- names -------------------------------------------------------------------------

    def test_any_text_names_a_flag(self, store: Any) -> None:
        """Applications name flags as they please, not as a database does."""
        possible = self._possible_names()
        for_each(possible, lambda _, name: self._live_a_life(store, name))

    def test_a_long_name_names_a_flag(self, store: Any) -> None:
        """A name that is cut is another flag's."""
        characters = self.longest_name // 3
        self._live_a_life(store, "f" * self.longest_name)
        self._live_a_life(store, "能" * characters)
        store.create("f" * (self.longest_name - 1))
        assert store.get("f" * self.longest_name) is None

    def test_names_that_look_alike_are_different_flags(self, store: Any) -> None:
        """No name is changed on its way, so none can meet another."""
        every = list(self._possible_names().values())
        for name in every:
            store.create(name, client_data={"name": name})
        assert sorted(names(store.list())) == sorted(every)
        for name in every:
            assert store.get(name).feature_name == name
            assert store.get(name).meta["client_data"] == {"name": name}

    def _possible_names(self) -> dict[str, str]:
        refused = self.refused_names
        return {kind: name for kind, name in NAMES.items() if name not in refused}

    def _live_a_life(self, store: Any, name: str) -> None:
        store.create(name)
        store.set(name, True)
        update(store, name, adding(data={"a": 1}))
        item = store.get(name)
        assert (item.feature_name, item.raw_is_enabled) == (name, True)
        assert item.meta["client_data"] == {"a": 1}
        assert names(store.list()).count(name) == 1
        store.delete(name)
        assert store.get(name) is None
        with pytest.raises(FlagDoesNotExistError):
            store.set_meta(name, FeatureFlagStoreMeta(1))

    # -- values ------------------------------------------------------------------------

    def test_client_data_comes_back_as_it_was(self, store: Any) -> None:
        """Client data is the application's: no type and no character may change."""
        store.create("f", client_data=CLIENT_DATA)
        store.create("g")
        update(store, "g", adding(data=CLIENT_DATA))
        for name in ("f", "g"):
            data = store.get(name).meta["client_data"]
            assert data == CLIENT_DATA
            # As JSON, since 1, 1.0 and True are equal to Python.
            assert json.dumps(data, sort_keys=True) == json.dumps(
                CLIENT_DATA, sort_keys=True
            )

    def test_conditions_come_back_as_they_were(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """A check that changes on its way opens a flag to others than was meant."""

        def keep(_: str, condition: Condition) -> None:
            client.create("f", is_enabled=True)
            client.add_condition("f", condition)
            assert plain(store.get("f"))["checks"] == checks(condition.to_dict())
            meta = FeatureFlagStoreMeta(1, None, [condition])
            same = FeatureFlagStoreItem("f", True, meta)
            assert answers(store.get("f")) == answers(same)

        for_each(CONDITIONS, keep)

    def test_conditions_keep_their_order(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """The first that says no is the one that is shown as the reason."""
        every = list(CONDITIONS.values())
        client.create("f", is_enabled=True)
        client.set_conditions("f", every)
        expected = [check for each in every for check in checks(each.to_dict())]
        assert plain(store.get("f"))["checks"] == expected

    def test_bucketers_come_back_as_they_were(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """Who is in a rollout must not change because it was stored."""

        def keep(_: str, bucketer: Any) -> None:
            client.create("f", is_enabled=True)
            client.set_bucketer("f", bucketer)
            assert store.get("f").meta["bucketer"] == bucketer.to_dict()
            if bucketer.get_type() == "ConsistentHashPercentageBucketer":
                users = range(100)
                expected = [bucketer.check(user_id=user) for user in users]
                item = store.get("f")
                assert [item.is_enabled(user_id=user) for user in users] == expected

        for_each(BUCKETERS, keep)

    def test_the_created_date_stays(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """No write but `create` makes a flag younger."""
        client.create("f")
        store.set_meta("f", FeatureFlagStoreMeta(1_234_567_890))
        client.enable("f")
        client.add_condition("f", Condition(a=1))
        client.set_client_data("f", {"a": 1})
        store.set("f", False)
        assert store.get("f").meta["created_date"] == 1_234_567_890

    # -- objects that are given and got ------------------------------------------------

    def test_changing_given_client_data_changes_no_flag(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """The caller's dict is the caller's, for two flags as for one."""
        data: dict[str, Any] = {"list": [1], "dict": {"a": 1}}
        client.create("f", client_data=data)
        client.create("g", client_data=data)
        client.set_client_data("g", {"later": data})
        before = plain(store.get("f")), plain(store.get("g"))
        data["list"].append(2)
        data["dict"]["b"] = 2
        data["new"] = 3
        assert (plain(store.get("f")), plain(store.get("g"))) == before

    def test_changing_given_metadata_changes_no_flag(self, store: Any) -> None:
        """Metadata that was handed over may be used again for another flag."""
        meta = FeatureFlagStoreMeta(1, {"a": [1]}, [Condition(a=1)])
        store.create("f")
        store.set_meta("f", meta)
        before = plain(store.get("f"))
        meta.client_data["a"].append(2)
        meta.client_data["b"] = 2
        meta.conditions.append(Condition(b=2))
        meta.bucketer = PercentageBucketer(Percentage(0))
        meta.created_date = 2
        assert plain(store.get("f")) == before

    def test_changing_what_was_got_changes_no_flag(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """Reading never writes, whatever the reader does to what it got."""
        created = fill(store, "f")
        before = plain(store.get("f"))
        for item in (created, store.get("f"), *store.list()):
            item.meta["client_data"]["list"].append("changed")
            item.meta["conditions"].clear()
            item.meta["bucketer"]["type"] = "changed"
            if isinstance(item, FeatureFlagStoreItem):
                meta = item.raw_meta
                meta.client_data["list"].append("changed")
                meta.conditions.clear()
                meta.bucketer = NoOpBucketer()
                meta.created_date = 0
        client.get_client_data("f")["list"].append("changed")
        client.get_meta("f")["conditions"][0].clear()
        assert plain(store.get("f")) == before

    def test_an_item_stays_what_it_was(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """A decision is made of one state of a flag, not of two halves."""
        fill(store, "f", is_enabled=True)
        item = store.get("f")
        before = plain(item)
        client.set_client_data("f", {"list": None, "new": 1})
        client.add_condition("f", Condition(b=2))
        client.disable("f")
        client.destroy("f")
        assert plain(item) == before

    # -- writes that fail --------------------------------------------------------------

    def test_values_that_cannot_be_stored_leave_the_flag_as_it_was(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """A write that failed shows nowhere; one that did not is there."""
        fill(store, "f")
        before = plain(store.get("f"))
        value = object()
        try:
            client.set_client_data("f", {"value": value})
        except (TypeError, ValueError):
            assert plain(store.get("f")) == before
        else:
            assert client.get_client_data("f")["value"] is value
            return
        for write in (
            lambda: client.create("f", client_data={"value": value}),
            lambda: client.create("new", client_data={"value": value}),
            lambda: client.add_condition("f", Condition(a=value)),
        ):
            with pytest.raises((TypeError, ValueError)):
                write()
        assert plain(store.get("f")) == before
        assert store.get("new") is None
        assert names(store.list()) == ["f"]

    def test_a_change_that_raises_changes_nothing(self, store: Any) -> None:
        """What was decided half-way is not stored half-way."""
        fill(store, "f")
        before = plain(store.get("f"))

        def change(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
            item.raw_meta.client_data["new"] = 1
            raise Cancelled

        with pytest.raises(Cancelled):
            update(store, "f", change)
        assert plain(store.get("f")) == before

    def test_a_write_that_the_backend_refuses_shows_nowhere(
        self,
        store: Any,
        client: FeatureFlagClient,
        rival: Any,  # skips where there are no hooks
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Neither the store nor a cache may believe in a write that was not made."""
        fill(store, "f", is_enabled=True)
        before = plain(store.get("f"))

        def refuse(*_: Any) -> bool:
            raise Cancelled

        monkeypatch.setattr(innermost(store), "_swap", refuse)
        for write in (
            lambda: store.set("f", False),
            lambda: store.set_meta("f", FeatureFlagStoreMeta(1)),
            lambda: store.create("f"),
            lambda: store.create("new"),
            lambda: store.set("newer", True),
            lambda: client.add_condition("f", Condition(b=2)),
        ):
            with pytest.raises(Cancelled):
                write()
        assert plain(store.get("f")) == before
        assert store.get("new") is None
        assert store.get("newer") is None
        assert names(store.list()) == ["f"]

    def test_update_of_a_missing_flag_raises(self, store: Any) -> None:
        """A change needs something that it changes."""
        with pytest.raises(FlagDoesNotExistError):
            update(store, "f", adding(data={"a": 1}))
        assert store.get("f") is None

    def test_update_returns_what_was_stored(self, store: Any) -> None:
        """Who changed a flag is told what it is now, to announce it."""
        fill(store, "f", is_enabled=False)
        after = update(store, "f", lambda item: item.replace(is_enabled=True))
        assert after.raw_is_enabled is True
        assert plain(after) == plain(store.get("f"))

    # -- the client on top -------------------------------------------------------------

    def test_a_client_sees_its_own_writes(self, client: FeatureFlagClient) -> None:
        """What was done shows in the next question, in this process at least."""
        client.create("f")
        assert not client.is_enabled("f")
        client.enable("f")
        assert client.is_enabled("f")
        client.add_condition("f", Condition(is_admin=True))
        assert not client.is_enabled("f", is_admin=False)
        client.set_conditions("f", [])
        assert client.is_enabled("f", is_admin=False)
        client.set_bucketer("f", PercentageBucketer(Percentage(0)))
        assert not client.is_enabled("f")
        client.set_bucketer("f", NoOpBucketer())
        client.set_client_data("f", {"a": 1})
        client.set_client_data("f", {"b": 2})
        assert client.get_client_data("f") == {"a": 1, "b": 2}
        client.disable("f")
        assert not client.is_enabled("f")
        client.destroy("f")
        assert not client.exists("f")
        assert client.is_enabled("f", default=True)

    # -- documents, by the back door ---------------------------------------------------

    def test_a_flag_is_stored_byte_for_byte(self, store: Any) -> None:
        """Other programs, and older releases of this one, read the same documents."""
        store.create("X", is_enabled=True)
        meta = FeatureFlagStoreMeta(1_500_000_000, {"a": "é"}, [Condition(a__gt=1)])
        store.set_meta("X", meta)
        assert self.read_document(store, "X") == DOCUMENT

    def test_every_write_is_in_the_document(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """What is only remembered in the process is lost with the process."""
        writes: list[Callable[[], object]] = [
            lambda: client.create("f", client_data={"a": 1}),
            lambda: client.enable("f"),
            lambda: client.add_condition("f", Condition(a=1)),
            lambda: client.set_bucketer("f", BUCKETERS["consistent"]),
            lambda: client.set_client_data("f", {"b": 2}),
            lambda: store.set("f", False),
        ]
        for write in writes:
            write()
            document = self.read_document(store, "f")
            assert document is not None
            assert document == store.get("f").serialize()
        client.destroy("f")
        assert self.read_document(store, "f") is None

    def test_a_document_of_an_older_release_is_read(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """Changing the library changes no flag."""
        self.write_document(store, "X", DOCUMENT)
        assert store.get("X").serialize() == DOCUMENT
        assert [item.serialize() for item in store.list()] == [DOCUMENT]
        assert client.is_enabled("X", a=2)
        assert not client.is_enabled("X", a=1)

    def test_a_document_may_be_written_in_other_ways(self, store: Any) -> None:
        """JSON is JSON, whoever wrote it."""
        expected = plain(FeatureFlagStoreItem.deserialize(DOCUMENT))

        def read(name: str, document: bytes) -> None:
            named = document.replace(b'"X"', json.dumps(name).encode())
            self.write_document(store, name, named)
            assert plain(store.get(name)) == {**expected, "feature_name": name}

        for_each(FOREIGN_DOCUMENTS, read)

    def test_reading_writes_nothing(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """Readers may not be allowed to write, and are many."""
        document = FOREIGN_DOCUMENTS["indented"]
        self.write_document(store, "X", document)
        store.get("X")
        list(store.list())
        client.is_enabled("X", a=2, unknown=3)
        client.explain("X", a=2)
        client.get_meta("X")
        assert self.read_document(store, "X") == document

    def test_a_broken_document_is_an_error_where_it_is_read(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """A flag that cannot be read is never on by itself, and never written over."""
        asking = FeatureFlagClient(store)
        errors: tuple[type[Exception], ...] = (InvalidFlagDataError,)
        if self.broken_is_missing:
            errors += (FlagDoesNotExistError,)

        def refuse(name: str, document: bytes) -> None:
            self.write_document(store, name, document)
            if self.broken_is_missing:
                assert store.get(name) is None
            else:
                with pytest.raises(InvalidFlagDataError):
                    store.get(name)
            assert asking.is_enabled(name) is False
            assert asking.is_enabled(name, default=True) is True
            for write in (
                lambda: client.get_meta(name),
                lambda: client.enable(name),
                lambda: client.add_condition(name, Condition(a=1)),
                lambda: store.set(name, True),
                lambda: store.set_meta(name, FeatureFlagStoreMeta(1)),
            ):
                with pytest.raises(errors):
                    write()
            assert self.read_document(store, name) == document

        for_each(BROKEN_DOCUMENTS, refuse)

    def test_broken_documents_do_not_hide_the_others(self, store: Any) -> None:
        """One bad document must not take the overview away."""
        every = self._create_many(store, 3)

        def leave_out(name: str, document: bytes) -> None:
            self.write_document(store, name, document)
            assert sorted(names(store.list())) == every

        for_each(BROKEN_DOCUMENTS, leave_out)

    def test_broken_documents_are_replaced_and_removed(self, store: Any) -> None:
        """There is a way out, without a tool of the backend."""

        def repair(name: str, document: bytes) -> None:
            self.write_document(store, name, document)
            store.create(name, is_enabled=True)
            assert store.get(name).raw_is_enabled is True
            self.write_document(store, f"{name}-2", document)
            store.delete(f"{name}-2")
            assert store.get(f"{name}-2") is None
            assert self.read_document(store, f"{name}-2") is None

        for_each(BROKEN_DOCUMENTS, repair)

    # -- threads -----------------------------------------------------------------------

    def test_threads_that_add_conditions_lose_none(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """A condition that is lost opens the flag to everybody."""
        client.create("f")

        def add(writer: int) -> None:
            for number in range(self.repetitions):
                client.add_condition("f", Condition(**{f"v{writer}": number}))

        at_once(*(partial(add, writer) for writer in range(WRITERS)))
        found = [(name, value) for name, _, value in plain(store.get("f"))["checks"]]
        assert sorted(found) == [
            (f"v{writer}", number)
            for writer in range(WRITERS)
            for number in range(self.repetitions)
        ]

    def test_threads_that_set_client_data_lose_none(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """Each writes its own keys, and all are there in the end."""
        client.create("f")

        def write(writer: int) -> None:
            for number in range(self.repetitions):
                client.set_client_data("f", {f"{writer}-{number}": number})

        at_once(*(partial(write, writer) for writer in range(WRITERS)))
        assert store.get("f").meta["client_data"] == {
            f"{writer}-{number}": number
            for writer in range(WRITERS)
            for number in range(self.repetitions)
        }

    def test_switching_and_describing_at_once_lose_nothing(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """State and metadata are one document, and yet two people's."""
        client.create("f")

        def describe(writer: int) -> None:
            for number in range(self.repetitions):
                client.set_client_data("f", {f"{writer}-{number}": number})

        def switch() -> None:
            for number in range(self.repetitions * 2):
                (client.disable if number % 2 else client.enable)("f")
            client.enable("f")

        at_once(switch, *(partial(describe, writer) for writer in range(3)))
        item = store.get("f")
        assert item.raw_is_enabled is True
        assert len(item.meta["client_data"]) == 3 * self.repetitions

    def test_a_change_does_not_bring_a_deleted_flag_back(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """Who changes a flag that somebody deletes hears of it, and deletes nothing."""
        for _ in range(max(self.repetitions // 5, 2)):
            client.create("f")
            changed, destroyed = threading.Event(), threading.Event()

            def change(
                changed: threading.Event = changed,
                destroyed: threading.Event = destroyed,
            ) -> None:
                with suppress(FlagDoesNotExistError):
                    while True:
                        is_last = destroyed.is_set()
                        client.set_client_data("f", {"a": 1})
                        changed.set()
                        assert not is_last, "a change that came after the deletion"

            def destroy(
                changed: threading.Event = changed,
                destroyed: threading.Event = destroyed,
            ) -> None:
                assert changed.wait(PATIENCE)
                client.destroy("f")
                destroyed.set()

            at_once(change, destroy)
            assert store.get("f") is None

    def test_readers_see_whole_writes(self, store: Any) -> None:
        """A flag is read as one writer left it, never as half of two."""
        versions = [
            FeatureFlagStoreMeta(number, {"n": number}, [Condition(n=number)])
            for number in (1, 2)
        ]
        store.create("f")
        store.set_meta("f", versions[0])
        done = threading.Event()

        def write() -> None:
            try:
                for number in range(self.repetitions):
                    store.set_meta("f", versions[number % 2])
            finally:
                done.set()

        def read() -> None:
            while not done.is_set():
                sleep(0)  # the writer's turn
                found = plain(store.get("f"))
                number = found["created_date"]
                assert found["client_data"] == {"n": number}
                assert found["checks"] == [("n", None, number)]

        at_once(write, read, read)

    def test_a_slow_read_does_not_undo_a_write(
        self, store: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What a cache was reading while somebody wrote is old, and not to be kept."""
        inner = innermost(store)
        inner.create("f")
        read, written = threading.Event(), threading.Event()

        def slow(method: Callable[..., T], take: Callable[[T], Any]) -> Any:
            def read_slowly(*args: Any, **kwargs: Any) -> Any:
                result = take(method(*args, **kwargs))
                if not read.is_set():
                    read.set()
                    assert written.wait(PATIENCE)
                return result

            return read_slowly

        def write() -> None:
            assert read.wait(PATIENCE)
            store.set("f", True)
            written.set()

        monkeypatch.setattr(inner, "get", slow(inner.get, lambda item: item))
        monkeypatch.setattr(inner, "list", slow(inner.list, list))
        at_once(lambda: store.get("f"), write)
        for _ in range(10):
            assert store.get("f").raw_is_enabled is True
            sleep(0.01)

    # -- rivals ------------------------------------------------------------------------

    def test_the_store_is_as_atomic_as_it_says(self, store: Any) -> None:
        """A store that falls back to the six calls without a word would be trusted."""
        if self.atomic is None:
            pytest.skip("the class does not say whether it is atomic")
        assert updates_atomically(innermost(store)) is self.atomic

    def test_a_change_keeps_what_a_rival_wrote_meanwhile(
        self, client: FeatureFlagClient, rival: Any
    ) -> None:
        """Two processes that change one flag at once: both changes are there."""
        client.create("f")
        raced = rival(lambda s: update(s, "f", adding(data={"rival": 1})))
        client.add_condition("f", Condition(a=1))
        item = plain(raced.get("f"))
        assert item["client_data"] == {"rival": 1}
        assert item["checks"] == [("a", None, 1)]
        assert client.get_client_data("f") == {"rival": 1}

    def test_a_change_tries_again_until_it_is_alone(
        self, client: FeatureFlagClient, rival: Any
    ) -> None:
        """One rival is no reason to give up, and several are not."""
        client.create("f")
        count = iter(range(100))
        raced = rival(lambda s: update(s, "f", adding(data={str(next(count)): 1})), 5)
        client.add_condition("f", Condition(a=1))
        assert len(raced.get("f").meta["client_data"]) == 5
        assert len(raced.get("f").meta["conditions"]) == 1

    def test_switching_keeps_what_a_rival_wrote_meanwhile(
        self, client: FeatureFlagClient, rival: Any
    ) -> None:
        """Switching a flag on must not throw away a condition that limits it."""
        client.create("f")
        raced = rival(lambda s: update(s, "f", adding(condition=Condition(a=1))))
        client.enable("f")
        assert raced.get("f").raw_is_enabled is True
        assert len(raced.get("f").meta["conditions"]) == 1

    def test_set_meta_keeps_the_state_that_a_rival_set_meanwhile(
        self, store: Any, rival: Any
    ) -> None:
        """A flag that somebody switches off stays off."""
        store.create("f", is_enabled=True)
        raced = rival(lambda s: s.set("f", False))
        store.set_meta("f", FeatureFlagStoreMeta(1, {"a": 1}))
        assert raced.get("f").raw_is_enabled is False
        assert raced.get("f").meta["client_data"] == {"a": 1}

    def test_set_of_a_flag_that_a_rival_creates_meanwhile_keeps_it(
        self, store: Any, rival: Any
    ) -> None:
        """What was missing a moment ago is there now, with all its metadata."""
        raced = rival(lambda s: s.create("f", client_data={"rival": 1}))
        store.set("f", True)
        assert raced.get("f").raw_is_enabled is True
        assert raced.get("f").meta["client_data"] == {"rival": 1}

    def test_set_of_a_flag_that_a_rival_deletes_meanwhile_creates_it(
        self, store: Any, rival: Any
    ) -> None:
        """Nothing of the deleted flag comes back with it."""
        fill(store, "f")
        raced = rival(lambda s: s.delete("f"))
        store.set("f", True)
        assert raced.get("f").raw_is_enabled is True
        assert raced.get("f").meta["client_data"] == {}

    def test_a_change_of_a_flag_that_a_rival_deletes_meanwhile_raises(
        self, client: FeatureFlagClient, store: Any, rival: Any
    ) -> None:
        """A deleted flag stays deleted."""
        fill(store, "f")
        raced = rival(lambda s: s.delete("f"))
        with pytest.raises(FlagDoesNotExistError):
            client.add_condition("f", Condition(a=1))
        assert raced.get("f") is None

    def test_a_change_of_a_flag_that_a_rival_replaces_meanwhile_is_of_the_new(
        self, client: FeatureFlagClient, store: Any, rival: Any
    ) -> None:
        """What was read of the old flag is not written into the new one."""
        fill(store, "f")
        raced = rival(lambda s: s.create("f", client_data={"new": 1}))
        client.set_client_data("f", {"mine": 1})
        assert raced.get("f").meta["client_data"] == {"new": 1, "mine": 1}
        assert raced.get("f").meta["conditions"] == []

    def test_who_always_loses_is_told_so(
        self, store: Any, rival: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A write that cannot win ends, says so, and has changed nothing."""
        store.create("f")
        count = iter(range(1000))
        raced = rival(
            lambda s: update(s, "f", adding(data={"n": next(count)})), times=1000
        )
        monkeypatch.setattr(raced, "max_attempts", 4)
        monkeypatch.setattr(raced, "longest_pause", 0)
        with pytest.raises(ConcurrentUpdateError) as caught:
            update(store, "f", adding(condition=Condition(a=1)))
        assert (caught.value.feature_name, caught.value.attempts) == ("f", 4)
        assert plain(raced.get("f"))["checks"] == []
        assert next(count) in (4, 5)  # a store may begin with what it knows

    # -- several processes -------------------------------------------------------------

    def test_a_write_is_seen_by_a_store_opened_again(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """What one process writes, the others read."""
        client.create("f", client_data={"a": 1})
        client.enable("f")
        client.create("gone")
        client.destroy("gone")
        other = self.open_again(store)
        try:
            eventually(lambda: plain(other.get("f")) == plain(store.get("f")))
            assert other.get("gone") is None
            assert names(other.list()) == ["f"]
        finally:
            self.close_store(other)

    @pytest.fixture(params=[False, True], ids=["unheard", "heard"])
    def heard(
        self, client: FeatureFlagClient, request: pytest.FixtureRequest
    ) -> list[tuple[Any, ...]] | None:
        """Give a list of what the client announces, `None` if nobody listens.

        A client that has nobody to tell may write in another way.
        """
        if not request.param:
            return None
        events: list[tuple[Any, ...]] = []
        for event in EventType:
            client.events.on(event, _appending(events, event))
        return events

    def test_what_another_process_has_just_created_can_be_written(
        self,
        store: Any,
        client: FeatureFlagClient,
        heard: list[tuple[Any, ...]] | None,
    ) -> None:
        """Whether a flag exists is decided where it is written to, not by a cache."""
        other = self.open_again(store)

        def write_at_once(method: str, change: Callable[..., object]) -> None:
            assert store.get(method) is None
            other.create(method, client_data={"theirs": 1})
            change(client, method)
            if heard is not None:
                assert [event.value for event, *_ in heard] == [
                    f"pre_{method}",
                    f"post_{method}",
                ]
                if method == "set_client_data":
                    merged = {"theirs": 1, "ours": 2}
                    assert [told[2] for told in heard] == [merged, merged]
                heard.clear()
            if method == "destroy":
                eventually(lambda: other.get(method) is None)
            else:
                eventually(lambda: plain(other.get(method)) == plain(store.get(method)))
                assert store.get(method).meta["client_data"]["theirs"] == 1

        try:
            for_each(CHANGES, write_at_once)
        finally:
            self.close_store(other)

    def test_what_another_process_has_just_destroyed_is_missing(
        self,
        store: Any,
        client: FeatureFlagClient,
        heard: list[tuple[Any, ...]] | None,
    ) -> None:
        """A write announces nothing, makes no flag, and is known to be in vain here."""
        other = self.open_again(store)

        def write_in_vain(method: str, change: Callable[..., object]) -> None:
            store.create(method, is_enabled=True)
            assert store.get(method) is not None
            other.delete(method)
            with pytest.raises(FlagDoesNotExistError):
                change(client, method)
            assert not heard
            assert store.get(method) is None
            assert other.get(method) is None

        try:
            for_each(CHANGES, write_in_vain)
        finally:
            self.close_store(other)

    def test_what_another_process_destroys_during_a_write_stays_destroyed(
        self, store: Any, client: FeatureFlagClient
    ) -> None:
        """Though the write was announced: the flag was there a moment before."""
        if not updates_atomically(innermost(store)):
            pytest.skip("not atomic: whether the flag exists is asked beforehand")
        other = self.open_again(store)
        done: list[tuple[Any, ...]] = []

        def write_too_late(method: str, change: Callable[..., object]) -> None:
            def destroy(*_: object) -> None:
                other.delete(method)

            store.create(method)
            client.events.on(EventType(f"pre_{method}"), destroy)
            after = EventType(f"post_{method}")
            client.events.on(after, _appending(done, after))
            with pytest.raises(FlagDoesNotExistError):
                change(client, method)
            assert not done
            assert store.get(method) is None
            assert other.get(method) is None

        # Not every backend tells whether there was something to be destroyed.
        changes = {name: CHANGES[name] for name in CHANGES if name != "destroy"}
        try:
            for_each(changes, write_too_late)
        finally:
            self.close_store(other)

    def test_two_processes_lose_nothing(self, store: Any) -> None:
        """What holds among threads holds among processes, where the store says so."""
        if not updates_atomically(innermost(store)):
            pytest.skip("not atomic: of two processes the last writer wins")
        store.create("f")
        every = [store, *(self.open_again(store) for _ in range(3))]

        def write(writer: int, client: FeatureFlagClient) -> None:
            eventually(lambda: client.exists("f"))
            for number in range(self.repetitions):
                client.set_client_data("f", {f"{writer}-{number}": number})

        try:
            jobs = enumerate(FeatureFlagClient(each) for each in every)
            at_once(*(partial(write, *job) for job in jobs))
            last = update(store, "f", lambda item: item)
        finally:
            for other in every[1:]:
                self.close_store(other)
        assert len(last.meta["client_data"]) == 4 * self.repetitions

    # -- the change signal -------------------------------------------------------------

    @pytest.fixture
    def watching(self, store: Any) -> Iterator[Watch]:
        """Listen to the store, and stop afterwards."""
        try:
            watching = watch(store)
        except WatchRefusedError as refusal:
            pytest.skip(f"no change signal: {refusal}")
        yield watching
        watching.close()
        watching.close()

    def test_every_write_is_reported(self, store: Any, watching: Watch) -> None:
        """A copy that misses one is wrong until it reads everything again."""

        def report(_: str, write: Callable[[], object]) -> None:
            write()
            hear(watching, "f")

        meta = FeatureFlagStoreMeta(7)
        writes: dict[str, Callable[[], object]] = {
            "create": lambda: store.create("f"),
            "set": lambda: store.set("f", True),
            "set_meta": lambda: store.set_meta("f", meta),
            "update": lambda: update(store, "f", adding(condition=Condition(a=1))),
            "create again": lambda: store.create("f", is_enabled=True),
            "delete": lambda: store.delete("f"),
            "set of none": lambda: store.set("f", True),
        }
        for_each(writes, report)

    def test_what_another_process_writes_is_reported(
        self, store: Any, watching: Watch
    ) -> None:
        """That is what the signal is for; and names come as they are."""
        other = self.open_again(store)
        try:
            for name in self._possible_names().values():
                other.create(name, is_enabled=True)
                hear(watching, name)
                other.delete(name)
                hear(watching, name)
        finally:
            self.close_store(other)

    def test_of_changes_at_once_none_is_missed(
        self, store: Any, watching: Watch
    ) -> None:
        """Also those that come while others are being reported."""

        def write(writer: int) -> None:
            for number in range(self.repetitions):
                store.create(f"{writer}-{number}")

        at_once(*(partial(write, writer) for writer in range(WRITERS)))
        hear(
            watching,
            *(f"{w}-{n}" for w in range(WRITERS) for n in range(self.repetitions)),
        )

    # -- at random ---------------------------------------------------------------------

    def test_random_operations_agree_with_a_plain_dict(self) -> None:
        """What nobody thought of: any operations, in any order, beside a model."""
        pytest.importorskip("hypothesis", reason="random operations need hypothesis")
        from .stateful import run_random_operations, store_machine

        machine = store_machine(self.make_store, self.close_store)
        examples = max(self.repetitions // 5, 2)
        run_random_operations(machine, seed=self.seed, examples=examples)

    def _create_many(self, store: Any, count: int) -> list[str]:
        every = [f"f{number}" for number in range(count)]
        for number, name in enumerate(every):
            store.create(name, is_enabled=number % 2 == 0, client_data={"n": number})
        return sorted(every)


CHANGES: dict[str, Callable[[FeatureFlagClient, str], object]] = {
    "enable": lambda client, name: client.enable(name),
    "disable": lambda client, name: client.disable(name),
    "destroy": lambda client, name: client.destroy(name),
    "set_client_data": lambda client, name: client.set_client_data(name, {"ours": 2}),
    "add_condition": lambda client, name: client.add_condition(name, Condition(a=1)),
    "set_conditions": lambda client, name: client.set_conditions(
        name, [Condition(a=1)]
    ),
    "set_bucketer": lambda client, name: client.set_bucketer(name, NoOpBucketer()),
}
"""A write by each method of a client that needs the flag, by the method's name."""


def _appending(
    events: list[tuple[Any, ...]], event: EventType
) -> Callable[..., object]:
    return lambda *told: events.append((event, *told))


def hear(watching: Watch, *feature_names: str) -> None:
    """Wait until a watch has reported these flags."""
    missing = set(feature_names)

    def all_reported() -> bool:
        changed = watching.wait(0.1)
        missing.difference_update(missing if changed is None else changed)
        return not missing

    eventually(all_reported)


class Cancelled(Exception):  # noqa: N818  (no error of the store)
    """Raised in the middle of a write, by the test."""


def for_each(cases: Mapping[str, T], check: Callable[[str, T], None]) -> None:
    """Check every case, and fail with all that fail, by their names."""
    failures: dict[str, Exception] = {}
    for name, case in cases.items():
        try:
            check(name, case)
        except Exception as error:  # noqa: BLE001  (raised below)
            failures[name] = error
    for first in failures.values():
        told = [f"{name}: {type(e).__name__}: {e}" for name, e in failures.items()]
        raise AssertionError("\n\n".join(told)) from first


def innermost(store: Any) -> Any:
    """Return the store that keeps the flags, inside of all wrappers."""
    while isinstance(store, FeatureFlagStoreWrapper):
        store = store._store
    return store


def plain(item: Any) -> dict[str, Any]:
    """Return all that a flag is, as plain data.

    Conditions as the list of their checks: a store may keep the checks of one condition
    as several, since all have to hold.
    """
    meta = copy_containers(item.meta)  # a store may have given what it keeps
    conditions = meta.pop("conditions")
    return {
        "feature_name": item.feature_name,
        "is_enabled": item.raw_is_enabled,
        **meta,
        "checks": [check for condition in conditions for check in checks(condition)],
    }


def checks(condition: dict[str, Any]) -> list[tuple[str, str | None, Any]]:
    """Return the checks of a condition that is plain data."""
    return [
        (check["variable"], check["operator"], check["value"])
        for each in condition.values()
        for check in each
    ]


def names(items: Iterable[Any]) -> list[str]:
    """Return the names of items, in their order."""
    return [item.feature_name for item in items]


def answers(item: Any) -> list[Any]:
    """Return what a flag answers to every context; the kind of error is an answer."""
    found: list[Any] = []
    for context in CONTEXTS:
        try:
            found.append(item.is_enabled(**context))
        except TypeError as error:
            found.append(type(error))
    return found


def fill(store: Any, name: str, *, is_enabled: bool = True) -> Any:
    """Create a flag that has everything a flag can have."""
    item = store.create(name, is_enabled, {"list": [1], "dict": {"a": [1]}})
    meta = FeatureFlagStoreMeta(
        1,
        {"list": [1], "dict": {"a": [1]}},
        [Condition(a=1), Condition(age__gt=18)],
        PercentageBucketer(Percentage(0.5)),
    )
    store.set_meta(name, meta)
    return item


def adding(
    *, data: dict[str, Any] | None = None, condition: Condition | None = None
) -> Callable[[FeatureFlagStoreItem], FeatureFlagStoreItem]:
    """Return the change that adds this to a flag."""

    def change(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
        meta = item.raw_meta
        meta.client_data = {**meta.client_data, **(data or {})}
        meta.conditions += [] if condition is None else [condition]
        return item.replace(meta=meta)

    return change


def at_once(*jobs: Callable[[], object]) -> None:
    """Run every job in a thread of its own, all from the same moment.

    Raises:
        BaseException: what the first job that failed raised.
    """
    start = threading.Barrier(len(jobs))
    failures: list[BaseException] = []

    def run(job: Callable[[], object]) -> None:
        try:
            start.wait(PATIENCE)
            job()
        except BaseException as error:  # noqa: BLE001  (raised below)
            failures.append(error)

    threads = [threading.Thread(target=run, args=[job], daemon=True) for job in jobs]
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # so that they meet far more often
    try:
        for thread in threads:
            thread.start()
        _join(threads, failures)
    finally:
        sys.setswitchinterval(usual)
    if failures:
        raise failures[0]
    assert not any(thread.is_alive() for thread in threads), "threads wait for ever"


def _join(threads: list[threading.Thread], failures: list[BaseException]) -> None:
    deadline = monotonic() + PATIENCE
    while any(thread.is_alive() for thread in threads):
        if failures:  # and the others may wait for the one that failed
            deadline = min(deadline, monotonic() + 1)
        if monotonic() > deadline:
            break
        for thread in threads:
            thread.join(0.1)


def eventually(condition: Callable[[], object]) -> None:
    """Wait until something holds: other processes may see a write a little later."""
    deadline = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < deadline, "it did not come true"
        sleep(0.01)
