# SPDX-License-Identifier: Apache-2.0
"""`FlagReader`: reads all flags of a store into a copy, and decodes them later.

Decoding takes most of the time of a start, and most processes ask for few of their
flags. So a start only reads the documents. The follower's thread then checks them, a
few at a time, and each flag is decoded when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ...contracts.document import reads_undecoded
from ...runtime.clock import monotonic
from ...runtime.jitter import uniform

if TYPE_CHECKING:
    from ...contracts.watch import Watch
    from ..storage.undecoded import UndecodedItem
    from .copy import LocalCopy

# The thread checks documents for some seconds, and then pauses several times as long,
# because threads that answer questions wait while it works.
_SLICE: Final = 0.001
_PAUSE_PER_WORK: Final = 4
# All flags are read again after this number of intervals at the latest, even if nothing
# seems to have been missed. It varies by up to 20 %, so that processes which were
# started together do not read at the same time.
_MOST_INTERVALS: Final = 20


class FlagReader:
    """Reads all flags of a store. For the thread of the follower only.

    A store of documents gives the documents; those that the copy has already are not
    decoded again. Any other store gives its flags by `list`.

    Args:
        store: the store.
        copy: the copy of its flags.

    Attributes:
        unchecked: flags of the copy whose documents may not be flags.
    """

    def __init__(self, store: Any, copy: LocalCopy) -> None:
        self.unchecked: list[UndecodedItem] = []
        self._store = store
        self._copy = copy
        self._undecoded: list[UndecodedItem] = []
        self._revision: object = None
        self._intervals_left = 0.0

    def note_revision(self, watch: Watch | None) -> None:
        """Note, before all flags are read, which state of the store is read."""
        self._revision = None if watch is None else watch.revision()
        self._intervals_left = uniform(0.8, 1.2) * _MOST_INTERVALS

    def is_due(self, watch: Watch) -> bool:
        """Return, once in each interval, whether to read all flags again."""
        self._intervals_left -= 1
        if self._revision is None or self._intervals_left < 1:
            return True
        return watch.revision() != self._revision

    def read(self, found: dict[str, Any]) -> None:
        """Read all flags into `found`, by name."""
        self._undecoded = []
        if reads_undecoded(self._store):
            self._undecoded = self._store.read_undecoded(found, self._copy.flags)
            return
        for item in self._store.list():
            # A custom store may give `None` for a flag that was deleted meanwhile.
            if item is not None:
                found[item.feature_name] = item

    def drop_invalid(self, found: dict[str, Any]) -> None:
        """Decode the flags that `read` has just found new, and drop those that are none.

        Nothing is decoded before the first flags of the copy.
        """
        if self._copy.is_unused:
            return
        undecoded, self._undecoded = self._undecoded, []
        for item in undecoded:
            if self._store.is_flag(item):
                item.decode()
            else:
                del found[item.feature_name]

    def apply(self, found: dict[str, Any]) -> None:
        """Replace the flags of the copy by those that were read."""
        if self._undecoded and self._copy.fill(found):
            self.unchecked, self._undecoded = self._undecoded, []
            return
        self.drop_invalid(found)
        self._copy.apply(found, complete=True)

    def check_some(self) -> float | None:
        """Check some flags; return the seconds until the next call, `None` for never.

        A flag is taken out of the copy if its document is not one.
        """
        unchecked = self.unchecked
        if not unchecked:
            return None
        began = monotonic()
        while unchecked and monotonic() < began + _SLICE:
            self._check(unchecked.pop())
        return (monotonic() - began) * _PAUSE_PER_WORK

    def check_all(self) -> None:
        """Check all flags at once, where no thread does that later."""
        while self.unchecked:
            self._check(self.unchecked.pop())

    def _check(self, item: UndecodedItem) -> None:
        if not self._store.is_flag(item):
            self._copy.discard(item)
