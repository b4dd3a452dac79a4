# SPDX-License-Identifier: Apache-2.0
"""Conditional writes of the S3 store: races, lost replies, servers that know none."""

from __future__ import annotations

import multiprocessing
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
)

from flipper import Condition, FeatureFlagClient, FlagDoesNotExistError
from flipper.contrib.s3 import S3FeatureFlagStore
from flipper.testing.contract import at_once
from servers import Proxy, S3Server
from support.flags import conditions
from support.lost_replies import WRITES, lose_each_reply
from support.s3_requests import ONE_ATTEMPT, Requests, error_reply, intercept

pytestmark = pytest.mark.s3


def test_all_writes_but_create_are_conditional(
    store: S3FeatureFlagStore, s3_client: Any
) -> None:
    """Every write but `create` replaces only what the store has read."""
    assert store.atomic is True
    requests = Requests(s3_client)
    store.create("x")
    store.set("x", True)
    store.set("y", True)
    tags = [
        (found.get("IfMatch"), found.get("IfNoneMatch"))
        for name, found in requests
        if name == "PutObject"
    ]
    assert tags == [(None, None), (tags[1][0], None), (None, "*")]
    assert tags[1][0] is not None
    assert requests.names().count("GetObject") == 2


def add_conditions(endpoint: str, bucket: str, times: int, threads: int) -> None:
    """Add equal conditions to the flag x, `times` by each of so many threads."""
    client = S3Server(endpoint).client()
    flags = FeatureFlagClient(S3FeatureFlagStore(client, bucket))

    def add() -> None:
        for _ in range(times):
            flags.add_condition("x", Condition(is_admin=True))

    at_once(*[add] * threads)
    client.close()


def test_concurrent_writes_of_threads_and_processes_are_all_kept(
    store: S3FeatureFlagStore, s3_server: S3Server, s3_bucket: str
) -> None:
    """Each of 60 equal conditions that threads and processes add is kept."""
    store.create("x")
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(
            target=add_conditions, args=(s3_server.endpoint, s3_bucket, 5, 1)
        )
        for _ in range(4)
    ]
    for process in processes:
        process.start()
    add_conditions(s3_server.endpoint, s3_bucket, times=5, threads=8)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert len(conditions(store)) == 60


def test_writes_of_the_state_and_of_metadata_are_all_kept(
    store: S3FeatureFlagStore,
) -> None:
    """A write of the state does not undo one of metadata, nor the other way round."""
    flags = FeatureFlagClient(store)
    flags.create("x")

    def switch() -> None:
        for _ in range(10):
            flags.disable("x")
            flags.enable("x")

    def describe() -> None:
        for number in range(10):
            flags.set_client_data("x", {str(number): number})

    at_once(switch, describe)
    assert len(flags.get_client_data("x")) == 10
    assert flags.is_enabled("x") is True


@pytest.mark.parametrize(
    ("status", "code"),
    [(412, "PreconditionFailed"), (409, "ConditionalRequestConflict")],
)
def test_a_write_is_repeated_after_a_lost_race(
    store: S3FeatureFlagStore, s3_client: Any, status: int, code: str
) -> None:
    """A write is repeated after both answers that S3 has for a lost race."""
    store.create("x")
    intercept(s3_client, "PutObject", *[lambda: error_reply(status, code)] * 3)
    store.set("x", True)
    assert store.get("x").is_enabled() is True


def test_a_flag_that_a_rival_deletes_is_not_restored(
    store: S3FeatureFlagStore, s3_client: Any, other_client: Any, s3_bucket: str
) -> None:
    """`update` raises if a rival deletes the flag; `set` creates a new one."""
    rival = S3FeatureFlagStore(other_client, s3_bucket)
    store.create("x", client_data={"a": 1})
    intercept(s3_client, "PutObject", lambda: rival.delete("x"))
    with pytest.raises(FlagDoesNotExistError):
        store.update("x", lambda item: item.replace(is_enabled=True))
    store.create("x", client_data={"a": 1})
    intercept(s3_client, "PutObject", lambda: rival.delete("x"))
    store.set("x", True)
    assert store.get("x").meta["client_data"] == {}


def test_set_keeps_a_flag_that_a_rival_creates(
    store: S3FeatureFlagStore, s3_client: Any, other_client: Any, s3_bucket: str
) -> None:
    """`set` keeps the metadata of a flag that a rival creates in the middle of it."""
    rival = S3FeatureFlagStore(other_client, s3_bucket)
    intercept(
        s3_client, "PutObject", lambda: rival.create("x", client_data={"a": 1}) and None
    )
    store.set("x", True)
    assert store.get("x").meta["client_data"] == {"a": 1}


def test_an_old_boto3_writes_without_conditions(s3_client: Any, s3_bucket: str) -> None:
    """Without conditional writes, the threads of one process still lose nothing."""
    shape = s3_client.meta.service_model.operation_model("PutObject").input_shape
    del shape.members["IfMatch"]  # as before boto3 1.35.69
    store = S3FeatureFlagStore(s3_client, s3_bucket)
    assert store.atomic is False
    flags = FeatureFlagClient(store)
    flags.create("x")
    requests = Requests(s3_client)

    def add() -> None:
        for _ in range(5):
            flags.add_condition("x", Condition(is_admin=True))

    at_once(*[add] * 4)
    assert len(conditions(store)) == 20
    store.set("y", True)
    assert store.get("y").is_enabled() is True
    puts = [found for name, found in requests if name == "PutObject"]
    assert not any("IfMatch" in put or "IfNoneMatch" in put for put in puts)


def test_a_server_without_conditional_writes_is_supported(
    store: S3FeatureFlagStore, s3_client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The store logs once that the server knows no conditions, and writes without."""
    store.create("x")
    intercept(s3_client, "PutObject", lambda: error_reply(501, "NotImplemented"))
    store.set("x", True)
    assert store.get("x").is_enabled() is True
    assert store.atomic is False
    store.set("x", False)
    assert store.get("x").is_enabled() is False
    assert [record.name for record in caplog.records] == ["flipper.contrib.s3"]


@pytest.mark.parametrize("config", [None, ONE_ATTEMPT], ids=["resending", "once"])
@pytest.mark.parametrize("write", WRITES)
def test_a_write_whose_reply_is_lost_raises_or_has_taken_effect(
    s3_server: S3Server,
    store: S3FeatureFlagStore,
    s3_bucket: str,
    write: str,
    config: Any,
) -> None:
    """A write is applied once at most, and raises only if the client does not retry."""
    with Proxy(s3_server.host, s3_server.port) as proxy:
        client = s3_server.client(f"http://{proxy.host}:{proxy.port}", config=config)
        flags = FeatureFlagClient(S3FeatureFlagStore(client, s3_bucket))
        losses = lose_each_reply(
            write, proxy, lambda: flags, store, ConnectionClosedError
        )
        client.close()
    assert config is ONE_ATTEMPT or not losses.errors


def test_a_resent_write_raises_if_a_rival_has_written_since(
    store: S3FeatureFlagStore, s3_client: Any, other_client: Any, s3_bucket: str
) -> None:
    """A resent write raises if a rival has written since, and is not applied twice."""
    store.create("x")
    rival = FeatureFlagClient(S3FeatureFlagStore(other_client, s3_bucket))

    def lose_the_reply(request: Any, **_: Any) -> None:
        s3_client.meta.events.unregister("before-send.s3.PutObject", lose_the_reply)
        other_client.put_object(Bucket=s3_bucket, Key="x", Body=request.body)
        rival.add_condition("x", Condition(b=1))
        raise ConnectionClosedError(endpoint_url="http://s3")

    s3_client.meta.events.register("before-send.s3.PutObject", lose_the_reply)
    with pytest.raises(ClientError, match="PreconditionFailed"):
        FeatureFlagClient(store).add_condition("x", Condition(a=1))
    assert [list(condition) for condition in conditions(store)] == [["a"], ["b"]]
