# SPDX-License-Identifier: Apache-2.0
"""A server of the Thrift service for any store.

`python -m flipper.contrib.thrift.server` runs it as a program, `serve` runs it within
one, and `FeatureFlagStoreHandler` is for servers of your own. The service does not
identify its callers: anyone who can connect can write.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ... import contrib
from ...arguments import check_client_data, check_feature_name, check_page
from ...contracts.update import set_state, update, write_lock
from ...exceptions import FlagDoesNotExistError, FlipperError, MissingDependencyError
from ...runtime.log_throttle import LogThrottle
from ..storage import FeatureFlagStoreItem
from .structs import NO_LIMIT, item_to_struct, meta_from_struct

try:
    from thrift.protocol.TBinaryProtocol import TBinaryProtocolFactory
    from thrift.server.TServer import TThreadedServer
    from thrift.transport.TSocket import TServerSocket
    from thrift.transport.TTransport import TBufferedTransportFactory

    from flipper_thrift.python.feature_flag_store import FeatureFlagStore, ttypes
except ImportError as error:
    raise MissingDependencyError.for_extra("thrift", "thrift") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..interface import AbstractFeatureFlagStore

logger = logging.getLogger(__name__)


class FeatureFlagStoreHandler:
    """Answers the methods of the service from a store, for Thrift's `Processor`.

    Safe for threads, if the store is. An error of the caller, and a document of the
    store that is not a flag, become a `FlipperException`. Thrift logs an error of the
    store's driver, and sends an internal error.

    Args:
        store: an `AbstractFeatureFlagStore`, or any object with its six methods.
    """

    def __init__(self, store: AbstractFeatureFlagStore) -> None:
        self._store = store
        self._log = LogThrottle(__name__)

    def Create(  # noqa: N802  (a name of the service, as those below)
        self, feature_name: str, is_enabled: bool, client_data: str | None
    ) -> Any:
        """Write a new flag, or replace an old one; return it."""
        with _report_all_errors(f"Feature {feature_name!r} cannot be written"):
            check_feature_name(feature_name)
            data = json.loads(client_data or "null")
            check_client_data(feature_name, data)
        with (
            _report_flipper_errors(feature_name),
            write_lock(self._store, feature_name),
        ):
            item = self._store.create(
                feature_name, is_enabled=bool(is_enabled), client_data=data
            )
        with _report_all_errors(f"Feature {feature_name!r} cannot be sent"):
            return _to_struct(item)

    def Get(self, feature_name: str) -> Any:  # noqa: N802
        """Return the flag, or report NOT_FOUND."""
        with _report_flipper_errors(feature_name):
            item = self._store.get(_required_name(feature_name))
            if item is None:
                raise FlagDoesNotExistError.for_flag(feature_name)
        with _report_all_errors(f"Feature {feature_name!r} cannot be sent"):
            return _to_struct(item)

    def Set(self, feature_name: str, is_enabled: bool) -> None:  # noqa: N802
        """Change the state and keep the metadata; create the flag if it is missing."""
        with (
            _report_flipper_errors(feature_name),
            write_lock(self._store, feature_name),
        ):
            set_state(self._store, _required_name(feature_name), bool(is_enabled))

    def Delete(self, feature_name: str) -> None:  # noqa: N802
        """Remove the flag if it exists."""
        with (
            _report_flipper_errors(feature_name),
            write_lock(self._store, feature_name),
        ):
            self._store.delete(_required_name(feature_name))

    def List(self, limit: int | None, offset: int | None) -> list[Any]:  # noqa: N802
        """Return the flags: `offset` are skipped, `limit` given; absent means all."""
        offset = offset or 0
        with _report_flipper_errors(None):
            check_page(limit, offset)
            if limit is not None:
                limit = min(limit, NO_LIMIT)  # stores add it to the offset
            items = list(self._store.list(limit=limit, offset=offset))
        return list(self._structs(items))

    def SetMeta(self, feature_name: str, meta: Any) -> None:  # noqa: N802
        """Replace the metadata and keep the state, or report NOT_FOUND.

        If the new metadata has no creation date, the flag keeps its old one.
        """
        with _report_all_errors(f"Feature {feature_name!r} cannot be written"):
            if meta is None:
                message = "the metadata is absent"
                raise ValueError(message)
            new = meta_from_struct(meta)

        def change(item: FeatureFlagStoreItem) -> FeatureFlagStoreItem:
            if new.created_date is not None:
                return item.replace(meta=new)
            dated = new.copy()
            dated.created_date = item.raw_meta.created_date
            return item.replace(meta=dated)

        with _report_flipper_errors(feature_name):
            update(self._store, _required_name(feature_name), change)

    def _structs(self, items: list[Any]) -> Iterator[Any]:
        for item in items:
            if item is None:  # of a custom store, for a flag that was deleted meanwhile
                continue
            try:
                struct = _to_struct(item)
            except Exception as error:  # noqa: BLE001  (the others are sent)
                self._log.warning(
                    (repr(getattr(item, "feature_name", None)), type(error)),
                    "A flag cannot be sent (%s) and is left out",
                    type(error).__name__,
                    cause=error,
                )
                continue
            yield struct


def _required_name(feature_name: str | None) -> str:
    """Return the name. If the field is absent or empty, there is no such flag.

    Raises:
        FlagDoesNotExistError: it is absent or empty.
    """
    if not feature_name:
        raise FlagDoesNotExistError.for_flag(feature_name)
    return feature_name


@contextmanager
def _report_all_errors(what: str) -> Iterator[None]:
    """Report every error as a `FlipperException`: `what` is wrong, and why."""
    try:
        yield
    except FlipperError as error:
        raise ttypes.FlipperException(message=str(error)) from error
    except Exception as error:
        message = f"{what}: {type(error).__name__}: {error}"
        raise ttypes.FlipperException(message=message) from error


@contextmanager
def _report_flipper_errors(feature_name: str | None) -> Iterator[None]:
    """Report flipper's own errors as a `FlipperException`; let others pass."""
    try:
        yield
    except FlagDoesNotExistError as error:
        code = ttypes.ErrorCode.NOT_FOUND
        raise ttypes.FlipperException(code, str(error)) from error
    except FlipperError as error:
        if error.feature_name is None:
            error.feature_name = feature_name
        raise ttypes.FlipperException(message=str(error)) from error


def _to_struct(item: Any) -> Any:
    return item_to_struct(FeatureFlagStoreItem.from_item(item), ttypes)


def serve(
    store: AbstractFeatureFlagStore,
    host: str = "127.0.0.1",
    port: int = 9090,
    ready: Callable[[str, int], object] | None = None,
) -> None:
    """Serve a store until an exception ends it. Each connection has a thread.

    Transport and protocol are `TBufferedTransport` and `TBinaryProtocol`.

    Args:
        store: see `FeatureFlagStoreHandler`.
        host: where to listen.
        port: where to listen; 0 is any free port.
        ready: called once with address and port, as soon as clients can connect.

    Raises:
        OSError: the address cannot be listened on.
    """

    class Listener(TServerSocket):  # type: ignore[misc]  # published without types
        def listen(self) -> None:
            super().listen()
            if ready is not None:
                ready(*self.handle.getsockname()[:2])

    listener = Listener(host, port)
    server = TThreadedServer(
        FeatureFlagStore.Processor(FeatureFlagStoreHandler(store)),
        listener,
        TBufferedTransportFactory(),
        # Strict, to refuse at once what is not Thrift, such as a browser.
        TBinaryProtocolFactory(strictRead=True),
        daemon=True,
    )
    try:
        server.serve()
    finally:
        listener.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the store named on the command line, until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m flipper.contrib.thrift.server",
        description="Serve feature flags over Thrift. Whoever can connect can write.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument(
        "--port", type=int, default=9090, help="default: %(default)s; 0: any free one"
    )
    parser.add_argument(
        "--store",
        default="memory",
        help="memory (default), redis://host:6379/0, postgresql://user@host/database "
        "or another connection string of libpq, consul://host:8500/base_key, s3://bucket",
    )
    options = parser.parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        store = _open_store(options.store)
    except ValueError as error:
        parser.error(str(error))
    except ImportError as error:
        parser.error(
            f"{error}; install all packages with pip install 'flipper-client[all]'"
        )
    failures: list[Exception] = []

    def run() -> None:
        try:
            serve(store, options.host, options.port, _announce)
        except Exception as error:  # noqa: BLE001  (the main thread reports it)
            failures.append(error)

    server = threading.Thread(target=run, daemon=True)
    server.start()
    try:
        # Race: a signal that comes just before the main thread begins to wait does not
        # end the waiting. So it waits in short steps, and another thread for clients.
        while server.is_alive():
            server.join(0.5)
    finally:
        if hasattr(store, "close"):
            store.close()
    parser.error(f"cannot listen on {options.host}:{options.port}: {failures[0]}")


def _stop(_number: int, _frame: object) -> None:
    raise SystemExit(0)


def _announce(host: str, port: int) -> None:
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    print(f"Serving feature flags on {address}", flush=True)  # noqa: T201


def _open_store(text: str) -> Any:
    scheme = text.partition(":")[0]
    if text == "memory":
        return contrib.MemoryFeatureFlagStore()
    if scheme in {"redis", "rediss", "unix"}:
        from redis import Redis

        return contrib.RedisFeatureFlagStore(Redis.from_url(text))
    if scheme in {"postgres", "postgresql"} or "=" in scheme:
        return contrib.PostgreSQLFeatureFlagStore(text)
    if scheme == "consul":
        from consul import Consul

        url = urlsplit(text)
        consul = Consul(host=url.hostname or "127.0.0.1", port=url.port or 8500)
        return contrib.ConsulFeatureFlagStore(
            consul, base_key=url.path.strip("/") or "features"
        )
    if scheme == "s3":
        import boto3

        return contrib.S3FeatureFlagStore(boto3.client("s3"), urlsplit(text).netloc)
    message = f"the store {text!r} is unknown; --help lists the known ones"
    raise ValueError(message)


if __name__ == "__main__":
    main()
