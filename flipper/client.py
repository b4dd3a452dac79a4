# SPDX-License-Identifier: Apache-2.0
"""The client: the one object through which an application asks and writes flags.

`asking` and `serving` have its questions, `per_request` what holds for all questions of
a request, `writing` and `writing_rules` its writes; `flag` has the handle of one flag.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .arguments import RESERVED_KEY, check_page
from .asking import AskingClient
from .exceptions import FlagDoesNotExistError, InvalidFlagDataError
from .flag import FeatureFlag
from .per_request import PerRequestClient
from .rules.rules_bucketer import without_rules
from .runtime.closing import Closeable
from .runtime.patching import register_reader_owner
from .writing import WritingClient
from .writing_rules import RulesClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Literal

    from typing_extensions import Self

    from .contrib.interface import AbstractFeatureFlagStore
    from .events.emitter import IEventEmitter

F = TypeVar("F", bound="Callable[..., Any]")


def flag_must_exist(method: F) -> F:
    """Make a method of a client raise `FlagDoesNotExistError` for a missing flag.

    The method takes the feature name first. The client's `exists` decides, and a cache
    may answer that; the client's own writes ask the store that is written to.
    """

    @wraps(method)
    def checked(
        self: FeatureFlagClient, feature_name: str, *args: Any, **kwargs: Any
    ) -> Any:
        if not self.exists(feature_name):
            raise FlagDoesNotExistError.for_flag(feature_name)
        return method(self, feature_name, *args, **kwargs)

    return cast("F", checked)


def store_of(client: FeatureFlagClient) -> AbstractFeatureFlagStore:
    """Return the store of a client.

    It is no attribute of clients, because subclasses may have one of this name.
    """
    return client._store  # noqa: SLF001  (the one way to it from outside)


class FeatureFlagClient(Closeable, PerRequestClient, RulesClient):
    """Answers questions about the flags of one store, and changes them. Thread-safe.

    `is_enabled` and `explain` never raise. A flag that is missing or cannot be
    evaluated gives the caller's default. A flag that cannot be read gives its last
    known state, or the default if none is known. The client then logs a warning, at
    most once a minute for each flag and kind of error, or once a minute for a store
    that fails. All other methods raise what the store raises.

    Args:
        store: an `AbstractFeatureFlagStore`, or any object with its six methods.
        on_error: "default" as above, or "raise" to raise every error from `is_enabled`
            and `explain` too, as flipper-client did.
        strict: what `is_enabled` does about a flag that does not exist: "silent"
            returns the default, "warn" also logs a warning, once per flag in a minute,
            and "raise" raises a `FlagDoesNotExistError`.

    Raises:
        InvalidArgumentError: `on_error` or `strict` has an unknown value, or `store` is
            a class.
    """

    def __init__(
        self,
        store: AbstractFeatureFlagStore,
        *,
        on_error: Literal["default", "raise"] = "default",
        strict: Literal["silent", "warn", "raise"] = "silent",
    ) -> None:
        AskingClient.__init__(self, store, on_error, strict)
        WritingClient.__init__(self, store, self._source)
        register_reader_owner(self)  # since `store.get` may be replaced at any time
        self.refresh_reader()

    @classmethod
    def from_url(
        cls,
        url: str | None = None,
        *,
        on_error: Literal["default", "raise"] = "default",
        strict: Literal["silent", "warn", "raise"] = "silent",
        **options: Any,
    ) -> Self:
        """Make a client and its store, which `close` closes.

        Args:
            url: the URL of the store, such as `redis://localhost:6379/0?sync=1`; see
                docs/store-urls.md. Without it, the environment variable `FLIPPER_URL`
                is used.
            on_error: as for the constructor.
            strict: as for the constructor.
            **options: options of the store, as in the query of the URL.

        Raises:
            InvalidArgumentError: there is no URL, or something in it is wrong.
            MissingDependencyError: the driver of the store is not installed.
            Exception: any error of the store's constructor.
        """
        from .urls import store_from_url

        store = store_from_url(url, **options)
        try:
            client = cls(store, on_error=on_error, strict=strict)
        except BaseException:
            store.close()
            raise
        client._store_to_close = store
        return client

    # Of `from_url`. A store that was given belongs to the caller.
    _store_to_close: Any = None

    def close(self) -> None:
        """Close the store that `from_url` has made. Idempotent.

        A store that was given to the constructor stays open: the caller closes it.
        """
        if self._store_to_close is not None:
            self._store_to_close.close()

    @property
    def events(self) -> IEventEmitter:
        """The emitter that announces writes; may be replaced by another emitter."""
        return self._events

    @events.setter
    def events(self, event_emitter: IEventEmitter) -> None:
        self._events = event_emitter

    def get_events(self) -> IEventEmitter:
        """Return `events`."""
        return self.events

    def set_events(self, event_emitter: IEventEmitter) -> None:
        """Replace `events`."""
        self.events = event_emitter

    def exists(self, feature_name: str) -> bool:
        """Return whether the store has a flag of this name."""
        return self._read(feature_name) is not None

    def get(self, feature_name: str) -> FeatureFlag:
        """Return a handle of a flag, without checking that the flag exists."""
        return FeatureFlag(feature_name, self)

    def list(self, limit: int | None = None, offset: int = 0) -> Iterator[FeatureFlag]:
        """Return a generator of the handles of all flags, in the store's order.

        The store is read when the first flag is taken.

        Args:
            limit: how many flags to return at most; `None` is all.
            offset: how many flags to skip first.

        Raises:
            InvalidArgumentError: `limit` or `offset` is negative.
        """
        check_page(limit, offset)
        # Not by `vars(self)`, which would make Python slower at finding attributes.
        if getattr(self.get, "__func__", None) is FeatureFlagClient.get:
            return FeatureFlag.handles_of(self, self._store, limit, offset)
        return self._list_by_get(limit, offset)

    def _list_by_get(self, limit: int | None, offset: int) -> Iterator[FeatureFlag]:
        """List the handles that a replaced or overridden `get` makes."""
        for item in self._store.list(limit=limit, offset=offset):
            if item is not None:  # a custom store, and a flag deleted meanwhile
                yield self.get(item.feature_name)

    def get_client_data(self, feature_name: str) -> dict[str, Any]:
        """Return a copy of the client data of a flag.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            InvalidFlagDataError: the stored document is not a flag.
        """
        data: dict[str, Any] = self.get_meta(feature_name)["client_data"]
        return data

    def get_meta(self, feature_name: str) -> dict[str, Any]:
        """Return a copy of all metadata of a flag as plain data.

        Its keys are `client_data`, `created_date` (seconds since the epoch),
        `conditions` and `bucketer`. `get_rules` returns the rules.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            InvalidFlagDataError: the stored document is not a flag.
        """
        item = self._read(feature_name)
        if item is None:
            raise FlagDoesNotExistError.for_flag(feature_name)
        meta: dict[str, Any] = item.meta
        # Drop-in: a test double may have other metadata.
        if type(meta) is dict and RESERVED_KEY in meta.get("client_data", ()):
            meta["client_data"] = without_rules(meta["client_data"])
        return meta

    def refresh_reader(self) -> None:
        """Choose again how to read and write.

        `runtime.patching` calls this when a method of a store was replaced, or when a
        circuit breaker opened or closed.
        """
        self._choose_reader()
        self._check_atomicity()

    def _read(self, feature_name: str) -> Any:
        """Return what the store has; name the flag in an error about its document."""
        try:
            return self._store.get(feature_name)
        except InvalidFlagDataError as error:
            error.feature_name = feature_name
            raise
