# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: ARG002, SLF001  (these are tests)
"""What the author of a store gives to the contract, and the fixtures of all rules."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from ...arguments import LONGEST_NAME
from ...client import FeatureFlagClient
from ...contracts import document
from ...contracts.atomic import AtomicFeatureFlagStore
from ...contracts.update import updates_atomically
from ..items import innermost
from ..samples import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from ...contrib.storage import FeatureFlagStoreItem


class ContractBase:
    """What a store's author gives, and the fixtures that all rules use."""

    atomic: ClassVar[bool | None] = None
    """Whether a change is one atomic step for all processes; `None` checks nothing."""
    longest_name: ClassVar[int] = LONGEST_NAME
    """The longest name that the store accepts, in bytes of UTF-8."""
    refused_names: ClassVar[Collection[str]] = ()
    """Values of `samples.NAMES` that the backend cannot keep."""
    broken_is_missing: ClassVar[bool] = False
    """Whether `get` returns `None` for a broken document, as a copy of `list` does."""
    repetitions: ClassVar[int] = 50
    """How often each thread writes; a small number suits a slow store."""
    seed: ClassVar[int | None] = None
    """The seed of the random operations; `None` takes a new one and prints it."""

    def make_store(self) -> Any:
        """Return a new empty store; it shares no flags with earlier ones."""
        raise NotImplementedError

    def close_store(self, store: Any) -> None:
        """Close what the store holds open: connections, threads."""

    def write_document(self, store: Any, feature_name: str, document: bytes) -> None:
        """Write these bytes where the store keeps the flag, without the store."""
        pytest.skip("a rule about documents, and write_document is not given")

    def read_document(self, store: Any, feature_name: str) -> bytes | None:
        """Return the stored bytes of the flag without the store, `None` if none."""
        pytest.skip("a rule about documents, and read_document is not given")

    def open_again(self, store: Any) -> Any:
        """Return another store over the same flags, as another process has one."""
        pytest.skip("a rule about several processes, and open_again is not given")

    @pytest.fixture(autouse=True)
    def no_per_flag_lock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Switch the per-flag lock off, so that threads race as processes do."""
        monkeypatch.setattr(document, "per_flag_lock", lambda *_: nullcontext())

    @pytest.fixture
    def store(self) -> Iterator[Any]:
        """Return the store of a test, and close it afterwards."""
        store = self.make_store()
        yield store
        self.close_store(store)

    @pytest.fixture
    def client(self, store: Any) -> FeatureFlagClient:
        """Return a client of the store that raises every error."""
        return FeatureFlagClient(store, on_error="raise")

    @pytest.fixture
    def other_writer(
        self, store: Any, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[..., AtomicFeatureFlagStore]:
        """Return a function that makes another writer write during the next change.

        The other writer writes after the change has read the flag, and before it writes
        the flag. The function takes the write, and in how many changes to make it. It
        returns the store that is written to: the innermost one, behind every cache.
        """
        raced = innermost(store)
        if not isinstance(raced, AtomicFeatureFlagStore):
            pytest.skip("the store has no hooks between reading and writing")
        if not updates_atomically(raced):
            pytest.skip("not atomic: get, set or set_meta is overridden")

        def race(
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

        return race

    def _possible_names(self) -> dict[str, str]:
        refused = self.refused_names
        return {kind: name for kind, name in NAMES.items() if name not in refused}

    def _create_many(self, store: Any, count: int) -> list[str]:
        every = [f"f{number}" for number in range(count)]
        for number, name in enumerate(every):
            store.create(name, is_enabled=number % 2 == 0, client_data={"n": number})
        return sorted(every)
