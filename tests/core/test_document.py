# SPDX-License-Identifier: Apache-2.0
"""What the stores of documents remember of the flags that they read and wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flipper import FeatureFlagClient
from flipper.contrib.atomic import ABSENT, ANY
from flipper.contrib.document import DocumentFeatureFlagStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Rows(DocumentFeatureFlagStore):
    """Documents in a dict, and a moment between reading and giving what was read."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, bytes] = {}
        self.meanwhile: Callable[[], object] = lambda: None
        self.is_away = False

    def _read(self, feature_name: str) -> tuple[bytes, Any] | None:
        if self.is_away:
            raise ConnectionError
        found = self.rows.get(feature_name)
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return None if found is None else (found, found)

    def _replace(self, feature_name: str, document: bytes, expected: Any) -> bool:
        if expected is not ANY and self.rows.get(feature_name, ABSENT) != expected:
            return False
        self.rows[feature_name] = document
        return True

    def _remove(self, feature_name: str) -> None:
        self.rows.pop(feature_name, None)

    def _documents(self, offset: int, limit: int | None) -> Iterator[tuple[str, bytes]]:
        end = None if limit is None else offset + limit
        rows = list(self.rows.items())[offset:end]
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        yield from rows

    def _now(self) -> int:
        return 1


@pytest.fixture
def store() -> Rows:
    """Give a store with one flag, which is on."""
    store = Rows()
    FeatureFlagClient(store).create("x", is_enabled=True)
    return store


@pytest.mark.parametrize("write", ["disable", "destroy"])
@pytest.mark.parametrize("reading", [lambda s: s.get("x"), lambda s: list(s.list())])
def test_a_slow_reading_does_not_bring_back_what_was_before_a_write(
    store: Rows, write: str, reading: Callable[[Rows], object]
) -> None:
    """A flag that was switched off must not be on again when the server goes away."""
    client = FeatureFlagClient(store)
    store.meanwhile = lambda: getattr(client, write)("x")
    reading(store)
    store.is_away = True
    assert client.is_enabled("x") is False


def test_what_was_written_is_the_last_known_state(store: Rows) -> None:
    """A server may go away before the first question after a write."""
    store.is_away = True
    assert FeatureFlagClient(store).is_enabled("x") is True


def test_a_document_is_decoded_once_as_long_as_it_stays_the_same(store: Rows) -> None:
    """Asking again costs no parsing."""
    assert store.get("x") is store.get("x")
    store.rows["x"] = store.rows["x"].replace(b"true", b"false")
    item = store.get("x")
    assert item is not None
    assert item.raw_is_enabled is False
