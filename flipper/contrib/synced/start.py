# SPDX-License-Identifier: Apache-2.0
"""Arguments of the synced store, and its start while the inner store is down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ...exceptions import FlipperError, InvalidArgumentError, StoreUnavailableError

if TYPE_CHECKING:
    from .follower import Follower
    from .snapshot import Snapshot

_CHOICES: Final = ("raise", "empty", "snapshot")


def check_arguments(
    on_start_failure: str, snapshot: object, poll_interval: float
) -> None:
    """Check arguments of `SyncedFeatureFlagStore`.

    Raises:
        InvalidArgumentError: an argument is not allowed.
    """
    if on_start_failure not in _CHOICES:
        raise InvalidArgumentError(
            f"on_start_failure={on_start_failure!r} is unknown; use one of "
            f"{', '.join(map(repr, _CHOICES))}",
            value=on_start_failure,
        )
    if on_start_failure == "snapshot" and snapshot is None:
        raise InvalidArgumentError(
            "on_start_failure='snapshot' needs a file; use snapshot='flags.json'",
            value=snapshot,
        )
    if not poll_interval > 0:
        raise InvalidArgumentError(
            f"poll_interval={poll_interval!r} is not a pause; use seconds, more than 0",
            value=poll_interval,
        )


def start_without_store(
    follower: Follower,
    store: Any,
    *,
    on_start_failure: str,
    snapshot: Snapshot | None,
    waited: float,
) -> None:
    """Do what `on_start_failure` says after the first reading of the flags has failed.

    Args:
        follower: the follower of the inner store.
        store: the inner store.
        on_start_failure: "raise", "empty" or "snapshot".
        snapshot: the file for the last of these.
        waited: seconds that the first reading was given.

    Raises:
        StoreUnavailableError: there are no flags to start with.
    """
    error = follower.status().last_error
    remedy = (
        "; is its server running? on_start_failure= lets it start without the server"
    )
    if on_start_failure == "empty":
        return
    if on_start_failure == "snapshot" and snapshot is not None:
        try:
            follower.load_snapshot(snapshot)
        except (OSError, FlipperError) as problem:
            error, remedy = problem, ", nor from the snapshot"
        else:
            return
    raise StoreUnavailableError(
        f"The flags could not be loaded from {type(store).__name__} within "
        f"{waited:g} seconds{remedy} ({type(error).__name__}: {error})"
    ) from error
