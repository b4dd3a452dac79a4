# SPDX-License-Identifier: Apache-2.0
"""The face of the library: asks one store, writes to it, and announces each write."""

from __future__ import annotations

from functools import wraps
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from weakref import WeakMethod

from .arguments import (
    check_bucketer,
    check_choice,
    check_client_data,
    check_condition,
    check_conditions,
    check_feature_name,
    check_page,
    check_state,
)
from .conditions.condition import Condition
from .contracts.atomic import (
    SupportsUpdate,
    delete_existing,
    get_uncached,
    update,
    updates_atomically,
    write_lock,
)
from .contracts.circuit_breaker import (
    AskedEachTime,
    has_opened_circuit,
    open_circuit,
    reader_of,
)
from .contracts.last_known import ANSWERS, SupportsLastKnown, TableFastPath, remembering
from .contrib.storage.item import FeatureFlagStoreItem, switched_off, switched_on
from .evaluation import Evaluation, Reason
from .events.emitter import FlipperEventEmitter
from .events.types import EventType
from .exceptions import (
    FlagDoesNotExistError,
    InvalidArgumentError,
    InvalidFlagDataError,
)
from .flag import FeatureFlag
from .runtime.containers import copy_containers
from .runtime.log_throttle import LogThrottle, OutageLog
from .runtime.patching import register_reader_owner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from .contracts.atomic import Change
    from .contrib.interface import AbstractFeatureFlagStore
    from .events.emitter import IEventEmitter

F = TypeVar("F", bound="Callable[..., Any]")

_NOT_GIVEN: Final[Any] = object()
# Members of an Enum are slow to be looked up on Python 3.11.
_PRE_ENABLE, _POST_ENABLE = EventType.PRE_ENABLE, EventType.POST_ENABLE
_PRE_DISABLE, _POST_DISABLE = EventType.PRE_DISABLE, EventType.POST_DISABLE
_PRE_ADD_CONDITION = EventType.PRE_ADD_CONDITION
_POST_ADD_CONDITION = EventType.POST_ADD_CONDITION
_OUTAGE: Final = "flags are answered by their last known state, else by the default"


def flag_must_exist(method: F) -> F:
    """Make a method of a client raise `FlagDoesNotExistError` for a missing flag.

    The method takes the feature name first. The client's `exists` decides, which may
    answer from a cache; the client's own writes ask the store that is written to.
    """

    @wraps(method)
    def checked(
        self: FeatureFlagClient, feature_name: str, *args: Any, **kwargs: Any
    ) -> Any:
        if not self.exists(feature_name):
            raise FlagDoesNotExistError.for_flag(feature_name)
        return method(self, feature_name, *args, **kwargs)

    return cast("F", checked)


class FeatureFlagClient:
    """Asks about the flags of one store, and changes them. Safe for threads.

    Asking by `is_enabled` or `explain` never raises: what cannot be evaluated answers
    the caller's default, what cannot be read answers by the last known state of the
    flag, else the default. A warning is logged: one per flag and kind of error in a
    minute, or one a minute for a store that fails. All other methods raise what the
    store raises.

    Args:
        store: an `AbstractFeatureFlagStore`, or any object with its six methods.
        on_error: "default" as above, or "raise" to let every error out of `is_enabled`
            and `explain` too, as flipper-client did.
        strict: what `is_enabled` does about a flag that does not exist: answer its
            default in "silent", "warn" of it in the log, once per flag in a minute, or
            "raise" a `FlagDoesNotExistError`.

    Raises:
        InvalidArgumentError: `on_error` or `strict` is something else, or `store` is a
            class.
    """

    def __init__(
        self,
        store: AbstractFeatureFlagStore,
        *,
        on_error: str = "default",
        strict: str = "silent",
    ) -> None:
        check_choice("on_error", on_error, "default", "raise")
        check_choice("strict", strict, "silent", "warn", "raise")
        if isinstance(store, type):
            raise InvalidArgumentError(
                f"{store.__name__} is a class, not a store; use {store.__name__}(...)",
                value=store,
            )
        self._store = store
        self._is_atomic: bool | None = None
        self._raises = on_error == "raise"
        self._strict = None if strict == "silent" else strict
        self._source = source = remembering(store)
        # Most stores have nothing to learn of what they wrote themselves.
        self._records_writes = (
            type(source).record_write is not SupportsLastKnown.record_write
        )
        self._log = LogThrottle(__name__)
        self._outage = OutageLog(__name__, store, _OUTAGE)
        register_reader_owner(self)  # `store.get` may be replaced at any time
        self.refresh_reader()
        self._events: IEventEmitter = FlipperEventEmitter()

    @property
    def events(self) -> IEventEmitter:
        """Who is told about writes; may be replaced by an emitter of one's own."""
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

    # -- asking ------------------------------------------------------------------------

    def is_enabled(
        self,
        feature_name: str = _NOT_GIVEN,
        /,
        default: Any = False,
        **conditions: Any,
    ) -> Any:
        """Tell whether a flag is on for these arguments; never raise.

        Args:
            feature_name: the flag; may also be given by keyword.
            default: what a missing flag answers, and one that cannot be evaluated.
            **conditions: what conditions and bucketers look at, by any names.
        """
        if feature_name is _NOT_GIVEN:
            feature_name = _name_among(conditions)
        try:
            item = self._reader.get(feature_name)
        except Exception as error:  # noqa: BLE001  (asking never raises)
            item = self._after_failed_read(feature_name, error)
        if item is None:
            if self._strict is not None:
                self._report_missing(feature_name)
            return default
        try:
            if type(item) is FeatureFlagStoreItem:
                answer = item.answer
                if answer is None:
                    return (item.decider or item.compile())(conditions)
                return answer
            return item.is_enabled(**conditions)
        except Exception as error:  # noqa: BLE001  (asking never raises)
            self._warn_or_raise(feature_name, error)
            return default

    def explain(
        self,
        feature_name: str = _NOT_GIVEN,
        /,
        default: Any = False,
        **conditions: Any,
    ) -> Evaluation:
        """Decide as `is_enabled` does, and return the answer with its reason.

        `print` makes a sentence of it. A random bucketer draws for it, as it does for
        every question.
        """
        if feature_name is _NOT_GIVEN:
            feature_name = _name_among(conditions)
        failure: Exception | None = None
        try:
            item = self._reader.get(feature_name)
        except Exception as error:  # noqa: BLE001  (asking never raises)
            failure = error
            item = self._after_failed_read(feature_name, error)
        if item is None:
            reason = Reason.MISSING if failure is None else Reason.ERROR
            return Evaluation(feature_name, default, reason, error=failure)
        try:
            if type(item) is not FeatureFlagStoreItem:
                answer = item.is_enabled(**conditions)
                return Evaluation(feature_name, answer, Reason.OWN_ITEM, error=failure)
            return Evaluation.of(feature_name, item.decide(conditions), failure)
        except Exception as error:  # noqa: BLE001  (asking never raises)
            self._warn_or_raise(feature_name, error)
            return Evaluation(feature_name, default, Reason.ERROR, error=error)

    def exists(self, feature_name: str) -> bool:
        """Tell whether the store has a flag of this name."""
        return self._read(feature_name) is not None

    def get(self, feature_name: str) -> FeatureFlag:
        """Return a handle of a flag, without asking whether there is one."""
        return FeatureFlag(feature_name, self)

    def list(self, limit: int | None = None, offset: int = 0) -> Iterator[FeatureFlag]:
        """Return a generator of the flags: `offset` are skipped, `limit` given.

        The store is asked when the first flag is; the order is the store's.

        Raises:
            InvalidArgumentError: `limit` or `offset` is negative.
        """
        check_page(limit, offset)
        return self._list(limit, offset)

    def _list(self, limit: int | None, offset: int) -> Iterator[FeatureFlag]:
        items = self._store.list(limit=limit, offset=offset)
        # Not by `vars(self)`, which would make Python slower at finding attributes.
        if getattr(self.get, "__func__", None) is not FeatureFlagClient.get:
            for item in items:
                if item is not None:  # a store of one's own, a flag deleted meanwhile
                    yield self.get(item.feature_name)
            return
        # The same without two calls for each flag.
        make = object.__new__
        for item in items:
            if item is not None:
                flag = make(FeatureFlag)
                flag.name = item.feature_name
                flag._client = self  # noqa: SLF001  (its own)
                yield flag

    def get_client_data(self, feature_name: str) -> dict[str, Any]:
        """Return the client data of a flag, a copy.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            InvalidFlagDataError: what is stored is no flag.
        """
        data: dict[str, Any] = self.get_meta(feature_name)["client_data"]
        return data

    def get_meta(self, feature_name: str) -> dict[str, Any]:
        """Return all metadata of a flag as plain data, a copy.

        Its keys are `client_data`, `created_date` (seconds since the epoch),
        `conditions` and `bucketer`.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            InvalidFlagDataError: what is stored is no flag.
        """
        meta: dict[str, Any] = self._existing(feature_name).meta
        return meta

    # -- writing -----------------------------------------------------------------------

    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlag:
        """Write a new flag, over the whole of what was there, and return its handle.

        Args:
            feature_name: its name, unique.
            is_enabled: its state.
            client_data: data of the application's own to be kept with it; JSON has to
                be able to express it for all stores but those in memory.

        Raises:
            InvalidArgumentError: the name cannot be one, the state is neither on nor
                off, or the data cannot be stored.
        """
        check_feature_name(feature_name)
        if type(is_enabled) is not bool:
            check_state(feature_name, is_enabled)
        check_client_data(feature_name, client_data or None)
        announced = {"is_enabled": is_enabled, "client_data": client_data}
        self._events.emit(EventType.PRE_CREATE, feature_name, **announced)
        with write_lock(self._store, feature_name):
            item = self._store.create(
                feature_name, is_enabled=is_enabled, client_data=client_data
            )
        self._source.record_write(feature_name, item)
        self._events.emit(EventType.POST_CREATE, feature_name, **announced)
        return self.get(feature_name)

    def enable(self, feature_name: str) -> None:
        """Switch a flag on.

        Raises:
            FlagDoesNotExistError: there is no such flag.
        """
        if not self._write_at_once(feature_name, switched_on):
            self._switch(feature_name, True, _PRE_ENABLE, _POST_ENABLE)

    def disable(self, feature_name: str) -> None:
        """Switch a flag off.

        Raises:
            FlagDoesNotExistError: there is no such flag.
        """
        if not self._write_at_once(feature_name, switched_off):
            self._switch(feature_name, False, _PRE_DISABLE, _POST_DISABLE)

    def destroy(self, feature_name: str) -> None:
        """Remove a flag.

        Raises:
            FlagDoesNotExistError: there is no such flag.
        """
        self._must_exist(feature_name)
        self._events.emit(EventType.PRE_DESTROY, feature_name)
        try:
            delete_existing(self._store, feature_name)
        finally:
            # Whatever has happened: a flag that may be gone must not come back.
            self._source.record_write(feature_name, None)
        self._events.emit(EventType.POST_DESTROY, feature_name)

    def set_client_data(
        self, feature_name: str, client_data: dict[str, Any] | None
    ) -> None:
        """Merge data of the application's own into what is kept with a flag.

        Args:
            feature_name: the flag.
            client_data: replaces values of the same names; `None` changes nothing.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            InvalidArgumentError: the data is no dict, or cannot be stored.
        """
        before, _ = self._prepare(feature_name, check_client_data, client_data)
        given = copy_containers(client_data)
        if before is not None:
            merged = {**before.meta["client_data"], **copy_containers(given or {})}
            self._events.emit(EventType.PRE_SET_CLIENT_DATA, feature_name, merged)
        after = self._update_meta(feature_name, client_data=given)
        stored = after.meta["client_data"]
        self._events.emit(EventType.POST_SET_CLIENT_DATA, feature_name, stored)

    def add_condition(self, feature_name: str, condition: Condition) -> None:
        """Limit a flag further: all its conditions have to hold.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            InvalidArgumentError: it is no condition, or cannot be stored.
        """
        change = methodcaller("with_condition", condition)
        if type(condition) is Condition and self._write_at_once(feature_name, change):
            return
        self._prepare(feature_name, check_condition, condition)
        self._events.emit(_PRE_ADD_CONDITION, feature_name, condition)
        self._update(feature_name, change)
        self._events.emit(_POST_ADD_CONDITION, feature_name, condition)

    def set_conditions(
        self, feature_name: str, conditions: Iterable[Condition]
    ) -> None:
        """Replace all conditions of a flag.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            InvalidArgumentError: one is no condition, or they cannot be stored.
        """
        _, new = self._prepare(feature_name, check_conditions, conditions)
        # Listeners get what the caller gave, except what is used up by now.
        announced = new if iter(conditions) is conditions else conditions
        self._events.emit(EventType.PRE_SET_CONDITIONS, feature_name, announced)
        self._update_meta(feature_name, conditions=new)
        self._events.emit(EventType.POST_SET_CONDITIONS, feature_name, announced)

    def set_bucketer(self, feature_name: str, bucketer: Any) -> None:
        """Let a bucketer decide for calls that no condition looks at.

        Args:
            feature_name: the flag.
            bucketer: replaces the one there is. `None` changes nothing; to remove a
                bucketer, set a `NoOpBucketer()`.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            InvalidArgumentError: it is no bucketer, its percentage is no fraction from
                0 to 1, or it cannot be stored.
        """
        self._prepare(feature_name, check_bucketer, bucketer)
        self._events.emit(EventType.PRE_SET_BUCKETER, feature_name, bucketer)
        self._update_meta(feature_name, bucketer=bucketer)
        self._events.emit(EventType.POST_SET_BUCKETER, feature_name, bucketer)

    # -- inside ------------------------------------------------------------------------

    def refresh_reader(self) -> None:
        """See whether the store's methods have been replaced, or its server is away."""
        source = self._source
        reader = reader_of(source)
        # Who wants the errors of the store gets each, so it is asked each time.
        is_asked = reader is source or self._raises
        self._reader = source.fast_path() if is_asked else reader
        self._is_atomic = None
        store = self._store
        if not issubclass(type(store), SupportsUpdate):
            self._is_atomic = False
        elif isinstance(store, TableFastPath):  # others do not tell of replacements
            self._is_atomic = updates_atomically(store)

    def _read(self, feature_name: str) -> Any:
        try:
            return self._store.get(feature_name)
        except InvalidFlagDataError as error:
            error.feature_name = feature_name
            raise

    def _existing(self, feature_name: str) -> Any:
        item = self._read(feature_name)
        if item is None:
            raise FlagDoesNotExistError.for_flag(feature_name)
        return item

    def _must_exist(self, feature_name: str) -> Any:
        """Return a flag as it is where writes go, past every cache and copy."""
        try:
            item = get_uncached(self._store, feature_name)
        except InvalidFlagDataError as error:
            error.feature_name = feature_name
            raise
        if item is None:
            self._source.record_write(feature_name, None)
            raise FlagDoesNotExistError.for_flag(feature_name)
        return item

    def _prepare(
        self, feature_name: str, check: Callable[[str, Any], Any], value: Any
    ) -> tuple[Any, Any]:
        """Return a flag that is to be written, and what `check` makes of a value.

        That there is no such flag is said before what is wrong with the value. Where
        nobody has to be told before the write, the flag is `None`: the write itself
        finds out whether it exists.
        """
        before = None if self._is_unheard() else self._must_exist(feature_name)
        try:
            return before, check(feature_name, value)
        except Exception:
            if before is None:
                self._must_exist(feature_name)
            raise

    def _is_unheard(self) -> bool:
        """Tell whether nobody listens to events, nor stands in for the emitter."""
        events = self._events
        return type(events) is FlipperEventEmitter and events.has_no_listeners()

    def _update_meta(self, feature_name: str, **changes: Any) -> FeatureFlagStoreItem:
        def changed(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
            meta = item.raw_meta
            meta.update(**changes)
            return item.replace(meta=meta)

        return self._update(feature_name, changed)

    def _update(self, feature_name: str, change: Change) -> FeatureFlagStoreItem:
        try:
            after = update(self._store, feature_name, change)
        except FlagDoesNotExistError:
            self._source.record_write(feature_name, None)
            raise
        if self._records_writes:
            self._source.record_write(feature_name, after)
        return after

    def _write_at_once(self, feature_name: str, change: Change) -> bool:
        """Change a flag unless somebody has to be told before, or asked; tell whether.

        The write itself finds out whether the flag exists: over a server, that is a
        question less.
        """
        is_atomic = self._is_atomic
        if is_atomic is None:
            is_atomic = updates_atomically(self._store)
        events = self._events
        if not is_atomic or type(events) is not FlipperEventEmitter:
            return False
        if not events.has_no_listeners():
            return False
        store: Any = self._store
        try:
            item = store.update(feature_name, change)
        except FlagDoesNotExistError:
            self._source.record_write(feature_name, None)
            raise
        if self._records_writes:
            self._source.record_write(feature_name, item)
        return True

    def _switch(
        self, feature_name: str, is_enabled: bool, before: EventType, after: EventType
    ) -> None:
        self._must_exist(feature_name)
        self._events.emit(before, feature_name)
        if updates_atomically(self._store):
            # Not by `set`, which would make the flag that others have just destroyed.
            self._update(feature_name, switched_on if is_enabled else switched_off)
        else:
            with write_lock(self._store, feature_name):
                self._store.set(feature_name, is_enabled)  # Drop-in: by position
            if self._records_writes:
                self._source.record_state(feature_name, is_enabled)
        self._events.emit(after, feature_name)

    def _after_failed_read(self, feature_name: Any, error: Exception) -> Any:
        """Return the last known state of a flag whose store has failed."""
        if self._raises:
            raise error
        is_answer = isinstance(error, ANSWERS) or not isinstance(feature_name, str)
        if is_answer:
            self._warn(feature_name, error)
            if isinstance(error, InvalidFlagDataError):
                return None  # read all right, but no flag
        elif not has_opened_circuit(error):
            self._note_outage(feature_name, error)
        try:
            return self._source.last_known(feature_name)
        except Exception:  # noqa: BLE001  (a name that is not even hashable)
            return None

    def _note_outage(self, feature_name: str, error: Exception) -> None:
        """Spare a store whose server is away; of others, only log that they fail."""
        source = self._source
        if open_circuit(source, feature_name, error, self._outage):
            return
        self._outage.failed(error, feature_name=feature_name)
        answers_again = WeakMethod(self._end_outage)
        self._reader = AskedEachTime(source, answers_again)

    def _end_outage(self) -> None:
        self._outage.ended()
        self.refresh_reader()

    def _report_missing(self, feature_name: Any) -> None:
        """Tell that a flag does not exist, as strictly as it is wanted."""
        error = FlagDoesNotExistError.for_flag(feature_name)
        if self._strict == "raise":
            raise error
        self._log.warning(
            (hash(repr(feature_name)), FlagDoesNotExistError),
            "%s; the default answers",
            error,
            feature_name=feature_name,
        )

    def _warn_or_raise(self, feature_name: Any, error: Exception) -> None:
        if self._raises:
            raise error
        self._warn(feature_name, error)

    def _warn(self, feature_name: Any, error: Exception) -> None:
        self._log.warning(
            # Not the name itself, which may be of any length.
            (hash(repr(feature_name)), type(error)),
            "Feature %r could not be read or evaluated (%s); the last known state or "
            "the default answers",
            *(feature_name, type(error).__name__),
            cause=error,
            feature_name=feature_name,
        )


def _name_among(conditions: Mapping[str, Any]) -> Any:
    """Take the feature name that was given by keyword."""
    try:
        return conditions.pop("feature_name")  # type: ignore[attr-defined]
    except KeyError:
        message = "is_enabled() missing 1 required argument: 'feature_name'"
        raise TypeError(message) from None
