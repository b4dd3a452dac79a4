# SPDX-License-Identifier: Apache-2.0
"""Flags in the key-value store of Consul, followed as they change.

A store keeps a copy of all its flags, which a thread replaces whenever something has
changed on the server: reading takes no request, and goes on while the agent is away.
"""

from __future__ import annotations

import logging
from secrets import randbits
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import finalize

from ...contracts.atomic import ABSENT, ANY
from ...contracts.document import DocumentFeatureFlagStore
from ...contracts.watch import SupportsWatch
from ...exceptions import InvalidArgumentError
from ...runtime.closing import ClosesAtExit
from ...runtime.fork import detect_fork
from ..interface import AbstractFeatureFlagStore as AbstractFeatureFlagStore
from ..interface import FlagDoesNotExistError as FlagDoesNotExistError
from ..storage import FeatureFlagStoreItem as FeatureFlagStoreItem  # noqa: TC001
from ..storage import FeatureFlagStoreMeta as FeatureFlagStoreMeta
from ..util.date import now
from .mirror import UNKNOWN, ConsulCopy
from .replies import Row, read_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...contracts.atomic import Change, Make
    from .watch import ConsulWatch

logger = logging.getLogger(__name__)


class ConsulFeatureFlagStore(ClosesAtExit, SupportsWatch, DocumentFeatureFlagStore):
    """Keeps each flag under the key `<base_key>/<feature_name>`. Safe for threads.

    `get` and `list` answer from the copy, which holds this store's own writes at once
    and those of others a moment later. Writes are requests, check-and-set ones, and
    Consul decides whether the flag exists; their errors are those of the Consul client.
    Errors of following are logged.

    Names with characters that cannot be printed, and with `.`, `..` or nothing between
    slashes, are refused with an `InvalidArgumentError`: Consul cannot keep them.

    In a forked child the copy is followed anew as soon as a flag is asked for.

    Requests in the background have connections of their own, made with the settings of
    the client. A reply that is incomplete, or not one of Consul's, counts as a failure
    and changes no flag.

    Args:
        consul: a client of python-consul or py-consul, of which `kv` is used.
        base_key: the folder of the flags.
    """

    wait: ClassVar[int] = 30
    """For how many seconds Consul holds a request back while nothing changes."""

    def __init__(self, consul: Any, base_key: str = "features") -> None:
        super().__init__()
        self.base_key = base_key
        self._consul = consul
        self._prefix = base_key.rstrip("/") + "/"
        self._copy = ConsulCopy(consul, self._prefix, self.wait)
        finalize(self, self._copy.abandon).atexit = False
        self._copy.be_followed()

    def last_known(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag as the copy has it, or `None`."""
        row = self._copy.rows.get(feature_name)
        return None if row is None else self._decode(feature_name, row.document)

    def get_uncached(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag as Consul has it, which the copy may not have yet.

        Raises:
            Exception: of the Consul client, if the agent is away.
        """
        if _fault(feature_name):
            return None
        found = self._look(feature_name, None, is_done=False)
        if not found or not found["Value"]:
            return None
        return self._decode(feature_name, Row.of(found).document)

    def watch(self) -> ConsulWatch:
        """Begin to report what changes in the copy.

        Raises:
            WatchRefusedError: the store is closed.
            StoreUnavailableError: Consul is away, or has not answered yet.
        """
        return self._copy.watch()

    def close(self) -> None:
        """Stop following; `get` and `list` answer as of now from then on.

        Returns at once. The request that is under way is interrupted, so the thread and
        its connection are gone a moment later. Only where the client is not one of
        python-consul or py-consul, such as a test double, does the thread wait for the
        answer, at most `wait` seconds. It never keeps a program from ending.
        """
        self._copy.close()

    def _read(self, feature_name: str) -> tuple[bytes, Any] | None:
        if not self._copy.be_followed() and not _fault(feature_name):
            self._look(feature_name, None, is_done=False)
        return self._copy.rows.get(feature_name)

    def _replace(self, feature_name: str, document: bytes, expected: Any) -> bool:
        fault = _fault(feature_name)
        if fault:
            raise InvalidArgumentError(
                f"Feature {feature_name!r} cannot be stored in Consul: its name "
                f"{fault}; use another name",
                feature_name=feature_name,
                value=feature_name,
            )
        key = self._prefix + feature_name
        if expected is ANY:
            self._kv.put(key, document)
            self._look(feature_name, document, is_done=True)
            return True
        # A number of its own for each write, which Consul keeps beside the value.
        mark = randbits(63)
        revision = 0 if expected is ABSENT else expected
        written = self._kv.put(key, document, cas=revision, flags=mark)
        # What comes too late begins again with what is there now.
        row = self._look(feature_name, document, is_done=written)
        if written or row is None:
            return bool(written)
        if expected is ABSENT and not row["Value"]:  # no flag, but a key all the same
            return self._replace(feature_name, document, row["ModifyIndex"])
        # An HTTP client that repeats requests whose answer was lost: the write took
        # effect, and it is its repetition that comes too late.
        return bool(row.get("Flags") == mark)

    def _write(
        self, feature_name: str, change: Change, make: Make | None = None
    ) -> FeatureFlagStoreItem:
        if make is None and feature_name not in self._copy.rows:
            # That there is no such flag is for Consul to say, not for the copy.
            self.get_uncached(feature_name)
        return super()._write(feature_name, change, make)

    def _remove(self, feature_name: str) -> None:
        if not _fault(feature_name):
            self._kv.delete(self._prefix + feature_name)
            self._look(feature_name, None, is_done=True)

    def _documents(self, offset: int, limit: int | None) -> Iterator[tuple[str, bytes]]:
        if not self._copy.be_followed():
            self._copy.read_all()
        end = None if limit is None else offset + limit
        for feature_name in sorted(self._copy.rows)[offset:end]:
            row = self._copy.rows.get(feature_name)
            if row is not None:  # deleted since the names were read
                yield feature_name, row.document

    def _now(self) -> int:
        return now()

    @property
    def _kv(self) -> Any:
        """What asks Consul, over connections of this process."""
        detect_fork()
        return self._consul.kv

    def _look(self, feature_name: str, document: bytes | None, *, is_done: bool) -> Any:
        """Put into the copy what is there after a write, and return Consul's row."""
        # Race: what the thread is being told right now may be older than the write. The
        # index tells, and only reading gives the index of the write.
        try:
            index, found = read_keys(self._kv, self._prefix + feature_name)
            row = Row.of(found) if found and found["Value"] else None
        except Exception:
            if not is_done:
                raise
            logger.debug("A write could not be read again", exc_info=True)
            row = None if document is None else Row(document, UNKNOWN)
            self._copy.record_write(feature_name, row, self._copy.index + 1)
            return None
        self._copy.record_write(
            feature_name, row, index if row is None else row.revision
        )
        return found


def _fault(feature_name: str) -> str | None:
    """Say why Consul would refuse a name, or write to another key; `None` if not."""
    segments = feature_name.split("/")
    if not {".", ".."}.isdisjoint(segments):
        return "contains '.' or '..' between slashes"
    if "" in segments[:-1]:
        return "has a slash at its beginning, or two in a row"
    if not feature_name.isprintable():
        return "contains characters that cannot be printed"
    return None
