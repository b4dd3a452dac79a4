# SPDX-License-Identifier: Apache-2.0
"""Stores and clients from URLs: wrappers, ownership, the environment, wrong URLs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import flipper
from flipper import (
    CachedFeatureFlagStore,
    FeatureFlagClient,
    MemoryFeatureFlagStore,
    ReadOnlyFeatureFlagStore,
    SyncedFeatureFlagStore,
    contrib,
    store_from_url,
)
from flipper.exceptions import (
    InvalidArgumentError,
    MissingDependencyError,
    ReadOnlyStoreError,
)
from flipper.urls.ownership import make_owner
from flipper.urls.schemes import _BUILDERS


def wrappers_of(store: Any) -> list[type]:
    """Return the classes of a store and of those in it, from the outside."""
    found = []
    while store is not None:
        found.append(type(store).__bases__[1])
        store = getattr(store, "_store", None)
    return found


@pytest.mark.parametrize(
    ("query", "kinds"),
    [
        ("", []),
        ("?sync=1", [SyncedFeatureFlagStore]),
        ("?sync=0", []),
        ("?ttl=30", [CachedFeatureFlagStore]),
        ("?ttl=30&size=5", [CachedFeatureFlagStore]),
        ("?read_only=true", [ReadOnlyFeatureFlagStore]),
        ("?read_only=1&sync=1", [ReadOnlyFeatureFlagStore, SyncedFeatureFlagStore]),
        ("?ttl=none&invalidate=1&read_only=no", [CachedFeatureFlagStore]),
    ],
)
def test_options_put_wrappers_around_the_store(query: str, kinds: list[type]) -> None:
    """The refusal of writes is the outermost, whatever the order of the options."""
    with store_from_url(f"memory://{query}") as store:
        assert wrappers_of(store) == [*kinds, MemoryFeatureFlagStore]


def test_the_options_of_wrappers_arrive(tmp_path: Path) -> None:
    """Texts from the URL have the type that the wrapper needs."""
    snapshot = tmp_path / "flags.json"
    url = (
        f"memory://?sync=1&snapshot={snapshot}&poll_interval=0.1&start_timeout=3"
        f"&on_start_failure=empty&max_staleness=none&write_timeout=none"
    )
    with FeatureFlagClient.from_url(url) as client:
        client.create("x", is_enabled=True)
        assert client.is_enabled("x") is True
        client._store._follower.close()
    cached = store_from_url("memory://?size=7&ttl=2.5&stale_if_error=1&jitter=0.5")
    assert (cached._ttl, cached._stale_if_error) == (2.5, 1)
    assert store_from_url("memory://", ttl=None, invalidate=False, size=1)._ttl is None


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("sync=1&ttl=30", "sync=1 and ttl"),
        ("sync=1&size=5&jitter=0.5", "sync=1 and jitter and size"),
        ("snapshot=flags.json", "snapshot without sync=1"),
        ("sync=0&poll_interval=5", "poll_interval without sync=1"),
        ("size=5000", "add ttl=30"),
        ("invalidate=0", "add ttl=30"),
        ("ttl=x", "the option 'ttl' that is no number"),
        ("ttl=1&size=x", "the option 'size' that is no integer"),
        ("ttl=1&jitter=2", "jitter=2"),
        ("sync=maybe", "the option 'sync' that is neither on nor off"),
        ("sync=1&poll_interval=-1", "poll_interval=-1"),
        (
            "sync=1&on_start_failure=panic",
            "the option 'on_start_failure' that is unknown",
        ),
        ("sinc=1", "did you mean 'sync'?"),
        ("red_only=1", "did you mean 'read_only'?"),
        ("base_key=x", "the option 'base_key' that is not known"),
    ],
)
def test_wrong_and_contradictory_options_are_refused(query: str, said: str) -> None:
    """A setting that does nothing would deceive whoever wrote it."""
    with pytest.raises(InvalidArgumentError) as refused:
        store_from_url(f"memory://?{query}")
    assert said in str(refused.value)


def test_a_cache_without_a_lifetime_is_refused_only_if_nothing_invalidates() -> None:
    """A cached flag would never be read again."""
    with pytest.raises(InvalidArgumentError, match="add ttl=30"):
        store_from_url("memory://", stale_if_error=5)


def test_a_read_only_store_refuses_writes() -> None:
    """Its client, too."""
    with FeatureFlagClient.from_url("memory://?read_only=1") as client:
        with pytest.raises(ReadOnlyStoreError, match="its MemoryFeatureFlagStore"):
            client.create("x")
        assert client.is_enabled("x", default=True) is True


# The URL


@pytest.mark.parametrize("make", [store_from_url, FeatureFlagClient.from_url])
def test_without_a_url_the_environment_variable_is_used(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given by whoever runs the application."""
    monkeypatch.setenv("FLIPPER_URL", "memory://?read_only=1")
    made = make()
    assert isinstance(getattr(made, "_store", made), ReadOnlyFeatureFlagStore) or (
        wrappers_of(made)[0] is ReadOnlyFeatureFlagStore
    )
    monkeypatch.setenv("FLIPPER_URL", "memory://?nonsense=1")
    with pytest.raises(InvalidArgumentError, match="The store URL in FLIPPER_URL has"):
        make()
    for absent in ("", None):
        if absent is None:
            monkeypatch.delenv("FLIPPER_URL")
        else:
            monkeypatch.setenv("FLIPPER_URL", absent)
        with pytest.raises(InvalidArgumentError, match="set the environment variable"):
            make()


def test_a_given_url_comes_before_the_environment_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even if it is wrong: another store than the one named must not answer."""
    monkeypatch.setenv("FLIPPER_URL", "memory://")
    with pytest.raises(InvalidArgumentError, match="is empty"):
        store_from_url("")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redsi://host", "did you mean redis://?"),
        ("REDISS+sentinel://host", "did you mean redis+sentinel://?"),
        ("postgress://host", "did you mean postgres://?"),
        ("xyzzy://host", "known are consul, consul+http,"),
        ("memory://host", "a host or a user"),
        ("memory://:1", "a host or a user"),
        ("memory://me@", "a host or a user"),
        ("memory:///path", "has a path"),
        ("redis://host/one", "no number of a database"),
        ("redis://host/-1", "no number of a database"),
        ("redis://host/0/1", "no number of a database"),
        ("redis://host/1?db=1", "in its path and as an option"),
        ("redis://host?db=-1", "the option 'db' that is no integer"),
        ("redis://a,b", "has several hosts"),
        ("redis://me:word@host?password=x", "has a password before the host and as"),
        ("redis://host?ssl_certfile=x", "that is not known"),
        ("redis://host?list_method_batch_size=0", "list_method_batch_size=0"),
        ("redis+sentinel://host", "names no master"),
        ("redis+sentinel://host/a/b", "names no master"),
        ("redis+cluster://host/1", "has a path"),
        ("unix://", "names no socket file"),
        ("unix://host/redis.sock", "three slashes"),
        ("unix:///redis.sock?db=x", "the option 'db' that is no integer"),
        ("postgresql://host/db?dbname=other", "the dbname in its address and as an"),
        ("postgresql://me@host?user=you", "the user in its address and as an option"),
        ("postgresql://host?sslmod=require", "did you mean 'sslmode'?"),
        ("postgresql://host?timeout=0", "the option 'timeout' that is no time limit"),
        ("consul://me@host", "has a user name"),
        ("consul://me:word@host", "has a user name"),
        ("consul://:word@host?token=x", "a token before the host and as an option"),
        ("consul://host/a?base_key=b", "a base_key in its path and as an option"),
        ("consul://host?consistency=odd", "the option 'consistency' that is unknown"),
        ("consul+https://host?verify=0&ca_file=x", "verify=0 and a ca_file"),
        ("s3://", "names no bucket"),
        ("s3:///prefix", "names no bucket"),
        ("s3://b", "not valid"),
        ("s3://one,two", "not valid"),
        ("s3://bucket:9000/x", "the option endpoint_url"),
        ("s3://key@bucket", "has one of two keys"),
        ("s3://bucket?secret_key=x", "has one of two keys"),
        ("s3://a:b@bucket?access_key=c", "keys before the bucket and as options"),
        (
            "s3://bucket?endpoint_url=localhost:9000",
            "an endpoint_url that is not valid",
        ),
        ("s3://bucket?endpoint_url=http://[", "an endpoint_url that is not valid"),
        ("s3://bucket?endpoint_url=http://a:b%40c", "leave them out"),
        ("s3://bucket?retries=-1", "the option 'retries' that is no integer"),
        (
            "s3://bucket?addressing_style=odd",
            "the option 'addressing_style' that is unknown",
        ),
        ("s3://bucket?page_size=0&region=us-east-1", "page_size=0"),
        ("thrift://host/x", "has a path"),
        ("thrift://me@host", "does not know users"),
        ("thrift://host?protocol=json", "use 'binary' or 'compact'"),
        ("sqlite://flags.db", "three slashes"),
        ("sqlite:///", "names no file"),
        ("file://", "names no file"),
    ],
)
def test_a_url_that_no_store_can_have_is_refused(
    url: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what is wrong and what to write."""
    for name in ("SQLiteFeatureFlagStore", "FileFeatureFlagStore"):
        monkeypatch.setattr(contrib, name, Recorder, raising=False)
    with pytest.raises(InvalidArgumentError) as refused:
        store_from_url(url)
    assert said in str(refused.value)


class Recorder(MemoryFeatureFlagStore):
    """Remembers its path."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path


@pytest.mark.parametrize(
    ("scheme", "name"),
    [("sqlite", "SQLiteFeatureFlagStore"), ("file", "FileFeatureFlagStore")],
)
def test_paths_of_files_are_relative_with_three_slashes(
    scheme: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four slashes make an absolute path, and `~` is the home directory."""
    monkeypatch.setattr(contrib, name, Recorder, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "sub").mkdir()

    def path(rest: str) -> str:
        return str(store_from_url(f"{scheme}://{rest}").path)

    assert path("/flags.db") == "flags.db"
    assert path("/sub/my%20flags.db") == "sub/my flags.db"
    assert path(f"/{tmp_path}/flags.db") == f"{tmp_path}/flags.db"
    assert path("/~/flags.db") == f"{tmp_path}/flags.db"
    with pytest.raises(InvalidArgumentError, match="has four slashes"):
        path(f"{tmp_path}/flags.db")
    with pytest.raises(InvalidArgumentError, match="is not known"):
        path("/flags.db?nonsense=1")


FILE_STORES = [
    name
    for name in ("SQLiteFeatureFlagStore",)
    if name in getattr(contrib, "_MODULES", {})
]


@pytest.mark.parametrize("name", FILE_STORES or ["MemoryFeatureFlagStore"])
def test_a_flag_is_found_again_by_the_same_url(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file outlives its store; memory does not."""
    monkeypatch.chdir(tmp_path)
    url = "memory://" if name == "MemoryFeatureFlagStore" else "sqlite:///flags.db"
    with FeatureFlagClient.from_url(url) as client:
        client.create("x", is_enabled=True)
        assert client.is_enabled("x") is True
    with FeatureFlagClient.from_url(url) as client:
        assert client.is_enabled("x") is (url != "memory://")


# Drivers


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [
        ("redis://host", "redis", "redis"),
        ("redis+cluster://host", "redis", "redis"),
        ("consul://host", "consul", "consul"),
        ("s3://bucket", "boto3.session", "s3"),
        ("thrift://host", "thrift.protocol.TCompactProtocol", "thrift"),
    ],
)
def test_a_missing_driver_is_named_with_its_extra(
    url: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader of the error knows what to install."""
    for module in [*sys.modules]:
        if module.startswith((f"flipper.urls.{extra}", "flipper.contrib.thrift.sock")):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=rf"flipper-client\[{extra}\]"):
        store_from_url(url)


def test_a_missing_psycopg_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by the store itself."""
    from flipper.contrib import postgresql
    from flipper.urls import postgresql as builder

    monkeypatch.setattr(builder, "POSTGRES_ENABLED", False)
    with pytest.raises(postgresql.PostgresNotEnabled):
        store_from_url("postgresql://host")


def test_every_scheme_is_documented() -> None:
    """The table of docs/store-urls.md is complete."""
    text = (Path(flipper.__file__).parents[1] / "docs/store-urls.md").read_text()
    assert not [scheme for scheme in _BUILDERS if f"`{scheme}://" not in text]


# Ownership


class Closing(MemoryFeatureFlagStore):
    """Notes that it was closed."""

    def __init__(self, log: list[str], fails: bool = False) -> None:
        super().__init__()
        self.log = log
        if fails:
            message = "no"
            raise OSError(message)

    def close(self) -> None:
        """Note it."""
        self.log.append("store")


def test_an_owner_closes_its_store_first_and_both_once() -> None:
    """The store may still need its connections while it closes."""
    log: list[str] = []
    with make_owner(Closing, log, release=lambda: log.append("driver")) as store:
        assert isinstance(store, Closing)
        assert type(store).__name__ == "Closing"
    assert log == ["store", "driver"]
    store.close()
    assert log.count("driver") == 1


def test_what_was_made_for_a_store_that_fails_is_released() -> None:
    """Nobody else has it."""
    log: list[str] = []
    with pytest.raises(OSError, match="no"):
        make_owner(Closing, log, fails=True, release=lambda: log.append("driver"))
    assert log == ["driver"]


def test_a_client_closes_only_the_store_that_it_has_made() -> None:
    """A store that was given may be in use elsewhere."""
    log: list[str] = []
    with FeatureFlagClient(Closing(log)):
        pass
    assert log == []
    made = FeatureFlagClient.from_url("memory://?sync=1")
    made.close()
    made.close()
    assert made._store.status().state == "closed"


def test_a_client_that_cannot_be_made_leaves_no_store_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A copy that nobody can close would follow its store for ever."""
    closed: list[Any] = []
    monkeypatch.setattr(
        "flipper.urls.ownership._Owner.close", lambda store: closed.append(id(store))
    )
    with pytest.raises(InvalidArgumentError, match="on_error='never' is unknown"):
        FeatureFlagClient.from_url("memory://", on_error="never")
    assert len(closed) == 1


def test_a_subclass_of_the_client_is_made() -> None:
    """With the arguments of the constructor."""

    class Features(FeatureFlagClient):
        pass

    client = Features.from_url("memory://", strict="raise", on_error="raise")
    assert type(client) is Features
    with pytest.raises(flipper.FlagDoesNotExistError):
        client.is_enabled("missing")


@pytest.mark.parametrize(
    "url",
    ["sqlite:///~nobody-of-this-name/x.db", "memory://?sync=1&snapshot=~no-such-one/x"],
)
def test_a_home_directory_of_nobody_is_refused(url: str) -> None:
    """The error is about the URL, and none of Python's."""
    with pytest.raises(InvalidArgumentError, match="a user that there is not"):
        store_from_url(url)
