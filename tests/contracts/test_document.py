# SPDX-License-Identifier: Apache-2.0
"""What the stores of documents remember of the flags that they read and wrote."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from flipper import Condition, FeatureFlagClient
from flipper.contracts.atomic import ABSENT, ANY
from flipper.contracts.document import DocumentFeatureFlagStore
from flipper.contrib.storage import FeatureFlagStoreItem
from flipper.exceptions import InvalidArgumentError, InvalidFlagDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class DocumentsInADict(DocumentFeatureFlagStore):
    """A store of documents in a dict.

    Attributes:
        meanwhile: called once, between the next read and its return.
        is_away: whether reading fails.
    """

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
def store() -> DocumentsInADict:
    """Return a store with one flag, which is on."""
    store = DocumentsInADict()
    FeatureFlagClient(store).create("x", is_enabled=True)
    return store


@pytest.mark.parametrize("write", ["disable", "destroy"])
@pytest.mark.parametrize("reading", [lambda s: s.get("x"), lambda s: list(s.list())])
def test_a_slow_read_does_not_replace_a_newer_write(
    store: DocumentsInADict, write: str, reading: Callable[[DocumentsInADict], object]
) -> None:
    """A flag that was switched off during a read stays off in an outage."""
    client = FeatureFlagClient(store)
    store.meanwhile = lambda: getattr(client, write)("x")
    reading(store)
    store.is_away = True
    assert client.is_enabled("x") is False


def test_a_written_flag_is_the_last_known_state(store: DocumentsInADict) -> None:
    """The server may go away before the first read after a write."""
    store.is_away = True
    assert FeatureFlagClient(store).is_enabled("x") is True


def test_an_unchanged_document_is_decoded_once(store: DocumentsInADict) -> None:
    """A second read of the same bytes costs no parsing."""
    assert store.get("x") is store.get("x")
    store.rows["x"] = store.rows["x"].replace(b"true", b"false")
    item = store.get("x")
    assert item is not None
    assert item.raw_is_enabled is False


def test_switching_a_flag_decodes_nothing(
    store: DocumentsInADict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The metadata that was decoded before is used again."""
    client = FeatureFlagClient(store)
    client.add_condition("x", Condition(a=1))
    before = store.get("x")
    monkeypatch.delattr(FeatureFlagStoreItem, "deserialize")
    client.disable("x")
    assert client.is_enabled("x", a=1) is False
    client.enable("x")
    assert client.is_enabled("x", a=1) is True
    assert client.is_enabled("x", a=2) is False
    assert store.get("x").to_dict() == before.to_dict()


@pytest.mark.parametrize("state", [1, 0, None, 1.0, "yes"])
def test_the_writer_reads_what_all_others_read(
    store: DocumentsInADict, state: Any
) -> None:
    """The writer gets lists for tuples too, since JSON has no tuples."""
    store.set("x", True)
    store.get("x")
    store.set("x", state)
    other = DocumentsInADict()
    other.rows = store.rows
    assert store.get("x").to_dict() == other.get("x").to_dict()
    store.set("x", True)
    client = FeatureFlagClient(store)
    client.set_client_data("x", {"a": (1, 2), "b": {1: 2}})
    client.disable("x")
    assert store.get("x").to_dict() == other.get("x").to_dict()


@pytest.mark.parametrize("state", ["off", "", (1,), [], 2, -1, math.nan, object()])
@pytest.mark.parametrize("write", ["set", "create"])
def test_an_invalid_state_is_not_written(
    store: DocumentsInADict, write: str, state: Any
) -> None:
    """The document would be broken for every reader."""
    before = dict(store.rows)
    with pytest.raises(InvalidArgumentError) as error:
        getattr(store, write)("x", state)
    assert error.value.feature_name == "x"
    assert store.rows == before
    assert store.get("x").raw_is_enabled is True


def test_the_error_of_a_document_names_its_invalid_state(
    store: DocumentsInADict,
) -> None:
    """The error says what is wrong in the document, and how to replace it."""
    store.rows["x"] = store.rows["x"].replace(b"true", b'"off"')
    with pytest.raises(InvalidFlagDataError) as error:
        store.get("x")
    assert str(error.value) == (
        "Feature 'x' cannot be read: its state is 'off', not true, false, null, 0 or 1."
        " Replace it with create(), or remove it with the store's delete()"
    )
    assert FeatureFlagClient(store).is_enabled("x", default="unknown") == "unknown"
    store.create("x")
    assert store.get("x").raw_is_enabled is False


def test_a_broken_document_is_logged_once(
    store: DocumentsInADict, caplog: pytest.LogCaptureFixture
) -> None:
    """The same bytes are logged once, however often they are read."""
    store.rows["broken"] = b"{"
    for _ in range(3):
        assert [item.feature_name for item in store.list()] == ["x"]
    assert [record.args for record in caplog.records] == [
        ("DocumentsInADict", "broken")
    ]
    store.rows["broken"] = b"[]"
    for _ in range(3):
        assert [item.feature_name for item in store.list()] == ["x"]
    assert len(caplog.records) == 2
