# SPDX-License-Identifier: Apache-2.0
"""`DocumentFeatureFlagStore`: the base of stores that keep flags as JSON documents."""

from __future__ import annotations

import logging
from abc import abstractmethod
from contextlib import suppress
from time import sleep
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ..contrib.storage import FeatureFlagStoreItem
from ..exceptions import InvalidFlagDataError
from .atomic import ABSENT, ANY, AtomicFeatureFlagStore
from .event_loop import warn_in_event_loop
from .flag_locks import per_flag_lock, reentrant_flag_lock
from .last_known import SupportsLastKnown, has_room, put_bounded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .atomic import Make
    from .update import Change

logger = logging.getLogger(__name__)

# Threads that answer questions wait for one that compares many flags. So it makes a
# pause of some seconds after this number of flags.
_FLAGS_PER_PAUSE: Final = 500
_PAUSE: Final = 0.0005


class DocumentFeatureFlagStore(SupportsLastKnown, AtomicFeatureFlagStore):
    """A store made of five hooks: four that read and write bytes, and `_now`.

    The four are `_read`, `_replace`, `_remove` and `_documents`. A document is decoded
    once, and again only when its bytes have changed. The decoded flags are also the
    last known ones while the server is down. A subclass's constructor has to call
    `super().__init__()`. Safe for threads if the hooks are.
    """

    _documents_are_tokens: ClassVar[bool] = False
    """Whether the token that `_read` returns is the document itself."""

    def __init__(self) -> None:
        self._decoded: dict[str, FeatureFlagStoreItem] = {}  # each with its document
        self._last_write = object()
        self._logged_documents: dict[str, bytes] = {}  # that are not flags

    @abstractmethod
    def _read(self, feature_name: str) -> tuple[bytes, Any] | None:
        """Read a document, and a token that identifies this version of it."""

    def _before_reading(self) -> None:
        """Notice that documents are about to be read; not for a store with a copy."""
        warn_in_event_loop(self, self)

    def _read_many(self, feature_names: Sequence[str]) -> dict[str, bytes]:
        """Read the documents of those flags that exist.

        A store overrides it if it can do so in one round trip.
        """
        found = {}
        for feature_name in feature_names:
            with suppress(InvalidFlagDataError):
                loaded = self._read(feature_name)
                if loaded is not None:
                    found[feature_name] = loaded[0]
        return found

    @abstractmethod
    def _replace(self, feature_name: str, document: bytes, expected: Any) -> bool:
        """Write a document if the store holds what is expected; return whether it did.

        Args:
            feature_name: the flag.
            document: its bytes.
            expected: the token of the version to replace, or `ABSENT` or `ANY`.
        """

    @abstractmethod
    def _documents(self, offset: int, limit: int | None) -> Iterator[tuple[str, bytes]]:
        """Yield names and documents, each once; a document need not be a flag.

        It sends no request before the first document is taken.

        Args:
            offset: how many documents to skip first.
            limit: how many documents to yield at most; `None` is all.
        """

    def _all_documents(self) -> Iterator[tuple[str, bytes]]:
        """Yield all documents, in as few requests as there can be.

        Those who call it take all of them; those who call `_documents` may stop early.
        """
        return self._documents(0, None)

    def _compare_and_put(
        self, client: Any, feature_name: str, document: bytes, expected: Any
    ) -> bool:
        """Replace a document through a client that cannot compare: read, then write.

        Threads of this process cannot undo each other's writes then, but another
        process can.
        """
        with reentrant_flag_lock(client, feature_name):  # stores may share it
            found = self._read(feature_name)
            if (ABSENT if found is None else found[1]) != expected:
                return False
            return self._replace(feature_name, document, ANY)

    def get_many(
        self, feature_names: Sequence[str]
    ) -> dict[str, FeatureFlagStoreItem | None]:
        """Return flags by name, `None` for those that are missing.

        A flag whose document is broken is left out, since `get` has its error.
        """
        self._before_reading()
        last_write = self._last_write
        documents = self._read_many(feature_names)
        # Race: what was read may be older than what was written meanwhile.
        is_latest = self._last_write is last_write
        found: dict[str, FeatureFlagStoreItem | None] = {}
        for feature_name in feature_names:
            document = documents.get(feature_name)
            if document is None:
                found[feature_name] = None
                if is_latest:
                    self._decoded.pop(feature_name, None)
                continue
            with suppress(InvalidFlagDataError):
                found[feature_name] = self._decode(
                    feature_name, document, is_latest=is_latest
                )
        return found

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem]:
        """Return an iterator of at most `limit` flags, from number `offset` on.

        Both numbers count documents: one that is not a flag makes a page shorter.
        """
        self._before_reading()
        return self._flags(self._documents(offset, limit))

    def read_undecoded(
        self, found: dict[str, Any], known: Mapping[str, Any]
    ) -> Sequence[str]:
        """Read all documents, without decoding them.

        A document need not be a flag; see `flag_in`.

        Args:
            found: gets all documents, by name.
            known: flags by name, or their documents. If the document of one is
                unchanged, `found` gets the same bytes.

        Returns:
            The names of those documents that are not known.
        """
        documents = self._all_documents()
        if not known:  # A program starts: few steps are made for each flag.
            for feature_name, document in documents:
                found[feature_name] = document
                if not len(found) % _FLAGS_PER_PAUSE:
                    sleep(_PAUSE)
            return list(found)
        changed = []
        for feature_name, document in documents:
            same = known.get(feature_name)
            if type(same) is not bytes:
                same = getattr(same, "document", None)
            if same != document:
                same = document
                changed.append(feature_name)
            found[feature_name] = same
            if not len(found) % _FLAGS_PER_PAUSE:
                sleep(_PAUSE)
        return changed

    def read_few_undecoded(self, feature_names: Sequence[str]) -> dict[str, bytes]:
        """Return documents by name, without those that are missing; see `flag_in`."""
        self._before_reading()
        return self._read_many(feature_names)

    def flag_in(
        self, feature_name: str, document: bytes
    ) -> FeatureFlagStoreItem | None:
        """Return the flag in a document; log it and return `None` if it is not one."""
        try:
            item = FeatureFlagStoreItem.deserialize(document)
        except InvalidFlagDataError:
            self._log_left_out(feature_name, document)
            return None
        item.document = document
        return item if item.feature_name == feature_name else None

    def last_known(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag as it was last read or written, or `None`, without I/O."""
        return self._decoded.get(feature_name)

    def known_names(self) -> tuple[str, ...]:
        """Return the names of the flags that are known."""
        return tuple(self._decoded)

    def _delete_flag(self, feature_name: str) -> bool | None:
        removed = self._remove(feature_name)
        self._last_write = object()
        self._decoded.pop(feature_name, None)
        return removed

    def _load(self, feature_name: str) -> tuple[FeatureFlagStoreItem, Any] | None:
        self._before_reading()
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
        warn_in_event_loop(self, self)
        feature_name, document = item.feature_name, item.serialize()
        if not self._replace(feature_name, document, expected):
            return False
        self._last_write = object()
        known = self._decoded.get(feature_name)
        state = item.raw_is_enabled
        if known is None or type(state) is not bool or not item.shares_meta_with(known):
            with suppress(InvalidFlagDataError):  # the next read of it raises this
                self._decode(feature_name, document)
        else:
            # Decoding would give the same, but the known flag is compiled already.
            decoded = item.with_state(state)
            decoded.document = document
            put_bounded(self._decoded, feature_name, decoded)
        return True

    def _scan(self) -> Iterator[FeatureFlagStoreItem]:
        return self.list()

    def _write(
        self, feature_name: str, change: Change, make: Make | None = None
    ) -> FeatureFlagStoreItem:
        with per_flag_lock(self, feature_name):
            # Most flags were read just before they are written. This saves a read.
            known = self._decoded.get(feature_name)
            if known is not None and self._documents_are_tokens:
                after = change(known.with_name(feature_name))
                # Race: others may have written since; `_swap` notices.
                if self._swap(after, known.document):
                    return after
            return super()._write(feature_name, change, make)

    def _flags(
        self, documents: Iterator[tuple[str, bytes]]
    ) -> Iterator[FeatureFlagStoreItem]:
        # A program reads all flags when it starts: few calls are made for each of them.
        decoded, last_write = self._decoded, self._last_write
        deserialize = FeatureFlagStoreItem.deserialize
        for feature_name, document in documents:
            item = decoded.get(feature_name)
            if item is None or item.document != document:
                # A list of very many flags must not displace those that are in use.
                is_latest = self._last_write is last_write
                keep = is_latest and has_room(decoded, feature_name)
                try:
                    item = deserialize(document)
                except InvalidFlagDataError:
                    if keep:
                        decoded.pop(feature_name, None)
                    self._log_left_out(feature_name, document)
                    continue
                item.document = document
                if keep:
                    decoded[feature_name] = item
            if item.feature_name == feature_name:
                yield item

    def _log_left_out(self, feature_name: str, document: bytes) -> None:
        """Log that a document is left out, but only once for each document."""
        if self._logged_documents.get(feature_name) == document:
            return
        put_bounded(self._logged_documents, feature_name, document)
        logger.warning(
            "%s holds a document under %r that is not a flag; it is left out",
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
            put_bounded(self._decoded, feature_name, item)
        return item
