# SPDX-License-Identifier: Apache-2.0
"""The synced store with `max_staleness`, while its copy is too old."""

from __future__ import annotations

from time import sleep

import pytest

from flipper import FeatureFlagClient
from flipper.events import EventType
from flipper.exceptions import StaleFlagsError
from flipper.testing.contract import CHANGES, eventually
from support.synced_stores import AwayError, InnerStore, synced


def test_a_copy_older_than_max_staleness_is_not_answered(inner: InnerStore) -> None:
    """With `max_staleness`, an old copy raises, and a client answers the default."""
    with synced(inner, max_staleness=1.0) as store:
        client = FeatureFlagClient(store)
        assert client.is_enabled("on") is True
        sleep(1.5)
        assert client.is_enabled("on") is True  # a store without changes is not stale
        inner.disconnect()
        eventually(lambda: client.is_enabled("on") is False)
        assert client.is_enabled("on", default="default") == "default"
        with pytest.raises(StaleFlagsError, match="'on' is not answered") as caught:
            store.get("on")
        assert caught.value.feature_name == "on"
        with pytest.raises(StaleFlagsError):
            list(store.list())
        inner.is_away = False
        eventually(lambda: client.is_enabled("on"))


@pytest.mark.parametrize("has_listener", [False, True])
def test_a_flag_can_be_written_although_the_copy_is_too_old(
    inner: InnerStore, monkeypatch: pytest.MonkeyPatch, has_listener: bool
) -> None:
    """A write does not ask the copy whether the flag exists."""

    def fail(*_: object, **__: object) -> None:
        raise AwayError

    monkeypatch.setattr(inner, "list", fail)
    with synced(
        inner, max_staleness=1.0, start_timeout=0, on_start_failure="empty"
    ) as store:
        client = FeatureFlagClient(store)
        if has_listener:
            client.events.on(EventType.PRE_ENABLE, lambda *_: None)
        for name, change in CHANGES.items():
            inner.create("f", client_data={"theirs": 1})
            change(client, "f")
            assert (inner.get("f") is None) is (name == "destroy")
        with pytest.raises(StaleFlagsError):
            client.exists("on")
