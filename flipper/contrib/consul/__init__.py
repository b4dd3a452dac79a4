# SPDX-License-Identifier: Apache-2.0
"""A store for the key-value store of Consul, which keeps a copy of all its flags.

`follower` has the background thread that keeps the `copy` up to date, and `polling` its
pauses; `watch` reports changes, `connections` and `replies` deal with HTTP.
"""

from __future__ import annotations

import logging
from secrets import randbits
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import finalize

from ...contracts.atomic import ABSENT, ANY
from ...contracts.document import DocumentFeatureFlagStore
from ...contracts.in_memory import NotInMemoryError
from ...contracts.watch import SupportsWatch
from ...exceptions import InvalidArgumentError
from ...runtime.closing import Closeable
from ...runtime.fork import detect_fork
from ..interface import AbstractFeatureFlagStore as AbstractFeatureFlagStore
from ..interface import FlagDoesNotExistError as FlagDoesNotExistError
from ..storage import FeatureFlagStoreItem as FeatureFlagStoreItem  # noqa: TC001
from ..storage import FeatureFlagStoreMeta as FeatureFlagStoreMeta
from ..util.date import now
from .copy import UNKNOWN_REVISION, ConsulCopy
from .follower import ConsulFollower
from .replies import Row, read_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...contracts.atomic import Make
    from ...contracts.update import Change
    from .watch import ConsulWatch

logger = logging.getLogger(__name__)


class ConsulFeatureFlagStore(Closeable, SupportsWatch, DocumentFeatureFlagStore):
    """Keeps each flag under the key `<base_key>/<feature_name>`. Safe for threads.

    `get` and `list` answer from a copy of all flags, without a request, also while the
    Consul agent is down. A background thread keeps the copy up to date. Writes of this
    store are in the copy at once, and writes of others a moment later. The thread logs
    its errors. In a forked child, the first call of `get` or `list` starts a thread.

    Writes are check-and-set requests, and Consul decides whether a flag exists. They
    raise the errors of the Consul client.

    Names with characters that cannot be printed, and with `.`, `..` or nothing between
    slashes, raise an `InvalidArgumentError`: Consul cannot keep them.

    Requests in the background have connections of their own, made with the settings of
    the client. A reply that is incomplete, or not one of Consul's, counts as a failure
    and changes no flag.

    Args:
        consul: a client of python-consul or py-consul, of which `kv` is used.
        base_key: the folder of the flags.
    """

    wait: ClassVar[int] = 30
    """For how many seconds Consul holds back a reply while nothing changes."""

    def __init__(self, consul: Any, base_key: str = "features") -> None:
        super().__init__()
        self.base_key = base_key
        self._consul = consul
        self._prefix = base_key.rstrip("/") + "/"
        self._copy = ConsulCopy()
        self._follower = ConsulFollower(consul, self._prefix, self.wait, self._copy)
        finalize(self, self._follower.abandon).atexit = False
        self._follower.ensure_running()

    def last_known(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag as the copy has it, or `None`, without I/O."""
        row = self._copy.rows.get(feature_name)
        return None if row is None else self._decode(feature_name, row.document)

    def known_names(self) -> tuple[str, ...]:
        """Return the names of the flags in the copy."""
        return tuple(self._copy.rows)

    def get_in_memory(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag as the copy has it, if a thread keeps that up to date."""
        if not self._follower.ensure_running(may_wait=False):
            raise NotInMemoryError
        return self.get(feature_name)

    def get_uncached(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Read the flag from Consul: the copy may not have the latest change yet.

        Raises:
            StoreUnavailableError: the reply is incomplete, or not one of Consul's.
            Exception: an error of the Consul client, if the agent is down.
        """
        if _name_problem(feature_name):
            return None
        found = self._refresh(feature_name, None, is_written=False)
        if not found or not found["Value"]:
            return None
        return self._decode(feature_name, Row.from_reply(found).document)

    def watch(self) -> ConsulWatch:
        """Begin to report the changes of the copy.

        Raises:
            WatchRefusedError: the store is closed.
            StoreUnavailableError: Consul is down, or has not answered yet.
        """
        return self._follower.watch()

    def close(self) -> None:
        """Stop the thread. `get` and `list` then answer from an unchanging copy.

        This method does not wait. It interrupts the request of the thread, so that the
        thread and its connection end a moment later. A client that is not one of
        python-consul or py-consul, such as a test double, cannot be interrupted: then
        the thread waits for the reply, at most `wait` seconds. The thread never
        prevents a program from ending.
        """
        self._follower.close()

    def _before_reading(self) -> None:
        """Do nothing, because the copy answers."""

    def _read(self, feature_name: str) -> tuple[bytes, Any] | None:
        if not self._follower.ensure_running() and not _name_problem(feature_name):
            self._refresh(feature_name, None, is_written=False)
        return self._copy.rows.get(feature_name)

    def _replace(self, feature_name: str, document: bytes, expected: Any) -> bool:
        problem = _name_problem(feature_name)
        if problem:
            raise InvalidArgumentError(
                f"Feature {feature_name!r} cannot be stored in Consul: its name "
                f"{problem}; use another name",
                feature_name=feature_name,
                value=feature_name,
            )
        key = self._prefix + feature_name
        if expected is ANY:
            self._kv.put(key, document)
            self._refresh(feature_name, document, is_written=True)
            return True
        # Identifies this write: Consul keeps the number beside the value.
        write_id = randbits(63)
        revision = 0 if expected is ABSENT else expected
        written = self._kv.put(key, document, cas=revision, flags=write_id)
        # If another writer was faster, the caller tries again with what is there now.
        row = self._refresh(feature_name, document, is_written=written)
        if written or row is None:
            return bool(written)
        if expected is ABSENT and not row["Value"]:  # a key without a flag
            return self._replace(feature_name, document, row["ModifyIndex"])
        # An HTTP client may repeat a request whose reply was lost: then the write took
        # effect, and Consul has refused only its repetition.
        return bool(row.get("Flags") == write_id)

    def _write(
        self, feature_name: str, change: Change, make: Make | None = None
    ) -> FeatureFlagStoreItem:
        if make is None and feature_name not in self._copy.rows:
            # The copy may not have the flag yet: Consul decides whether it exists.
            self.get_uncached(feature_name)
        return super()._write(feature_name, change, make)

    def _remove(self, feature_name: str) -> None:
        if not _name_problem(feature_name):
            self._kv.delete(self._prefix + feature_name)
            self._refresh(feature_name, None, is_written=True)

    def _documents(self, offset: int, limit: int | None) -> Iterator[tuple[str, bytes]]:
        if not self._follower.ensure_running():
            self._follower.read_all()
        end = None if limit is None else offset + limit
        for feature_name in sorted(self._copy.rows)[offset:end]:
            row = self._copy.rows.get(feature_name)
            if row is not None:  # deleted since the names were read
                yield feature_name, row.document

    def _now(self) -> int:
        return now()

    @property
    def _kv(self) -> Any:
        """The client's key-value requests, over connections of this process."""
        detect_fork()
        return self._consul.kv

    def _refresh(
        self, feature_name: str, document: bytes | None, *, is_written: bool
    ) -> Any:
        """Read one flag from Consul into the copy, and return Consul's row.

        Args:
            feature_name: the flag.
            document: what was written; `None` if the flag was deleted, or only read.
            is_written: whether a write precedes. Then an error of the reading is only
                logged, and the copy takes `document`.
        """
        # Race: the reply that the thread receives right now may be older than the
        # write. The indexes tell which is newer. Only a read returns that of the write.
        try:
            index, found = read_keys(self._kv, self._prefix + feature_name)
            row = Row.from_reply(found) if found and found["Value"] else None
        except Exception:
            if not is_written:
                raise
            logger.debug("A write could not be read again", exc_info=True)
            row = None if document is None else Row(document, UNKNOWN_REVISION)
            self._copy.record_write(feature_name, row, self._copy.index + 1)
            return None
        self._copy.record_write(
            feature_name, row, index if row is None else row.revision
        )
        return found


def _name_problem(feature_name: str) -> str | None:
    """Say why Consul refuses a name, or writes to another key; `None` if it is fine."""
    segments = feature_name.split("/")
    if not {".", ".."}.isdisjoint(segments):
        return "contains '.' or '..' between slashes"
    if "" in segments[:-1]:
        return "has a slash at its beginning, or two in a row"
    if not feature_name.isprintable():
        return "contains characters that cannot be printed"
    return None
