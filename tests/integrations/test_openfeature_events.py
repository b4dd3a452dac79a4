# SPDX-License-Identifier: Apache-2.0
"""The events of the provider of a synced store."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent
from openfeature.exception import ErrorCode, ProviderNotReadyError
from openfeature.provider import ProviderStatus

from flipper import FeatureFlagClient, MemoryFeatureFlagStore
from flipper.contrib.read_only import ReadOnlyFeatureFlagStore
from flipper.integrations.openfeature import FlipperProvider
from flipper.testing.contract import eventually
from support.openfeature_api import set_provider
from support.synced_stores import InnerStore, synced

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flipper import SyncedFeatureFlagStore


class Recorder:
    """Records the events of OpenFeature."""

    def __init__(self) -> None:
        self.events: list[tuple[ProviderEvent, Any]] = []
        self._handlers = {each: self._handler(each) for each in ProviderEvent}
        for event, handler in self._handlers.items():
            api.add_handler(event, handler)

    def _handler(self, event: ProviderEvent) -> Any:
        return lambda details: self.events.append((event, details))

    def of(self, event: ProviderEvent) -> list[Any]:
        """Return the details of all events of a kind."""
        return [details for each, details in self.events if each is event]

    def changed(self) -> list[str]:
        """Return the names of all flags that were reported as changed."""
        found = self.of(ProviderEvent.PROVIDER_CONFIGURATION_CHANGED)
        return [name for details in found for name in details.flags_changed]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave OpenFeature as it was."""
    yield
    api.shutdown()


@pytest.fixture
def inner() -> InnerStore:
    """Return a store that may be away."""
    return InnerStore()


@pytest.fixture
def store(inner: InnerStore) -> Iterator[SyncedFeatureFlagStore]:
    """Return a copy of that store."""
    with synced(inner) as store:
        yield store


def status() -> ProviderStatus:
    """Return the status of the provider."""
    return api.get_client().get_provider_status()


def test_changes_are_events_with_the_names_of_the_flags(
    inner: InnerStore, store: SyncedFeatureFlagStore
) -> None:
    """Whoever has changed a flag; also if the synced store is wrapped."""
    provider = FlipperProvider(FeatureFlagClient(ReadOnlyFeatureFlagStore(store)))
    set_provider(provider)
    recorder = Recorder()
    somebody = FeatureFlagClient(inner)
    somebody.create("A", is_enabled=True)
    somebody.create("B")
    eventually(lambda: sorted(recorder.changed()) == ["A", "B"])
    somebody.destroy("A")
    eventually(lambda: sorted(recorder.changed()) == ["A", "A", "B"])
    change = ProviderEvent.PROVIDER_CONFIGURATION_CHANGED
    assert {details.provider_name for details in recorder.of(change)} == {"flipper"}


def test_an_outage_makes_the_provider_stale_until_it_ends(
    inner: InnerStore, store: SyncedFeatureFlagStore
) -> None:
    """Meanwhile, the flags keep their last state."""
    FeatureFlagClient(inner).create("A", is_enabled=True)
    set_provider(FlipperProvider(FeatureFlagClient(store)))
    recorder = Recorder()
    eventually(lambda: store.get("A") is not None)
    inner.disconnect()
    eventually(lambda: status() is ProviderStatus.STALE)
    assert api.get_client().get_boolean_value("A", False) is True
    eventually(lambda: recorder.of(ProviderEvent.PROVIDER_STALE) != [])
    (stale,) = recorder.of(ProviderEvent.PROVIDER_STALE)
    assert "AwayError" in stale.message
    inner.is_away = False
    eventually(lambda: status() is ProviderStatus.READY)


def test_a_store_that_is_stale_from_the_beginning_is_announced(
    inner: InnerStore, store: SyncedFeatureFlagStore
) -> None:
    """OpenFeature announces that the provider is ready, and then it is stale."""
    inner.disconnect()
    eventually(lambda: store.status().state == "stale")
    set_provider(FlipperProvider(FeatureFlagClient(store)))
    eventually(lambda: status() is ProviderStatus.STALE)


def test_a_store_without_flags_is_an_error_until_it_has_read_them(
    inner: InnerStore,
) -> None:
    """The application starts without the server, and is told when it is there."""
    FeatureFlagClient(inner).create("A", is_enabled=True)
    inner.disconnect()
    with synced(inner, on_start_failure="empty", start_timeout=0.01) as store:
        recorder = Recorder()
        provider = FlipperProvider(FeatureFlagClient(store))
        with pytest.raises(ProviderNotReadyError, match="not been read yet"):
            provider.initialize(EvaluationContext())
        set_provider(provider)
        assert status() is ProviderStatus.ERROR
        assert api.get_client().get_boolean_value("A", False) is False
        eventually(lambda: recorder.of(ProviderEvent.PROVIDER_ERROR) != [])
        (error,) = recorder.of(ProviderEvent.PROVIDER_ERROR)
        assert error.error_code is ErrorCode.PROVIDER_NOT_READY
        inner.is_away = False
        eventually(lambda: status() is ProviderStatus.READY)
        assert api.get_client().get_boolean_value("A", False) is True


def test_a_closed_store_is_stale(store: SyncedFeatureFlagStore) -> None:
    """Its copy keeps answering, and does not change any more."""
    set_provider(FlipperProvider(FeatureFlagClient(store)))
    store.close()
    assert status() is ProviderStatus.STALE


def test_after_a_shutdown_there_are_no_events(
    inner: InnerStore, store: SyncedFeatureFlagStore
) -> None:
    """A provider that is set again emits each event once."""
    provider = FlipperProvider(FeatureFlagClient(store))
    set_provider(provider)
    api.clear_providers()
    recorder = Recorder()
    FeatureFlagClient(inner).create("A")
    eventually(lambda: store.get("A") is not None)
    assert recorder.changed() == []
    for _ in range(2):  # for the default and for a domain
        provider.initialize(EvaluationContext())
    set_provider(provider)
    FeatureFlagClient(inner).create("B")
    eventually(lambda: recorder.changed() != [])
    FeatureFlagClient(inner).create("C")
    eventually(lambda: "C" in recorder.changed())
    assert recorder.changed() == ["B", "C"]


def test_a_provider_does_not_keep_its_store_alive(inner: InnerStore) -> None:
    """Who forgets both ends the thread of the store, too."""
    with synced(inner) as store:
        provider = FlipperProvider(FeatureFlagClient(store))
        provider.initialize(EvaluationContext())
        references = weakref.ref(provider), weakref.ref(store)
        del provider, store
    eventually(
        lambda: gc.collect() >= 0 and [each() for each in references] == [None] * 2
    )


def test_a_store_without_a_copy_has_no_events(
    own_threads: Callable[[], set[threading.Thread]],
) -> None:
    """It is ready at once, and there is no thread."""
    flags = FeatureFlagClient(MemoryFeatureFlagStore())
    set_provider(FlipperProvider(flags))
    recorder = Recorder()
    flags.create("A")
    assert recorder.changed() == []
    assert status() is ProviderStatus.READY
    assert len(own_threads()) <= 1  # the handler of READY


FORKING = """
import os, sys
from flipper import FeatureFlagClient
from flipper.integrations.openfeature import FlipperProvider
from flipper.testing.contract import eventually

url = f"sqlite:///{sys.argv[1]}/flags.db"
with FeatureFlagClient.from_url(url) as somebody:
    somebody.create("A", is_enabled=True)
provider = FlipperProvider.from_url(f"{url}?sync=1&poll_interval=0.05")
provider.initialize(None)
changed = []
provider.attach(lambda _, event, details: changed.append(details.flags_changed))
child = os.fork()
if child == 0:
    status = 1
    try:
        assert provider.resolve_boolean_details("A", False).value is True
        with FeatureFlagClient.from_url(url) as own:
            own.create("B")
        eventually(lambda: ["B"] in changed)
        status = 0
    finally:
        os._exit(status)
_, code = os.waitpid(child, 0)
provider.shutdown()
sys.exit(os.waitstatus_to_exitcode(code))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_has_answers_and_events(tmp_path: Path) -> None:
    """Its own copy reports changes to the provider that it has inherited."""
    program = [sys.executable, "-W", "ignore", "-c", FORKING, tmp_path]
    run = subprocess.run(program, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
