# SPDX-License-Identifier: Apache-2.0
"""Stores in Redis: one server, by TCP, TLS or a socket file; Sentinel; a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..exceptions import MissingDependencyError
from .ownership import make_owner

try:
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.cluster import ClusterNode, RedisCluster
    from redis.exceptions import ConnectionError as RedisConnectionError
    from redis.retry import Retry
    from redis.sentinel import Sentinel
except ImportError as error:
    raise MissingDependencyError.for_extra("redis", "redis") from error

from ..contrib.redis import RedisFeatureFlagStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from .address import StoreURL
    from .options import Options

_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_TIMEOUT: Final = 2.0  # seconds
_SHORTEST_TIMEOUT: Final = 0.25  # seconds, for one of several Sentinels
_TLS_TEXTS: Final = ("ssl_cert_reqs",)
_TLS_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


def build(url: StoreURL) -> Any:
    """Make the store of `redis://host:6379/0`, or of `rediss://` with TLS."""
    host = url.host(_PORT)
    settings = {
        "host": host.name,
        "port": host.port,
        "db": _database(url, url.path),
        **_settings(url, is_tls=url.scheme == "rediss"),
    }
    return _build_single(url, settings)


def build_unix(url: StoreURL) -> Any:
    """Make the store of `unix:///path/to.sock?db=0`."""
    if any(host.name or host.port for host in url.hosts):
        url.refuse("has a host; a socket file has three slashes, as unix:///redis.sock")
    if not url.path:
        url.refuse("names no socket file; write unix:///path/to/redis.sock")
    settings = {
        "unix_socket_path": f"/{url.path.lstrip('/')}",
        "db": _database(url, ""),
        **_settings(url, is_tls=False),
    }
    return _build_single(url, settings)


def build_sentinel(url: StoreURL) -> Any:
    """Make the store of `redis+sentinel://host1,host2:26379/master-name?db=0`."""
    options = url.options
    master = url.path.strip("/")
    if not master or "/" in master:
        url.refuse(
            "names no master; write redis+sentinel://host:26379/master-name?db=0"
        )
    settings = _settings(url, is_tls=options.switch("ssl"))
    settings["db"] = _database(url, "")
    username, password = (
        options.text("sentinel_username"),
        options.secret("sentinel_password"),
    )
    make_store = _store_maker(options)
    hosts = url.all_hosts(_SENTINEL_PORT)
    # They are asked one after the other.
    share = max(settings["socket_connect_timeout"] / len(hosts), _SHORTEST_TIMEOUT)
    tls = {name: value for name, value in settings.items() if name.startswith("ssl")}
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        hosts,
        sentinel_kwargs={
            "socket_connect_timeout": share,
            "socket_timeout": share,
            "retry": _retry(),
            "username": username,
            "password": password,
            **tls,
        },
    )
    client = sentinel.master_for(master, **settings)  # type: ignore[no-untyped-call]

    def close() -> None:
        client.close()
        for one in sentinel.sentinels:
            one.close()

    return make_store(client, close)


def build_cluster(url: StoreURL) -> Any:
    """Make the store of `redis+cluster://host1:6379,host2:6379`."""
    url.refuse_path("a cluster has one database")
    settings = _settings(url, is_tls=url.options.switch("ssl"))
    make_store = _store_maker(url.options)
    nodes = [
        ClusterNode(host.name, host.port)  # type: ignore[no-untyped-call]
        for host in url.all_hosts(_PORT)
    ]
    client = RedisCluster(startup_nodes=nodes, **settings)
    return make_store(client, client.close)


def _build_single(url: StoreURL, settings: dict[str, Any]) -> Any:
    make_store = _store_maker(url.options)
    client = Redis(**settings)
    return make_store(client, client.close)


def _store_maker(options: Options) -> Callable[[Any, Callable[[], object]], Any]:
    """Read the options of the store, the last ones; return what makes it."""
    given: dict[str, Any] = {}
    if "base_key" in options:
        given["base_key"] = options.text("base_key")
    if "list_method_batch_size" in options:
        given["list_method_batch_size"] = options.integer("list_method_batch_size")
    options.refuse_unknown()

    def make_store(client: Any, close: Callable[[], object]) -> Any:
        return make_owner(RedisFeatureFlagStore, client, release=close, **given)

    return make_store


def _settings(url: StoreURL, *, is_tls: bool) -> dict[str, Any]:
    """Read the settings of connections that all clients take."""
    options = url.options
    username, password = url.credentials()
    settings: dict[str, Any] = {
        "username": username,
        "password": password,
        "client_name": options.text("client_name"),
        "max_connections": options.integer("max_connections"),
        "socket_connect_timeout": options.seconds("connect_timeout", _TIMEOUT),
        "socket_timeout": options.seconds("timeout", _TIMEOUT),
        "retry": _retry(),
    }
    if is_tls:
        settings["ssl"] = True
        for name in _TLS_TEXTS:
            if name in options:
                settings[name] = options.text(name)
        for name in _TLS_FILES:
            if name in options:
                settings[name] = options.path(name)
        if "ssl_check_hostname" in options:
            settings["ssl_check_hostname"] = options.switch("ssl_check_hostname")
    return {name: value for name, value in settings.items() if value is not None}


def _retry() -> Any:
    """Try again at once, and once, what fails on a connection that was lost.

    An answer that does not come in time is not waited for twice.
    """
    return Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))


def _database(url: StoreURL, path: str) -> int:
    """Return the number of the database, from the path or the option `db`."""
    text = path.strip("/")
    chosen = url.options.integer("db")
    if not text:
        return int(chosen or 0)
    if not (text.isascii() and text.isdigit() and len(text) <= 9):  # noqa: PLR2004
        url.refuse(
            f"has a path that is no number of a database; write {url.scheme}://host/0"
        )
    if chosen is not None:
        url.refuse("has a database in its path and as an option; give one")
    return int(text)
