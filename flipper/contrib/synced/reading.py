# SPDX-License-Identifier: Apache-2.0
"""`FlagReader`: reads flags of a store into a copy, and decodes them later.

All flags are read in slices, between which other threads run. Changes that the store
reports meanwhile are applied at once, and what was read is applied at the end only.

Decoding takes most of the time of a start, and most processes ask for few of their
flags. So a start only reads the documents. The follower's thread then checks them, a
few at a time, and each flag is decoded when it is first asked for.
"""

from __future__ import annotations

from functools import partial
from time import sleep
from typing import TYPE_CHECKING, Any, Final

from ...contracts.document import DocumentFeatureFlagStore
from ...contracts.update import get_many
from ...exceptions import InvalidFlagDataError
from ...runtime.clock import monotonic
from ...runtime.containers import free
from ...runtime.deadline import call_with_timeout
from ...runtime.jitter import uniform
from ...runtime.log_throttle import LogThrottle
from ..util.iter import batchify

if TYPE_CHECKING:
    import threading
    from collections.abc import Collection, Sequence

    from ...contracts.watch import Watch
    from .copy import LocalCopy

# The thread checks documents for some seconds, and then pauses several times as long,
# because threads that answer questions wait while it works.
_SLICE: Final = 0.001
_PAUSE_PER_WORK: Final = 4
_CHECKED_PER_PAUSE: Final = 50
_COMPARED_PER_PAUSE: Final = 5000
_PAUSE: Final = 0.0005  # seconds
_ANSWER_TIMEOUT: Final = 4.0  # seconds for an answer, or for the next flag of a list
# While all flags are read, the thread looks after so many seconds whether that is done.
_LOOK_INTERVAL: Final = 0.05
# More changed flags than this, and than this share of all, are read by one list.
_MOST_SINGLE_READS: Final = 100
_MOST_OF_ALL: Final = 0.1
# All flags are read again after this number of intervals at the latest, even if nothing
# seems to have been missed. It varies by up to 20 %, so that processes which were
# started together do not read at the same time.
_MOST_INTERVALS: Final = 20
# With very many flags later: on the average, so many are read again in an interval. So
# a process that does nothing costs no more if there are more flags.
_FLAGS_PER_INTERVAL: Final = 1000


class FlagReader:
    """Reads all flags of a store. For the thread of the follower only.

    A store of documents gives the documents; those that the copy has already are not
    decoded again. Any other store gives its flags by `list`.

    Args:
        store: the store.
        copy: the copy of its flags.

    Attributes:
        unchecked: names of the copy whose documents may not be flags, as the keys of a
            dict without values, through which the garbage collector does not walk.
    """

    def __init__(self, store: Any, copy: LocalCopy) -> None:
        self.unchecked: dict[str, None] = {}
        self._store = store
        self._copy = copy
        self._revision: object = None
        self._intervals_left = 0.0
        self._must_read_again = False
        # The documents that have changed and are flags, or `None` for missing flags.
        self._changed: dict[str, bytes | None] = {}
        self._log = LogThrottle(__name__)

    def is_due(self, watch: Watch) -> bool:
        """Return, once in each interval, whether to read all flags again."""
        self._intervals_left -= 1
        if self._revision is None or self._intervals_left < 1:
            return True
        return watch.revision() != self._revision

    def read(
        self, watch: Watch | None, *, follows: bool
    ) -> tuple[float, dict[str, Any], Sequence[str] | None]:
        """Read all flags, and do not change those of the copy by them yet.

        Meanwhile, another thread reads a few flags at a time.

        Args:
            watch: reports the changes of the store.
            follows: whether to apply reported changes to the copy meanwhile.

        Returns:
            When reading began, by the monotonic clock; the documents, by name; the
            names of those that have changed. For a store that had to decode the flags,
            these are flags, and `None`.

        Raises:
            StoreTimeoutError: the next flag took too long.
            Exception: any error of the store or the watch.
        """
        found: dict[str, Any] = {}
        newer: set[str] = set()

        def wait(is_read: threading.Event, seconds: float) -> bool:
            if watch is None or not follows:
                return is_read.wait(seconds)
            return self._follow(watch, is_read, monotonic() + seconds, newer)

        self._must_read_again = False
        self._changed = {}
        self._revision = None if watch is None else watch.revision()
        began = monotonic()
        self._copy.begin_reading()
        read = partial(self._read_into, found)
        changed = call_with_timeout(_ANSWER_TIMEOUT, read, found.__len__, wait=wait)
        intervals = max(_MOST_INTERVALS, len(found) / _FLAGS_PER_INTERVAL)
        self._intervals_left = uniform(0.8, 1.2) * intervals
        self._check_changed(found, changed)
        # Race: what was read of these flags may be older than what the copy has.
        flags = self._copy.flags
        for feature_name in newer:
            if (item := flags.get(feature_name)) is None:
                found.pop(feature_name, None)
            elif changed is None:
                found[feature_name] = item
            else:
                found.setdefault(feature_name, b"")  # so that it is not missing
        if changed is not None and newer:
            changed = [name for name in changed if name not in newer]
            for feature_name in newer:
                self._changed.pop(feature_name, None)
        return began, found, changed

    def _read_into(self, found: dict[str, Any]) -> Sequence[str] | None:
        if _reads_undecoded(self._store, "list"):
            flags = self._copy.flags
            return self._store.read_undecoded(found, flags)  # type: ignore[no-any-return]
        for item in self._store.list():
            # A custom store may give `None` for a flag that was deleted meanwhile.
            if item is not None:
                found[item.feature_name] = item
        return None

    def _follow(
        self, watch: Watch, is_read: threading.Event, end: float, newer: set[str]
    ) -> bool:
        """Apply changes until all flags are read; return whether they are.

        Args:
            watch: reports the changes.
            is_read: set when all flags are read.
            end: when to return at the latest, by the monotonic clock.
            newer: gets the names of flags that the copy has got meanwhile.
        """
        while not is_read.is_set():
            if monotonic() >= end:
                return False
            changed = watch.wait(_LOOK_INTERVAL)
            if changed is None or not self._read_few(changed):
                self._must_read_again = True
            else:
                newer.update(changed)
        return True

    def read_some(self, feature_names: Collection[str]) -> bool:
        """Read some flags into the copy; return whether that is enough.

        It is not for very many flags, nor if changes of other flags were missed.

        Raises:
            StoreTimeoutError: the next flag took too long.
            Exception: any error of the store.
        """
        self._copy.begin_reading()
        return not self._must_read_again and self._read_few(feature_names)

    def _read_few(self, feature_names: Collection[str]) -> bool:
        """Read flags into the copy, unless there are too many; return whether it did.

        Only in this way it may be called while all flags are read: local writes since
        `begin_reading` stay known.
        """
        most = max(_MOST_SINGLE_READS, len(self._copy.flags) * _MOST_OF_ALL)
        if len(feature_names) > most:
            return False
        found: dict[str, Any] = {}

        def read() -> None:
            for names in batchify(feature_names, _MOST_SINGLE_READS):
                if _reads_undecoded(self._store, "get"):
                    documents = self._store.read_few_undecoded(names)
                    for name in names:
                        found[name] = self._checked(name, documents.get(name))
                    continue
                if len(names) > 1:
                    found.update(get_many(self._store, names))
                for name in names:
                    if name not in found:
                        found[name] = self.read_flag(name)

        if feature_names:
            call_with_timeout(_ANSWER_TIMEOUT, read, found.__len__)
            self._copy.apply(found, complete=False)
        return True

    def _checked(self, feature_name: str, document: bytes | None) -> bytes | None:
        """Return a document if it is a flag, else `None`."""
        if document is None or self._store.flag_in(feature_name, document) is None:
            return None
        return document

    def read_flag(self, feature_name: str) -> Any:
        """Return a flag of the store; `None` if it is missing or invalid."""
        try:
            return self._store.get(feature_name)
        except InvalidFlagDataError as error:  # `list` leaves it out, too
            self._log.warning(("flag", feature_name), "A flag is left out: %s", error)
            return None

    def _check_changed(
        self, found: dict[str, Any], changed: Sequence[str] | None
    ) -> None:
        """Check what has changed, and drop what is not a flag.

        Nothing is checked before the copy has its first flags.
        """
        if self._copy.is_unused:
            return
        for number, feature_name in enumerate(changed or (), 1):
            if feature_name in self._changed or feature_name not in found:
                continue  # it was checked by the last call
            document = self._checked(feature_name, found[feature_name])
            if document is None:
                del found[feature_name]
            else:
                self._changed[feature_name] = document
            if not number % _CHECKED_PER_PAUSE:
                sleep(_PAUSE)

    def apply(self, found: dict[str, Any], changed: Sequence[str] | None) -> None:
        """Replace the flags of the copy by those that were read; empty `found`."""
        if self._copy.fill(found):
            self.unchecked = dict.fromkeys(changed or ())
            return
        self._check_changed(found, changed)
        applied = found if changed is None else self._changed
        flags = self._copy.flags
        # Other threads would wait while each of very many flags is looked at.
        if len(found) != len(flags) + sum(name not in flags for name in applied):
            applied.update(self._missing_in(found))
        self._copy.apply(applied, complete=False)
        self._changed = {}
        free(found)

    def _missing_in(self, found: dict[str, Any]) -> dict[str, None]:
        """Return the flags of the copy that were not found."""
        missing: dict[str, None] = {}
        for number, feature_name in enumerate(list(self._copy.flags), 1):
            if feature_name not in found:
                missing[feature_name] = None
            if not number % _COMPARED_PER_PAUSE:
                sleep(_PAUSE)
        return missing

    def check_some(self) -> float | None:
        """Check some flags; return the seconds until the next call, `None` for never.

        A flag is taken out of the copy if its document is not one.
        """
        unchecked = self.unchecked
        if not unchecked:
            return None
        began = monotonic()
        while unchecked and monotonic() < began + _SLICE:
            self._check(unchecked.popitem()[0])
        if not unchecked:
            self.unchecked = {}  # an empty dict may keep the memory of many names
        return (monotonic() - began) * _PAUSE_PER_WORK

    def check_all(self) -> None:
        """Check all flags at once, where no thread does that later."""
        while self.unchecked:
            self._check(self.unchecked.popitem()[0])
        self.unchecked = {}

    def _check(self, feature_name: str) -> None:
        document = self._copy.flags.get(feature_name)
        if type(document) is bytes and not self._store.flag_in(feature_name, document):
            self._copy.discard(feature_name, document)


def _reads_undecoded(store: Any, method: str) -> bool:
    """Return whether reading documents gives the flags that a method gives."""
    usual = getattr(DocumentFeatureFlagStore, method)
    return getattr(type(store), method, None) is usual and method not in vars(store)
