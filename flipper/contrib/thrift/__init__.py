# SPDX-License-Identifier: Apache-2.0
"""Flags behind a Thrift service, `thrift/feature_flag_store.thrift`.

`ThriftRPCFeatureFlagStore` asks the service, `flipper.contrib.thrift.server` offers it.
Both convert between records and Thrift's structs with the functions further down.
"""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from copy import copy
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from ...arguments import check_page, check_state
from ...contracts.last_known import SupportsLastKnown, remember
from ...exceptions import (
    InvalidArgumentError,
    InvalidFlagDataError,
    MissingDependencyError,
    StoreUnavailableError,
)
from ...runtime.fork import at_fork, detect_fork, renew_after_fork
from ...runtime.log_throttle import LogThrottle
from ..interface import AbstractFeatureFlagStore
from ..interface import FlagDoesNotExistError as FlagDoesNotExistError
from ..storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from ..storage.item import readable_state

try:
    # Not `import thrift`: in a checkout that finds the folder of the IDL.
    from thrift.protocol.TProtocol import TProtocolException
    from thrift.Thrift import TApplicationException
    from thrift.transport.TTransport import TTransportBase, TTransportException

    from flipper_thrift.python.feature_flag_store import ttypes
except ImportError:  # said when a store is made, or `ttypes` is asked for
    _TTYPES: Any = None
else:
    _TTYPES = ttypes

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERYTHING: Final = 2**31 - 1
"""The limit that stands for none: more flags than there are, in 32 bits, so that a
server may add an offset to it in 64 bits."""
_LARGEST: Final = 2**63 - 1  # what an i64 holds


def __getattr__(name: str) -> Any:
    if name == "ttypes":
        raise MissingDependencyError.for_extra("thrift", "thrift")
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


class ThriftRPCFeatureFlagStore(SupportsLastKnown, AbstractFeatureFlagStore):
    """Keeps flags in whatever a server of the Thrift service keeps them in.

    Safe for threads, and for several stores on one client: one call at a time is made
    on the client's transport. So a call that hangs holds up the others; a read timeout
    bounds that, which is the socket's: `TSocket.setTimeout(500)`, in milliseconds.

    The transport is opened when it is not open, after an error of the connection too: a
    server that was restarted is used again by itself (by older releases of Thrift from
    the second call on). Nothing is ever sent twice: a write whose reply is lost raises,
    and may have taken effect. A forked process gets a connection of its own.

    Writes through one store do not undo each other. The service has no
    compare-and-swap: of two processes that change the metadata of one flag at once, the
    last writer wins.

    Args:
        client: a `FeatureFlagStore.Client`, made by Thrift for the service.
        ttypes: the module of Thrift's structs, if it is not the one that comes along.

    Raises:
        MissingDependencyError: Apache Thrift is not installed.
    """

    absent_limit: int | None = None
    """What `list` sends for no limit: nothing, or `EVERYTHING` to a server that reads
    an absent limit as 0. It is found out when such a server gives no flags, though this
    store has seen one; to be set beforehand where a `list` comes first."""

    def __init__(self, client: Any, ttypes: Any = _TTYPES) -> None:
        if _TTYPES is None:
            raise MissingDependencyError.for_extra("thrift", "thrift")
        self._client = client
        self._ttypes = ttypes
        self._connection = _Connection.of(client)
        self._known: dict[str, FeatureFlagStoreItem] = {}
        self._log = LogThrottle(__name__)

    def create(
        self,
        feature_name: str,
        is_enabled: bool = False,
        client_data: dict[str, Any] | None = None,
    ) -> FeatureFlagStoreItem:
        """Write a new flag over whatever was there, and return it as the server does.

        Raises:
            InvalidArgumentError: the state is neither on nor off, or JSON cannot
                express the client data.
            FlipperException: the server refuses.
        """
        check_state(feature_name, is_enabled)
        data = client_data or {}
        _refuse_unreadable(feature_name, FeatureFlagStoreMeta(0, data))
        text = json.dumps(data)
        with self._connection.lock:
            answer = self._ask("Create", feature_name, is_enabled, text)
            return self._remember(feature_name, answer)

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag, or `None` if there is none.

        Raises:
            InvalidFlagDataError: what the server has is no flag.
            FlipperException: the server says that it cannot give the flag.
        """
        # Race: answers are remembered in the order in which they came.
        with self._connection.lock:
            try:
                return self._remember(feature_name, self._ask("Get", feature_name))
            except InvalidFlagDataError:
                self._known.pop(feature_name, None)
                raise
            except self._ttypes.FlipperException as error:
                self._known.pop(feature_name, None)
                if self._is_not_found(error):
                    return None
                raise

    def set(self, feature_name: str, is_enabled: bool) -> None:
        """Change the state and keep the metadata.

        A missing flag is the server's affair: it creates the flag, or refuses.

        Raises:
            InvalidArgumentError: the state is neither on nor off.
            FlipperException: the server refuses.
        """
        check_state(feature_name, is_enabled)
        with self._connection.lock:
            answer = self._ask("Set", feature_name, is_enabled)
            self._change_known(feature_name, is_enabled=is_enabled)
        # Drop-in: whatever the client gives, which is None unless it is a test double.
        return answer  # type: ignore[no-any-return]

    def delete(self, feature_name: str) -> None:
        """Remove the flag. A missing one is the server's affair.

        Raises:
            FlipperException: the server refuses.
        """
        with self._connection.lock:
            answer = self._ask("Delete", feature_name)
            self._known.pop(feature_name, None)
        return answer  # type: ignore[no-any-return]  # as for `set`

    def list(
        self, limit: int | None = None, offset: int = 0
    ) -> Iterator[FeatureFlagStoreItem]:
        """Ask at once, and return an iterator of the flags that the server gave.

        What is no flag is left out, with a warning in the log.

        Raises:
            InvalidArgumentError: `limit` or `offset` is negative.
            StoreUnavailableError: the answer has no list.
            FlipperException: the server refuses.
        """
        check_page(limit, offset)
        offset = min(offset, _LARGEST)
        sent = self.absent_limit if limit is None else min(limit, _LARGEST)
        answers = self._call("List", sent, offset)
        if sent is None and not answers and len(self._known) > offset:
            answers = self._call("List", EVERYTHING, offset)
            if answers:
                self.absent_limit = EVERYTHING
        if answers is None:
            raise StoreUnavailableError("The server has answered without a list")
        return self._flags_among(answers)

    def set_meta(self, feature_name: str, meta: FeatureFlagStoreMeta) -> None:
        """Replace the metadata and keep the state.

        Raises:
            FlagDoesNotExistError: there is no such flag.
            InvalidArgumentError: the service cannot carry the metadata.
            FlipperException: the server refuses.
        """
        try:
            _refuse_unreadable(feature_name, meta)
            struct = meta_struct(feature_name, meta, self._ttypes)
        except Exception:
            # That there is no such flag goes first, as in every store.
            if self.get(feature_name) is None:
                raise FlagDoesNotExistError.for_flag(feature_name) from None
            raise
        with self._connection.lock:
            try:
                self._ask("SetMeta", feature_name, struct)
            except self._ttypes.FlipperException as error:
                if not self._is_not_found(error):
                    raise
                self._known.pop(feature_name, None)
                raise FlagDoesNotExistError.for_flag(feature_name) from error
            self._change_known(feature_name, meta=meta)

    @property
    def away_errors(self) -> tuple[type[Exception], ...]:
        """The errors that tell that nobody answers, or that no reply comes whole."""
        # Thrift says EOFError where a reply ends early.
        return (
            TTransportException,
            TProtocolException,
            OSError,
            EOFError,
            StoreUnavailableError,
        )

    def last_known(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag as last read or written, or `None`, without I/O."""
        return self._known.get(feature_name)

    def _ask(self, method: str, feature_name: str, *arguments: Any) -> Any:
        return self._call(method, _text(feature_name, feature_name), *arguments)

    def _call(self, method: str, *arguments: Any) -> Any:
        # What the server itself says came whole, and leaves the connection as it was.
        said = (self._ttypes.FlipperException, TApplicationException)
        return self._connection.call(getattr(self._client, method), arguments, said)

    def _flags_among(self, structs: Any) -> Iterator[FeatureFlagStoreItem]:
        for struct in structs:
            try:
                item = item_of(struct)
            except InvalidFlagDataError as error:
                self._log.warning(
                    error.feature_name,
                    "The server lists %r, which is no flag; it is left out",
                    error.feature_name,
                    feature_name=error.feature_name,
                )
                continue
            yield item

    def _is_not_found(self, error: Any) -> bool:
        return bool(error.code == self._ttypes.ErrorCode.NOT_FOUND)

    def _remember(self, feature_name: str, answer: Any) -> FeatureFlagStoreItem:
        item = item_of(answer, feature_name)
        remember(self._known, feature_name, item)
        return item

    def _change_known(self, feature_name: str, **changes: Any) -> None:
        known = self._known.get(feature_name)
        if known is not None:
            self._known[feature_name] = known.replace(**changes)


class _Connection:
    """The way of a Thrift client to its server: one call at a time, opened for it.

    A client that has no transport, such as a test double, is merely called.
    """

    def __init__(self, client: Any) -> None:
        self._lock = threading.RLock()
        protocols = _parts([client], "_iprot", "_oprot")
        self._transports = [
            transport
            for transport in _parts(protocols, "trans")
            if hasattr(transport, "isOpen") and hasattr(transport, "open")
        ]
        # A protocol may know where in a message it is: here, at the beginning.
        self._at_rest = [(protocol, _place(protocol)) for protocol in protocols]
        # Kept, so that no other object gets its id.
        self._owner = self._transports[0] if self._transports else client
        renew_after_fork(self)

    @property
    def lock(self) -> Any:
        """What a thread of this process holds for one call, or for several."""
        detect_fork()
        return self._lock

    @classmethod
    def of(cls, client: Any) -> _Connection:
        """Return the connection of a client: one for all that share a transport."""
        detect_fork()
        made = cls(client)
        with _connections_lock:
            return _connections.setdefault(id(made._owner), made)

    def call(self, function: Any, arguments: Any, said: tuple[Any, ...]) -> Any:
        """Call a method of the client; `said` are the errors that the server tells."""
        with self.lock:
            try:
                for transport in self._transports:
                    if not transport.isOpen():
                        transport.open()
                return function(*arguments)
            except said:
                raise
            except BaseException:
                # An interruption too leaves half a message on the way.
                self._close()
                raise

    def after_fork(self) -> None:
        """Leave the connection to the parent; the next call opens another."""
        self._lock = threading.RLock()
        self._close()

    def _close(self) -> None:
        """Close the transport, and forget what is in its buffers."""
        for transport in self._transports:
            with suppress(Exception):
                transport.close()
            _empty_buffers(transport)
        for protocol, place in self._at_rest:
            for name, value in place.items():
                setattr(protocol, name, copy(value))


_connections: WeakValueDictionary[int, _Connection] = WeakValueDictionary()
_connections_lock = threading.Lock()


def _renew_lock() -> None:
    # Race: a thread that held the lock while the process forked is not in the child.
    global _connections_lock  # noqa: PLW0603  (one for all)
    _connections_lock = threading.Lock()


at_fork(after_in_child=_renew_lock)


def _parts(wholes: list[Any], *names: str) -> list[Any]:
    """Return what the attributes of these names hold, each once."""
    parts = [getattr(whole, name, None) for whole in wholes for name in names]
    return list({id(part): part for part in parts if part is not None}.values())


def _empty_buffers(transport: Any) -> None:
    # Thrift has no call for it: `close` keeps what is there, `flush` may send it.
    for name, value in list(getattr(transport, "__dict__", {}).items()):
        if isinstance(value, BytesIO):
            setattr(transport, name, BytesIO())
        elif isinstance(value, TTransportBase):
            _empty_buffers(value)


def _place(protocol: Any) -> dict[str, Any]:
    return {
        name: copy(value)
        for name, value in getattr(protocol, "__dict__", {}).items()
        if value is None or type(value) in (int, list)
    }


def item_of(struct: Any, feature_name: str | None = None) -> FeatureFlagStoreItem:
    """Make the flag that a struct of the service tells; absent fields are defaults.

    A flag that does not say whether it is on is off. Every check becomes a condition of
    its own.

    Args:
        struct: a `FeatureFlagStoreItem` of Thrift.
        feature_name: the name, if the struct has none.

    Raises:
        InvalidFlagDataError: the struct is no flag.
    """
    name = getattr(struct, "feature_name", None)
    if name is None:
        name = feature_name
    if name is None:
        message = "it has no name"
        raise InvalidFlagDataError(message)
    try:
        meta = FeatureFlagStoreMeta(None)
        if getattr(struct, "meta", None) is not None:
            meta = meta_of(struct.meta)
        state = bool(readable_state(name, struct.is_enabled))
        return FeatureFlagStoreItem(name, state, meta)
    except Exception as error:
        raise InvalidFlagDataError.of(error, feature_name=name) from error


def meta_of(struct: Any) -> FeatureFlagStoreMeta:
    """Make the metadata that a struct of the service tells; see `item_of`.

    Raises:
        ValueError: a field is no JSON.
        Exception: what it says is no metadata; see `FeatureFlagStoreMeta.from_dict`.
    """
    # Structs of a double may lack what is absent.
    names = ("created_date", "client_data", "conditions", "bucketer")
    date, client_data, found, bucketer = (getattr(struct, n, None) for n in names)
    conditions = [
        {variable: [_check_of(variable, check)]}
        for condition in found or ()
        for variable, checks in condition.items()
        for check in checks
    ]
    return FeatureFlagStoreMeta.from_dict(
        {
            "created_date": date,
            "client_data": json.loads(client_data or "null"),
            "conditions": conditions,
            "bucketer": json.loads(bucketer or "null"),
        }
    )


def _check_of(variable: str, check: Any) -> dict[str, Any]:
    return {
        "variable": variable if check.variable is None else check.variable,
        "value": None if check.value is None else json.loads(check.value),
        "operator": None if check.operator is None else check.operator.symbol,
    }


def item_struct(item: FeatureFlagStoreItem, types: Any) -> Any:
    """Make the struct by which the service tells a flag.

    Args:
        item: the flag.
        types: the module of Thrift's structs.

    Raises:
        InvalidArgumentError: the service cannot carry the flag.
    """
    name = _text(item.feature_name, item.feature_name)
    check_state(name, item.raw_is_enabled)
    return types.FeatureFlagStoreItem(
        feature_name=name,
        is_enabled=bool(item.raw_is_enabled),
        meta=meta_struct(name, item.raw_meta, types),
    )


def meta_struct(feature_name: str, meta: FeatureFlagStoreMeta, types: Any) -> Any:
    """Make the struct by which the service tells metadata; see `item_struct`.

    Raises:
        InvalidArgumentError: the service cannot carry the metadata.
    """
    fields = meta.to_dict()
    date = fields["created_date"]
    if date is not None and not (type(date) is int and abs(date) <= _LARGEST):
        raise InvalidArgumentError(
            f"The created_date {date!r} of feature {feature_name!r} cannot be sent; "
            f"use whole seconds since the epoch",
            feature_name=feature_name,
            value=date,
        )
    return types.FeatureFlagStoreMeta(
        created_date=date,
        client_data=json.dumps(fields["client_data"]),
        conditions=[
            {
                _text(feature_name, variable): [
                    types.ConditionCheck(
                        variable=_text(feature_name, check["variable"]),
                        value=json.dumps(check["value"]),
                        operator=types.ConditionOperator(symbol=check["operator"]),
                    )
                    for check in checks
                ]
                for variable, checks in condition.items()
            }
            for condition in fields["conditions"]
        ],
        bucketer=json.dumps(fields["bucketer"]),
    )


def _text(feature_name: Any, value: Any) -> str:
    """Return a name of a flag or a variable, if the service can carry it."""
    try:
        value.encode()
    except (AttributeError, UnicodeEncodeError):
        raise InvalidArgumentError(
            f"{value!r}, of feature {feature_name!r}, cannot be sent as a name; use a "
            f"text that can be encoded as UTF-8",
            feature_name=feature_name,
            value=value,
        ) from None
    return value  # type: ignore[no-any-return]


def _refuse_unreadable(feature_name: Any, meta: FeatureFlagStoreMeta) -> None:
    """Refuse metadata that nobody could read again, in the words of all stores."""
    FeatureFlagStoreItem(feature_name, False, meta).serialize()
