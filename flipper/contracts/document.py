# SPDX-License-Identifier: Apache-2.0
"""What stores have in common that keep flags as JSON documents on a server."""

from __future__ import annotations

import logging
from abc import abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from ..contrib.storage import FeatureFlagStoreItem
from ..exceptions import InvalidFlagDataError
from .atomic import ABSENT, ANY, AtomicFeatureFlagStore, lock_of, per_flag_lock
from .last_known import SupportsLastKnown, remember

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .atomic import Change, Make

logger = logging.getLogger(__name__)


class DocumentFeatureFlagStore(SupportsLastKnown, AtomicFeatureFlagStore):
    """A store made of four hooks that deal in bytes.

    These are `_read`, `_replace`, `_remove` and `_documents`. A document is decoded
    once, as long as its bytes stay the same; that also tells the last known state of a
    flag while the server is away. A constructor calls `super().__init__()`.
    """

    _documents_are_tokens: ClassVar[bool] = False
    """Whether `_read` gives the document itself as the token of its version."""

    def __init__(self) -> None:
        self._decoded: dict[str, FeatureFlagStoreItem] = {}  # with their documents
        self._last_write = object()
        self._left_out: dict[str, bytes] = {}

    @abstractmethod
    def _read(self, feature_name: str) -> tuple[bytes, Any] | None:
        """Read a document, and a token that tells this version of it from others."""

    @abstractmethod
    def _replace(self, feature_name: str, document: bytes, expected: Any) -> bool:
        """Write a document if the store holds what is expected; tell whether it did.

        Args:
            feature_name: the flag.
            document: its bytes.
            expected: the token of the version to be replaced, `ABSENT` or `ANY`.
        """

    @abstractmethod
    def _documents(self, offset: int, limit: int | None) -> Iterator[tuple[str, bytes]]:
        """Give a page of names with their documents, each once, whatever they are.

        Nothing is asked before the first one is.
        """

    def _compare_and_put(
        self, client: Any, feature_name: str, document: bytes, expected: Any
    ) -> bool:
        """Do what `_replace` does by a client that cannot compare: read, then write.

        The threads of this process do not undo each other's writes then, but another
        process may.
        """
        with lock_of(client, feature_name):  # which several stores may share
            found = self._read(feature_name)
            if (ABSENT if found is None else found[1]) != expected:
                return False
            return self._replace(feature_name, document, ANY)

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem]:
        """Return an iterator of the flags: `offset` are skipped, `limit` given.

        Both count documents: one that is no flag makes a page shorter.
        """
        return self._flags(self._documents(offset, limit))

    def last_known(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag as last read or written, or `None`, without I/O."""
        return self._decoded.get(feature_name)

    def _delete_flag(self, feature_name: str) -> bool | None:
        removed = self._remove(feature_name)
        self._last_write = object()
        self._decoded.pop(feature_name, None)
        return removed

    def _load(self, feature_name: str) -> tuple[FeatureFlagStoreItem, Any] | None:
        last_write = self._last_write
        found = self._read(feature_name)
        # Race: what was read may be older than what was written meanwhile.
        is_latest = self._last_write is last_write
        if found is None:
            if is_latest:
                self._decoded.pop(feature_name, None)
            return None
        document, token = found
        return self._decode(feature_name, document, is_latest=is_latest), token

    def _swap(self, item: FeatureFlagStoreItem, expected: Any) -> bool:
        feature_name, document = item.feature_name, item.serialize()
        if not self._replace(feature_name, document, expected):
            return False
        self._last_write = object()
        known = self._decoded.get(feature_name)
        state = item.raw_is_enabled
        if known is None or type(state) is not bool or not item.shares_meta_with(known):
            with suppress(InvalidFlagDataError):  # which the next to read it hears
                self._decode(feature_name, document)
        else:
            # What was decoded, with another state: what decoding gives, and compiled.
            decoded = item.switched(state)
            decoded.document = document
            remember(self._decoded, feature_name, decoded)
        return True

    def _scan(self) -> Iterator[FeatureFlagStoreItem]:
        return self.list()

    def _write(
        self, feature_name: str, change: Change, make: Make | None = None
    ) -> FeatureFlagStoreItem:
        with per_flag_lock(self, feature_name):
            # A flag has mostly been read just before it is written: a reading less.
            known = self._decoded.get(feature_name)
            if known is not None and self._documents_are_tokens:
                after = change(known.named(feature_name))
                # Race: others may have written since; `_swap` notices.
                if self._swap(after, known.document):
                    return after
            return super()._write(feature_name, change, make)

    def _flags(
        self, documents: Iterator[tuple[str, bytes]]
    ) -> Iterator[FeatureFlagStoreItem]:
        last_write = self._last_write
        for feature_name, document in documents:
            is_latest = self._last_write is last_write
            try:
                item = self._decode(feature_name, document, is_latest=is_latest)
            except InvalidFlagDataError:
                self._tell_of(feature_name, document)
                continue
            if item.feature_name == feature_name:
                yield item

    def _tell_of(self, feature_name: str, document: bytes) -> None:
        """Log that a document is left out, once: lists may be read all the time."""
        if self._left_out.get(feature_name) == document:
            return
        remember(self._left_out, feature_name, document)
        logger.warning(
            "%s holds a document under %r that is no flag; it is left out",
            type(self).__name__,
            feature_name,
            extra={"feature_name": feature_name},
        )

    def _decode(
        self, feature_name: str, document: bytes, *, is_latest: bool = True
    ) -> FeatureFlagStoreItem:
        known = self._decoded.get(feature_name)
        if known is not None and known.document == document:
            return known
        try:
            item = FeatureFlagStoreItem.deserialize(document)
        except InvalidFlagDataError as error:
            error.feature_name = feature_name
            if is_latest:
                self._decoded.pop(feature_name, None)
            raise
        item.document = document
        if is_latest:
            remember(self._decoded, feature_name, item)
        return item
