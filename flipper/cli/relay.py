# SPDX-License-Identifier: Apache-2.0
"""The command that keeps a second store equal to a first one."""

from __future__ import annotations

import queue
import signal
import sys
from contextlib import suppress
from time import sleep
from typing import TYPE_CHECKING, Any, Final

import click

from ..client import FeatureFlagClient
from ..contrib.storage import FeatureFlagStoreItem
from .changes import Change, compare, flags_of
from .errors import message_of
from .options import command, yes
from .output import note, some_of
from .plans import make_changes
from .transfer import flag_count, target_name
from .watch import followed

if TYPE_CHECKING:
    from ..contrib.synced import SyncedFeatureFlagStore
    from .session import Session

# In seconds.
_COMPARE_EVERY: Final = 60.0
_PAUSE_AFTER_ERROR: Final = 1.0


@command("relay", has_store=False)
@click.argument("source", metavar="URL1")
@click.argument("target", metavar="URL2")
@yes
def relay(session: Session, source: str, target: str) -> None:
    """Keep the flags of URL2 equal to those of URL1, until Ctrl-C or SIGTERM.

    So one process on each host follows the database, and all others follow the relay's
    file, such as sqlite:////run/flipper/flags.db?sync=1. Nobody else may write to URL2.
    While URL1 is away, URL2 keeps its flags.
    """
    session.makes_file = True
    with followed(session.open(source)) as first:
        second = session.open(target)
        changes = missing(first, second)
        _confirm(session, changes, target)
        make_changes(FeatureFlagClient(second), changes, "Copying")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        with suppress(KeyboardInterrupt):
            note(f"Relaying {flag_count(len(flags_of(first)))}; Ctrl-C ends.")
            _Relay(first, second).run()


def missing(first: Any, second: Any) -> list[Change]:
    """Return what has to change for the second store to have the flags of the first."""
    return compare(flags_of(second), flags_of(first).values(), prune=True)


def _confirm(session: Session, changes: list[Change], target: str) -> None:
    """Ask before a store that may not be meant loses what it has."""
    lost = [change.feature_name for change in changes if change.kind != "create"]
    if lost:
        names = some_of(map(repr, lost))
        session.confirm(
            f"{names} of {target_name(target)} will be replaced or deleted."
        )


class _Relay:
    """Repeats all changes of one store in another, in one thread.

    Args:
        first: the store that is followed.
        second: the store that is written.
    """

    def __init__(self, first: SyncedFeatureFlagStore, second: Any) -> None:
        self._first = first
        self._second = second
        self._client = FeatureFlagClient(second)
        self._names: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._failed = False
        first.on_change(lambda change: self._names.put(change.feature_name))
        first.on_status(lambda status: note(f"URL1 is {status.state}."))

    def run(self) -> None:
        """Repeat changes, for ever."""
        # The flags may have changed since they were copied, before this listened.
        name: str | None = None
        while True:
            try:
                self._repeat(name)
            except Exception as error:  # noqa: BLE001  (URL2 may be away for a while)
                if not self._failed:
                    note(f"URL2 was not written: {message_of(error)}")
                self._failed = True
                name = None
                sleep(_PAUSE_AFTER_ERROR)
                continue
            if self._failed:
                note("URL2 is written again.")
            self._failed = False
            name = self._next_name()

    def _next_name(self) -> str | None:
        """Wait for a change, and return the flag; `None` when all flags are due."""
        try:
            return self._names.get(timeout=_COMPARE_EVERY)
        except queue.Empty:
            return None

    def _repeat(self, feature_name: str | None) -> None:
        """Write what is missing of one flag, or of all flags."""
        if feature_name is None:
            changes = missing(self._first, self._second)
        else:
            before = self._second.get(feature_name)
            after = self._first.get(feature_name)
            current = {} if before is None else {feature_name: _item(before)}
            wanted = [] if after is None else [_item(after)]
            changes = compare(current, wanted, prune=True)
        for change in changes:
            change.apply(self._client)


def _item(flag: Any) -> FeatureFlagStoreItem:
    return FeatureFlagStoreItem.from_item(flag)
