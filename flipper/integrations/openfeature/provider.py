# SPDX-License-Identifier: Apache-2.0
"""`FlipperProvider`: answers the questions of OpenFeature by a `FeatureFlagClient`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from openfeature.exception import ProviderFatalError
from openfeature.provider import Metadata

from ...client import FeatureFlagClient, store_of
from ...exceptions import InvalidArgumentError
from ...runtime.log_throttle import LogThrottle
from .events import SyncedStoreEvents, synced_store_in
from .resolving import ResolvingProvider

if TYPE_CHECKING:
    from typing import Protocol

    from openfeature.evaluation_context import EvaluationContext
    from openfeature.track import TrackingEventDetails
    from typing_extensions import Self

    class Track(Protocol):
        """What a provider calls for each tracking event."""

        def __call__(
            self,
            event_name: str,
            arguments: dict[str, Any],
            details: TrackingEventDetails | None,
            /,
        ) -> object:
            """Take the event, the arguments of its context, and its details."""


NAME: Final = "flipper"
"""The name of the provider in the metadata and in telemetry."""

_METADATA: Final = Metadata(name=NAME)


class FlipperProvider(ResolvingProvider):
    """Answers the questions of OpenFeature. Safe for threads, asyncio and forks.

    The attributes of the evaluation context are the arguments of the question, and so
    is the targeting key. The client data of a flag is its flag metadata, without what
    is neither text, a number nor a boolean. A question never raises.

    Args:
        client: the client that answers. `shutdown` does not close it.
        targeting_key: the name of the argument that is the targeting key. An attribute
            of this name takes precedence.
        track: is called for each tracking event, with the name of the event, a dict of
            the arguments, and its `TrackingEventDetails` or `None`, in the thread that
            tracks. Errors are logged. Without it, tracking does nothing.

    Raises:
        InvalidArgumentError: `client` is no `FeatureFlagClient`, `targeting_key` is no
            text, or `track` cannot be called.
    """

    def __init__(
        self,
        client: FeatureFlagClient,
        *,
        targeting_key: str = "user_id",
        track: Track | None = None,
    ) -> None:
        _check_arguments(client, targeting_key, track)
        super().__init__(client, targeting_key)
        self._track = track
        self._owns_client = False
        self._is_closed = False
        self._log = LogThrottle(__name__)
        store = synced_store_in(store_of(client))
        self._events = None if store is None else SyncedStoreEvents(store, self.emit)

    @classmethod
    def from_url(
        cls,
        url: str | None = None,
        *,
        targeting_key: str = "user_id",
        track: Track | None = None,
        **options: Any,
    ) -> Self:
        """Make a provider, its client and its store, which `shutdown` closes.

        Args:
            url: the URL of the store; see `FeatureFlagClient.from_url`.
            targeting_key: as for the constructor.
            track: as for the constructor.
            **options: options of the store, as in the query of the URL.

        Raises:
            InvalidArgumentError: there is no URL, or something in it is wrong.
            MissingDependencyError: the driver of the store is not installed.
            Exception: any error of the store's constructor.
        """
        client = FeatureFlagClient.from_url(url, **options)
        try:
            provider = cls(client, targeting_key=targeting_key, track=track)
        except BaseException:
            client.close()
            raise
        provider._owns_client = True
        return provider

    def get_metadata(self) -> Metadata:
        """Return the name of the provider, "flipper"."""
        return _METADATA

    def initialize(self, evaluation_context: EvaluationContext) -> None:  # noqa: ARG002
        """Emit the events of a synced store from now on; OpenFeature calls this.

        Raises:
            ProviderNotReadyError: the synced store has not read the flags yet. The
                provider announces when it has; until then, defaults answer.
            ProviderFatalError: `shutdown` has closed the store.
        """
        if self._is_closed:
            raise ProviderFatalError(
                "This provider was shut down, which has closed its store; make a new "
                "one by FlipperProvider.from_url()"
            )
        if self._events is not None:
            self._events.start()

    def shutdown(self) -> None:
        """Stop the events, and close the store that `from_url` has made. Idempotent."""
        if self._events is not None:
            self._events.stop()
        if self._owns_client:
            self._is_closed = True
            self._client.close()

    def track(
        self,
        tracking_event_name: str,
        evaluation_context: EvaluationContext | None = None,
        tracking_event_details: TrackingEventDetails | None = None,
    ) -> None:
        """Call the function that was given for tracking events; log its errors."""
        if self._track is None:
            return
        try:
            arguments = self._arguments(evaluation_context)
            self._track(tracking_event_name, arguments, tracking_event_details)
        except Exception as error:  # noqa: BLE001  (tracking must not stop the caller)
            self._log.warning(
                ("track", type(error)),
                "The function for tracking events has raised an error (%s)",
                type(error).__name__,
                cause=error,
            )


def _check_arguments(client: Any, targeting_key: Any, track: Any) -> None:
    if not isinstance(client, FeatureFlagClient):
        raise InvalidArgumentError(
            f"{client!r} is no FeatureFlagClient; use FlipperProvider(client), or "
            f"FlipperProvider.from_url(url)",
            value=client,
        )
    if not isinstance(targeting_key, str) or not targeting_key:
        raise InvalidArgumentError(
            f"targeting_key={targeting_key!r} is not the name of an argument; use "
            f"text, as targeting_key='user_id'",
            value=targeting_key,
        )
    if track is not None and not callable(track):
        raise InvalidArgumentError(
            f"track={track!r} cannot be called; use a function of three arguments, the "
            f"name of the event, the dict of arguments, and the details",
            value=track,
        )
