# SPDX-License-Identifier: Apache-2.0
"""The copy in memory of all flags below one base key. It does no I/O.

A reply of Consul with all flags may be older than a write of this process that is
already in the copy. What is known of such a flag is kept until a later reply has it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from ...exceptions import StoreUnavailableError
from ...runtime.weak_objects import WeakObjects

if TYPE_CHECKING:
    from collections.abc import Collection

    from .replies import Row
    from .watch import ConsulWatch

# Larger than every revision, so that a write which expects it fails, and reads the true
# revision then.
UNKNOWN_REVISION: Final = 2**62


class SingleRead(NamedTuple):
    """What is known of one flag from a request for this flag only.

    Attributes:
        row: the document, or `None` if there is no flag.
        at_index: Consul's index at which it was so.
        requests_before: how many requests for all flags had been sent before this
            became known.
    """

    row: Row | None
    at_index: int
    requests_before: int


class ConsulCopy:
    """The documents of all flags, by feature name. Safe for threads.

    Attributes:
        lock: guards everything here, and the state of the follower.
        rows: the documents; for reading only, which needs no lock.
        index: Consul's index of the last change that the copy has.
        error: why the copy may be out of date; `None` if it is not.
    """

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.index = 0
        self.after_fork()

    def after_fork(self) -> None:
        """Forget the parent's requests and watches; the documents stay."""
        # Reentrant: the garbage collector may run code that reads a store anywhere.
        self.lock = threading.RLock()
        self.error: str | None = "it has not answered yet"
        self._requests = 0
        self._single_reads: dict[str, SingleRead] = {}
        # Weak: a watch that nobody uses any more is freed, closed or not.
        self._watches: WeakObjects[ConsulWatch] = WeakObjects()

    def add_watch(self, watch: ConsulWatch) -> None:
        """Report changes and errors to a watch from now on."""
        with self.lock:
            self._watches.add(watch)

    def count_request(self) -> None:
        """Note that a request for all flags is about to be sent."""
        with self.lock:
            self._requests += 1

    def record_write(self, feature_name: str, row: Row | None, index: int) -> None:
        """Put one flag into the copy, unless the copy has something newer.

        Args:
            feature_name: the flag.
            row: its document, or `None` if there is no flag.
            index: Consul's index at which it was so.
        """
        with self.lock:
            known = self._single_reads.get(feature_name)
            if index <= self.index or (known is not None and index < known.at_index):
                return
            self._single_reads[feature_name] = SingleRead(row, index, self._requests)
            _put(self.rows, feature_name, row)
            for watch in self._watches:
                watch.report(feature_name)

    def replace(self, index: int, rows: dict[str, Row]) -> Collection[str]:
        """Replace the copy by a reply with all flags, and return what has changed.

        Args:
            index: the index of the reply.
            rows: its documents; the copy keeps this dict.
        """
        with self.lock:
            # Race: the reply may be older than what became known after its request was
            # sent. A request sent later has it, whatever its index.
            self._single_reads = {
                feature_name: read
                for feature_name, read in self._single_reads.items()
                if read.requests_before == self._requests and read.at_index > index
            }
            for feature_name, read in self._single_reads.items():
                _put(rows, feature_name, read.row)
            before, self.rows = self.rows, rows
            self.index = index
            self.error = None
            # Compares documents, not indexes: Consul may have reset its index.
            changed = dict(before.items() ^ rows.items())
            for watch in self._watches:
                watch.report(*changed)
            return changed

    def reset(self, index: int, rows: dict[str, Row]) -> None:
        """Replace the copy where no thread keeps it up to date."""
        with self.lock:
            self.rows, self.index = rows, index
            self._single_reads.clear()

    def fail(self, error: str) -> None:
        """Note why the copy may be out of date, and raise that from every watch."""
        with self.lock:
            self.error = error
            for watch in self._watches:
                watch.fail(unavailable(error))


def unavailable(error: str) -> StoreUnavailableError:
    """Make the error that says why the flags may be out of date."""
    return StoreUnavailableError(f"Changes in Consul cannot be received: {error}")


def _put(rows: dict[str, Row], feature_name: str, row: Row | None) -> None:
    if row is None:
        rows.pop(feature_name, None)
    else:
        rows[feature_name] = row
