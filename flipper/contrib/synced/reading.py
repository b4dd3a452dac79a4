# SPDX-License-Identifier: Apache-2.0
"""`FlagReader`: reads all flags of a store into a copy, and decodes them later.

Decoding takes most of the time of a start, and most processes ask for few of their
flags. So a start only reads the documents. The follower's thread then checks them, a
few at a time, and each flag is decoded when it is first asked for.
"""

from __future__ import annotations

from time import sleep
from typing import TYPE_CHECKING, Any, Final

from ...contracts.document import reads_undecoded
from ...runtime.clock import monotonic
from ...runtime.jitter import uniform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...contracts.watch import Watch
    from .copy import LocalCopy

# The thread checks documents for some seconds, and then pauses several times as long,
# because threads that answer questions wait while it works.
_SLICE: Final = 0.001
_PAUSE_PER_WORK: Final = 4
_DECODED_PER_PAUSE: Final = 50
_COMPARED_PER_PAUSE: Final = 5000
_PAUSE: Final = 0.0005  # seconds
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
        unchecked: names of the copy whose documents may not be flags.
    """

    def __init__(self, store: Any, copy: LocalCopy) -> None:
        self.unchecked: list[str] = []
        self._store = store
        self._copy = copy
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

    def read(self, found: dict[str, Any]) -> Sequence[str] | None:
        """Read all flags into `found`, by name.

        Returns:
            The names of those that have changed, which are not decoded. `None` for a
            store whose flags had to be decoded.
        """
        if reads_undecoded(self._store):
            flags = self._copy.flags
            return self._store.read_undecoded(found, flags)  # type: ignore[no-any-return]
        for item in self._store.list():
            # A custom store may give `None` for a flag that was deleted meanwhile.
            if item is not None:
                found[item.feature_name] = item
        return None

    def decode_changed(
        self, found: dict[str, Any], changed: Sequence[str] | None
    ) -> None:
        """Decode what `read` has found to be changed, and drop what is not a flag.

        Nothing is decoded before the copy has its first flags.
        """
        if self._copy.is_unused:
            return
        for number, feature_name in enumerate(changed or (), 1):
            document = found.get(feature_name)
            if type(document) is not bytes:
                continue  # it was decoded by the last call, or read again since
            item = self._store.flag_in(feature_name, document)
            if item is None:
                del found[feature_name]
            else:
                found[feature_name] = item
            if not number % _DECODED_PER_PAUSE:
                sleep(_PAUSE)

    def apply(self, found: dict[str, Any], changed: Sequence[str] | None) -> None:
        """Replace the flags of the copy by those that were read."""
        if self._copy.fill(found):
            self.unchecked = [*(changed or ())]
            return
        self.decode_changed(found, changed)
        applied: dict[str, Any] = found
        if changed is not None:
            applied = {name: found[name] for name in changed if name in found}
        flags = self._copy.flags
        # Other threads would wait while each of very many flags is looked at.
        if len(found) != len(flags) + sum(name not in flags for name in applied):
            applied.update(self._missing_in(found))
        self._copy.apply(applied, complete=False)

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
            self._check(unchecked.pop())
        return (monotonic() - began) * _PAUSE_PER_WORK

    def check_all(self) -> None:
        """Check all flags at once, where no thread does that later."""
        while self.unchecked:
            self._check(self.unchecked.pop())

    def _check(self, feature_name: str) -> None:
        document = self._copy.flags.get(feature_name)
        if type(document) is bytes and not self._store.flag_in(feature_name, document):
            self._copy.discard(feature_name, document)
