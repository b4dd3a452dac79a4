# SPDX-License-Identifier: Apache-2.0
"""The command that prints changes of flags as they happen."""

from __future__ import annotations

import queue
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from ..contrib.storage import FeatureFlagStoreItem
from .changes import Change
from .options import command
from .output import note, print_json
from .plans import plain_change, print_change

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..contrib.synced import SyncedFeatureFlagStore
    from .session import Session

_POLL_INTERVAL = 2.0  # seconds; finds the changes of stores without a change signal


@command("watch")
@click.option("--count", type=click.IntRange(1), help="Stop after this many changes.")
def watch(session: Session, count: int | None) -> None:
    """Print each change of a flag when it happens, until Ctrl-C.

    With --json, each change is one line.
    """
    session.makes_file = True  # another process may be about to make it
    changes: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    with followed(session.store) as synced, suppress(KeyboardInterrupt):
        synced.on_change(lambda change: changes.put(("change", change)))
        synced.on_status(lambda status: changes.put(("status", status)))
        note("Watching; Ctrl-C ends.")
        shown, is_live = 0, True
        while count is None or shown < count:
            kind, what = changes.get()
            if kind == "status":
                # The first one may only say that the copy of the flags is loaded.
                if not (is_live and what.state == "live"):
                    note(f"The store is {what.state}.")
                is_live = what.state == "live"
                continue
            _print(session, Change(what.feature_name, _item(what.old), _item(what.new)))
            shown += 1


@contextmanager
def followed(store: Any) -> Iterator[SyncedFeatureFlagStore]:
    """Give a synced store of another store, which may be one itself."""
    from ..contrib.synced import SyncedFeatureFlagStore

    if isinstance(store, SyncedFeatureFlagStore):
        yield store
        return
    with SyncedFeatureFlagStore(store, poll_interval=_POLL_INTERVAL) as synced:
        yield synced


def _item(flag: Any) -> FeatureFlagStoreItem | None:
    return None if flag is None else FeatureFlagStoreItem.from_item(flag)


def _print(session: Session, change: Change) -> None:
    now = datetime.now().astimezone()
    if session.as_json:
        fields = {"time": now.isoformat(), **plain_change(change)}
        print_json(fields, indent=None)
        return
    click.echo(click.style(f"{now:%H:%M:%S} ", dim=True), nl=False)
    print_change(change)
