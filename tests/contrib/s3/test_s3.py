# SPDX-License-Identifier: Apache-2.0
"""The S3 store on a server of its own: objects, pages, races, failures."""

from __future__ import annotations

import io
import logging
import multiprocessing
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import boto3
import moto
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
)
from botocore.stub import Stubber

from flipper import Condition, FeatureFlagClient, FlagDoesNotExistError
from flipper.contrib import s3
from flipper.contrib.s3 import S3FeatureFlagStore
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from flipper.exceptions import InvalidArgumentError
from servers import Proxy, S3Server, start_s3
from support.broken_documents import hostile_documents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.s3

ONCE = Config(retries={"max_attempts": 0})


@pytest.fixture
def store(s3_client: Any, s3_bucket: str) -> S3FeatureFlagStore:
    """Give an empty store."""
    return S3FeatureFlagStore(s3_client, s3_bucket)


@pytest.fixture
def other_client(s3_server: S3Server) -> Iterator[Any]:
    """Give a second client of the same server."""
    client = s3_server.client()
    yield client
    client.close()


class Requests(list[tuple[str, dict[str, Any]]]):
    """The requests of a client: operation and arguments, repetitions not counted."""

    def __init__(self, client: Any) -> None:
        super().__init__()
        client.meta.events.register("provide-client-params.s3", self._note)

    def _note(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        arguments = {k: v for k, v in params.items() if k != "Bucket"}
        self.append((model.name, arguments))

    def names(self) -> list[str]:
        """Name the operations."""
        return [name for name, _ in self]

    def keys(self, operation: str) -> list[str]:
        """Give the keys of one operation, in the order of the keys."""
        return sorted(found["Key"] for name, found in self if name == operation)


def answer(status: int, code: str) -> AWSResponse:
    """Make an answer as S3 has it for an error."""

    class Raw:
        @staticmethod
        def stream() -> Iterator[bytes]:
            yield f"<Error><Code>{code}</Code></Error>".encode()

    return AWSResponse("http://s3", status, {}, Raw())


def intercept(
    client: Any, operation: str, *replies: Callable[[], AWSResponse | None]
) -> None:
    """Answer the next requests of a kind instead of the server, where not by `None`."""
    left = list(replies)

    def reply(**_: Any) -> AWSResponse | None:
        return left.pop(0)() if left else None

    client.meta.events.register(f"before-send.s3.{operation}", reply)


def listed(store: S3FeatureFlagStore, **page: Any) -> list[str]:
    """Name the flags of a store in its own order."""
    return [item.feature_name for item in store.list(**page)]


def conditions(store: S3FeatureFlagStore) -> list[Any]:
    """Read the conditions of the flag x."""
    item = store.get("x")
    assert item is not None
    return item.meta["conditions"]


# Objects


def test_a_flag_is_one_object_at_the_root(
    store: S3FeatureFlagStore, s3_client: Any, s3_bucket: str
) -> None:
    """Other libraries and versions read the same objects."""
    item = store.create("eu/x y", is_enabled=True, client_data={"ö": 1})
    (found,) = s3_client.list_objects_v2(Bucket=s3_bucket)["Contents"]
    assert found["Key"] == "eu/x y"
    stored = s3_client.get_object(Bucket=s3_bucket, Key="eu/x y")["Body"].read()
    assert stored == item.serialize()


@pytest.mark.parametrize(
    "name", ["x", "ä ☃ \U0001f600", "a b+c%20?#", "a/../b//", "&<>'\"\\", "n" * 1000]
)
def test_names_are_kept_as_they_are(store: S3FeatureFlagStore, name: str) -> None:
    """S3 bears keys of 1024 bytes, so the rule for all stores is enough."""
    flags = FeatureFlagClient(store)
    flags.create(name)
    flags.enable(name)
    assert flags.is_enabled(name) is True
    assert listed(store) == [name]
    flags.destroy(name)
    assert flags.exists(name) is False


@pytest.fixture
def mocked_client() -> Iterator[Any]:
    """Give a client of an S3 in this process, with the bucket "flags"."""
    with moto.mock_aws():
        client = boto3.client(
            "s3",
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",  # noqa: S106 # opens nothing
        )
        client.create_bucket(Bucket="flags")
        yield client
        client.close()


def test_a_store_works_in_a_mocked_process(mocked_client: Any) -> None:
    """Suites use moto without a server."""
    store = S3FeatureFlagStore(mocked_client, "flags", page_size=2)
    flags = FeatureFlagClient(store)
    for number in range(5):
        flags.create(f"flag-{number}")
    flags.enable("flag-3")
    flags.add_condition("flag-3", Condition(a=1))
    assert flags.is_enabled("flag-3", a=1) is True
    assert listed(store) == [f"flag-{number}" for number in range(5)]
    with pytest.raises(FlagDoesNotExistError):
        store.set_meta("missing", {})


def test_an_error_that_is_no_missing_flag_comes_out(
    store: S3FeatureFlagStore, s3_client: Any
) -> None:
    """Without the right to list, S3 answers 403 for a missing flag; it may be there."""
    intercept(s3_client, "GetObject", *[lambda: answer(403, "AccessDenied")] * 2)
    with pytest.raises(ClientError, match="AccessDenied"):
        store.get("x")
    assert FeatureFlagClient(store).is_enabled("x", default=True) is True
    assert store.get("x") is None
    store.create("x")
    intercept(s3_client, "PutObject", lambda: answer(403, "AccessDenied"))
    with pytest.raises(ClientError, match="AccessDenied"):
        store.set("x", True)
    elsewhere = FeatureFlagClient(S3FeatureFlagStore(s3_client, "no-such-bucket"))
    with pytest.raises(ClientError, match="NoSuchBucket"):
        elsewhere.create("x")


# Lists


@pytest.mark.parametrize("size", [0, -1])
def test_a_page_has_at_least_one_name(s3_client: Any, size: int) -> None:
    """A list that reads nothing would look like a bucket without flags."""
    with pytest.raises(InvalidArgumentError, match="page_size"):
        S3FeatureFlagStore(s3_client, "flags", page_size=size)


def test_page_size_is_what_a_request_asks_for(s3_client: Any, s3_bucket: str) -> None:
    """Its default is as much as S3 gives."""
    store = S3FeatureFlagStore(s3_client, s3_bucket, page_size=2)
    for number in range(5):
        store.create(f"flag-{number}")
    requests = Requests(s3_client)
    assert len(listed(store)) == 5
    assert requests.names().count("ListObjectsV2") == 3
    assert {found.get("MaxKeys") for _, found in requests} == {2, None}
    requests.clear()
    assert len(listed(S3FeatureFlagStore(s3_client, s3_bucket))) == 5
    assert requests.names().count("ListObjectsV2") == 1


def test_list_asks_when_it_is_asked_and_for_no_more_than_it_needs(
    store: S3FeatureFlagStore, s3_client: Any
) -> None:
    """Each object is a request, and paid for."""
    for number in range(8):
        store.create(f"flag-{number}")
    requests = Requests(s3_client)
    page = store.list(limit=3, offset=2)
    assert requests == []
    assert [item.feature_name for item in page] == ["flag-2", "flag-3", "flag-4"]
    assert requests.keys("GetObject") == ["flag-2", "flag-3", "flag-4"]
    requests.clear()
    assert listed(store, limit=0) == []
    assert requests == []
    assert listed(store, offset=6) == ["flag-6", "flag-7"]
    assert requests.keys("GetObject") == ["flag-6", "flag-7"]


def test_flags_come_in_the_order_of_their_keys(
    store: S3FeatureFlagStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of UTF-8, whichever object arrives first, over batches and pages."""
    monkeypatch.setattr(s3, "_BATCH_SIZE", 7)
    names = ["\U0001f600", "b", "a", "é", "\uffff", "B", "a/b", *map(str, range(20))]
    for name in names:
        store.create(name)
    assert listed(store) == sorted(names, key=str.encode)


def test_objects_are_fetched_at_once_by_threads_that_end(
    store: S3FeatureFlagStore, s3_client: Any
) -> None:
    """One after the other would take as many times the distance to S3 as flags."""
    for number in range(8):
        store.create(f"flag-{number}")
    all_at_once = threading.Barrier(4)

    def wait(**_: Any) -> None:
        all_at_once.wait(30)

    s3_client.meta.events.register("before-send.s3.GetObject", wait)
    flags = store.list()
    assert next(flags).feature_name == "flag-0"
    threads = {thread.name.partition("_")[0] for thread in threading.enumerate()}
    assert "flipper-s3" not in threads
    assert len(list(flags)) == 7


def test_a_list_fetches_only_what_has_changed_since_the_last(
    store: S3FeatureFlagStore, s3_bucket: str, other_client: Any, s3_client: Any
) -> None:
    """Ten thousand flags are ten requests then, and not ten thousand and ten."""
    for number in range(8):
        store.create(f"flag-{number}")
    before = {item.feature_name: item for item in store.list()}
    other = S3FeatureFlagStore(other_client, s3_bucket)
    requests = Requests(s3_client)
    other.set("flag-3", True)
    other.delete("flag-4")
    other.create("new")
    after = {item.feature_name: item for item in store.list()}
    assert requests.keys("GetObject") == ["flag-3", "new"]
    assert after.keys() == before.keys() - {"flag-4"} | {"new"}
    assert after["flag-3"].raw_is_enabled is True
    assert all(after[name] is before[name] for name in ("flag-0", "flag-7"))
    # What this store has written and read itself is fetched once more, and then not.
    store.set("flag-0", True)
    requests.clear()
    assert {item.feature_name: item for item in store.list()}["flag-0"].is_enabled()
    assert requests.keys("GetObject") == ["flag-0"]
    requests.clear()
    assert len(listed(store)) == 8
    assert requests.names() == ["ListObjectsV2"]


def test_a_part_of_the_list_does_not_forget_the_rest(
    store: S3FeatureFlagStore, s3_client: Any
) -> None:
    """An overview that shows one page makes no other list expensive."""
    for number in range(8):
        store.create(f"flag-{number}")
    assert len(listed(store)) == 8
    requests = Requests(s3_client)
    assert listed(store, limit=2) == ["flag-0", "flag-1"]
    assert next(store.list()).feature_name == "flag-0"
    assert len(listed(store)) == 8
    assert "GetObject" not in requests.names()


def test_list_leaves_out_what_is_no_flag(
    store: S3FeatureFlagStore,
    s3_client: Any,
    s3_bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """People keep other things in the same bucket."""
    document = store.create("mine").serialize()
    store.create("folder/mine")
    for key, body in {
        "copy": document,
        "folder/": b"",
        "text": b"hello",
        "picture": b"\x89PNG\r\n\x1a\n",
        "video": b" " * 10_000 + document.replace(b"mine", b"video"),
    }.items():
        s3_client.put_object(Bucket=s3_bucket, Key=key, Body=body)
    monkeypatch.setattr(s3, "_LARGEST_OBJECT", 10_000)
    requests = Requests(s3_client)
    assert listed(store) == ["folder/mine", "mine"]
    assert requests.keys("GetObject") == [
        *("copy", "folder/mine", "mine", "picture", "text")
    ]


def test_flags_deleted_meanwhile_are_left_out(
    store: S3FeatureFlagStore, s3_client: Any, other_client: Any, s3_bucket: str
) -> None:
    """The names are read first, the flags later."""
    store.create("a")
    store.create("b")
    intercept(
        s3_client,
        "GetObject",
        lambda: other_client.delete_object(Bucket=s3_bucket, Key="b") and None,
    )
    rest = S3FeatureFlagStore(s3_client, s3_bucket).list(offset=1)
    assert [item.feature_name for item in rest] == []


def test_hostile_documents_are_never_on_and_hide_nothing(
    mocked_client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither an accident nor an attack gives features away, or takes them."""
    caplog.set_level(logging.CRITICAL, "flipper")  # 500 tracebacks take seconds
    store = S3FeatureFlagStore(mocked_client, "flags")
    flags = FeatureFlagClient(store)
    good = [f"good-{number}" for number in range(5)]
    for name in good:
        flags.create(name, is_enabled=True)
    documents = dict([*hostile_documents().items()][::3])  # moto is slow
    for name, document in documents.items():
        mocked_client.put_object(Bucket="flags", Key=name, Body=document)
    assert not any(flags.is_enabled(name, user_id=1) for name in documents)
    assert [name for name in listed(store) if name.startswith("good")] == good
    assert all(flags.is_enabled(name) for name in good)
    broken = next(iter(documents))
    flags.create(broken, is_enabled=True)
    assert flags.is_enabled(broken) is True


# Races


def test_writes_are_conditional(store: S3FeatureFlagStore, s3_client: Any) -> None:
    """All but `create`, which writes over whatever was there."""
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


def write(endpoint: str, bucket: str, times: int, threads: int) -> None:
    """Add conditions to the flag x, all alike, from so many threads of this process."""
    client = S3Server(endpoint).client()
    flags = FeatureFlagClient(S3FeatureFlagStore(client, bucket))

    def add() -> None:
        for _ in range(times):
            flags.add_condition("x", Condition(is_admin=True))

    run([add] * threads)
    client.close()


def run(calls: list[Callable[[], None]]) -> None:
    """Call these at once, each in a thread, and raise what one of them raises."""
    errors = []

    def guarded(call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 # raised below
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_no_condition_is_lost_among_threads_and_processes(
    store: S3FeatureFlagStore, s3_server: S3Server, s3_bucket: str
) -> None:
    """Not even one like the others, which nobody can tell from a repetition."""
    store.create("x")
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=write, args=(s3_server.endpoint, s3_bucket, 5, 1))
        for _ in range(4)
    ]
    for process in processes:
        process.start()
    write(s3_server.endpoint, s3_bucket, times=5, threads=8)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert len(conditions(store)) == 60


def test_switching_a_flag_never_undoes_its_metadata(store: S3FeatureFlagStore) -> None:
    """Nor does metadata undo the state: each write keeps what it does not mean."""
    flags = FeatureFlagClient(store)
    flags.create("x")

    def switch() -> None:
        for _ in range(10):
            flags.disable("x")
            flags.enable("x")

    def describe() -> None:
        for number in range(10):
            flags.set_client_data("x", {str(number): number})

    run([switch, describe])
    assert len(flags.get_client_data("x")) == 10
    assert flags.is_enabled("x") is True


@pytest.mark.parametrize(
    ("status", "code"),
    [(412, "PreconditionFailed"), (409, "ConditionalRequestConflict")],
)
def test_a_lost_race_begins_again(
    store: S3FeatureFlagStore, s3_client: Any, status: int, code: str
) -> None:
    """Both answers say that another writer was faster."""
    store.create("x")
    intercept(s3_client, "PutObject", *[lambda: answer(status, code)] * 3)
    store.set("x", True)
    assert store.get("x").is_enabled() is True


def test_a_flag_that_a_rival_deletes_is_not_brought_back(
    store: S3FeatureFlagStore, s3_client: Any, other_client: Any, s3_bucket: str
) -> None:
    """Only `set` makes flags that are missing, and it makes new ones."""
    rival = S3FeatureFlagStore(other_client, s3_bucket)
    store.create("x", client_data={"a": 1})
    intercept(s3_client, "PutObject", lambda: rival.delete("x"))
    with pytest.raises(FlagDoesNotExistError):
        store.update("x", lambda item: item.replace(is_enabled=True))
    store.create("x", client_data={"a": 1})
    intercept(s3_client, "PutObject", lambda: rival.delete("x"))
    store.set("x", True)
    assert store.get("x").meta["client_data"] == {}


def test_a_rival_that_creates_a_missing_flag_is_not_undone(
    store: S3FeatureFlagStore, s3_client: Any, other_client: Any, s3_bucket: str
) -> None:
    """`set` finds nothing, and then something."""
    rival = S3FeatureFlagStore(other_client, s3_bucket)
    intercept(
        s3_client, "PutObject", lambda: rival.create("x", client_data={"a": 1}) and None
    )
    store.set("x", True)
    assert store.get("x").meta["client_data"] == {"a": 1}


# Without conditional writes


def test_an_old_boto3_writes_plainly(s3_client: Any, s3_bucket: str) -> None:
    """The threads of one process do not undo each other all the same."""
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

    run([add] * 4)
    assert len(conditions(store)) == 20
    store.set("y", True)
    assert store.get("y").is_enabled() is True
    puts = [found for name, found in requests if name == "PutObject"]
    assert not any("IfMatch" in put or "IfNoneMatch" in put for put in puts)


def test_a_double_of_a_client_is_written_plainly() -> None:
    """It says nothing of what it knows."""

    class Client:
        def put_object(self, **found: Any) -> None:
            self.found = found

    client = Client()
    store = S3FeatureFlagStore(client, "flags")
    assert store.atomic is False
    document = store.create("x").serialize()
    assert client.found == {"Bucket": "flags", "Key": "x", "Body": document}


@pytest.mark.parametrize(
    "page",
    [
        {},
        {"IsTruncated": False},
        {"KeyCount": 0, "ResponseMetadata": {"HTTPStatusCode": 200}},
        {"ResponseMetadata": {"HTTPStatusCode": 200}},
    ],
)
def test_a_double_of_a_client_need_not_say_what_nobody_reads(page: Any) -> None:
    """Pages and objects of the Stubber and of hand-written doubles have few fields."""
    client = boto3.client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",  # noqa: S106 # opens nothing
    )
    item = FeatureFlagStoreItem("x", True, FeatureFlagStoreMeta(7))
    entry = {"Key": "x", "Size": 9}
    with Stubber(client) as stubber:
        store = S3FeatureFlagStore(client, "flags")
        stubber.add_response("list_objects_v2", page)
        assert listed(store) == []
        stubber.add_response("list_objects_v2", {**page, "Contents": [entry]})
        stubber.add_response("get_object", {"Body": io.BytesIO(item.serialize())})
        assert listed(store) == ["x"]
    client.close()


def test_a_server_that_knows_no_conditions_is_written_plainly(
    store: S3FeatureFlagStore, s3_client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so once, and so does the log."""
    store.create("x")
    intercept(s3_client, "PutObject", lambda: answer(501, "NotImplemented"))
    store.set("x", True)
    assert store.get("x").is_enabled() is True
    assert store.atomic is False
    store.set("x", False)
    assert store.get("x").is_enabled() is False
    assert [record.name for record in caplog.records] == ["flipper.contrib.s3"]


# Lost replies

LOSSES: dict[str, Callable[[FeatureFlagClient], object]] = {
    "create": lambda flags: flags.create("x", is_enabled=True),
    "enable": lambda flags: flags.enable("x"),
    "add_condition": lambda flags: flags.add_condition("x", Condition(a=1)),
    "destroy": lambda flags: flags.destroy("x"),
}
APPLIED = {"create": 1, "enable": 1, "add_condition": 1, "destroy": -1}


def times_applied(store: S3FeatureFlagStore) -> int:
    """Count how often one of `LOSSES` was applied to a new flag, -1 if it is gone."""
    item = store.get("x")
    if item is None:
        return -1
    return len(item.meta["conditions"]) + item.raw_is_enabled


@pytest.mark.parametrize("config", [None, ONCE], ids=["resending", "once"])
@pytest.mark.parametrize("call", LOSSES)
def test_a_write_whose_reply_is_lost_raises_or_took_effect(
    s3_server: S3Server,
    store: S3FeatureFlagStore,
    s3_bucket: str,
    call: str,
    config: Any,
) -> None:
    """Never twice, and never acknowledged without effect; whichever reply is lost."""
    with Proxy(s3_server.host, s3_server.port) as proxy:
        client = s3_server.client(f"http://{proxy.host}:{proxy.port}", config=config)
        flags = FeatureFlagClient(S3FeatureFlagStore(client, s3_bucket))
        for lost in range(1, 10):
            store.create("x")
            dropped = proxy.dropped
            proxy.drop_reply(lost)
            try:
                LOSSES[call](flags)
            except ConnectionClosedError:
                assert times_applied(store) in {0, APPLIED[call]}
                assert config is ONCE
            else:
                assert times_applied(store) == APPLIED[call]
            if proxy.dropped == dropped:
                break
        assert 1 < lost < 9  # the last one was of a reply more than there are
        client.close()


def test_a_repeated_write_is_not_applied_twice_after_a_rival(
    store: S3FeatureFlagStore, s3_client: Any, other_client: Any, s3_bucket: str
) -> None:
    """Who wrote since hides what took effect, so nobody can tell: it raises."""
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


# Away and back


def test_a_server_that_is_away_leaves_the_last_known_state_and_comes_back() -> None:
    """Asking goes on, all else fails as boto3 fails, and nothing has to be done."""
    with start_s3() as server:
        client = server.client(config=ONCE)
        client.create_bucket(Bucket="flags")
        store = S3FeatureFlagStore(client, "flags")
        flags = FeatureFlagClient(store)
        flags.create("on", is_enabled=True)
        flags.create("off")
        server.kill()
        assert [flags.is_enabled("on") for _ in range(2000)] == [True] * 2000
        assert flags.is_enabled("off", default=True) is False
        assert flags.is_enabled("never heard of", default=True) is True
        for call in (
            lambda: store.get("on"),
            lambda: flags.create("new"),
            lambda: flags.enable("off"),
            lambda: flags.destroy("on"),
            lambda: list(flags.list()),
        ):
            with pytest.raises(EndpointConnectionError) as caught:
                call()
            assert isinstance(caught.value, store.outage_errors)
        server.start()
        flags.disable("on")
        assert store.get("on").is_enabled() is False
        assert listed(store) == ["off", "on"]
        client.close()


# Doubles


class Double:
    """A client written by hand, with the four methods that flipper-client called."""

    class exceptions:  # noqa: N801  (boto3's name)
        """The errors of the client."""

        class NoSuchKey(Exception):  # noqa: N818
            """There is no such object."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> None:  # noqa: N803
        """Write an object."""
        self.objects[Key] = Body

    def get_object(self, *, Bucket: str, Key: str) -> Any:  # noqa: N803
        """Give an object, without an ETag."""
        if Key not in self.objects:
            raise self.exceptions.NoSuchKey
        return {"Body": BytesIO(self.objects[Key])}

    def delete_object(self, *, Bucket: str, Key: str) -> None:  # noqa: N803
        """Remove an object."""
        self.objects.pop(Key, None)

    def get_paginator(self, name: str) -> Any:
        """Give pages of names, without sizes."""
        assert name == "list_objects_v2"
        double = MagicMock()
        double.paginate = self._paginate
        return double

    def _paginate(self, *, Bucket: str) -> Any:  # noqa: N803
        found = [{"Key": key} for key in sorted(self.objects)]
        yield {"Name": "bucket", "KeyCount": len(found), "Contents": found}


def test_everything_works_by_a_double() -> None:
    """Suites that worked with flipper-client go on working, without a server."""
    double = Double()
    store = S3FeatureFlagStore(double, "bucket")
    client = FeatureFlagClient(store)
    assert not store.atomic
    client.create("x")
    client.enable("x")
    client.set_client_data("x", {"a": 1})
    client.create("y", is_enabled=True)
    assert client.is_enabled("x") is True
    assert [flag.name for flag in client.list()] == ["x", "y"]
    assert [flag.name for flag in client.list(limit=1, offset=1)] == ["y"]
    client.destroy("x")
    assert list(double.objects) == ["y"]


def test_no_driver_is_needed_for_a_double(monkeypatch: pytest.MonkeyPatch) -> None:
    """A suite may run where boto3 is not installed, and asking never raises there."""
    for name in [*sys.modules]:
        if name.partition(".")[0] in {"boto3", "botocore", "urllib3"}:
            monkeypatch.setitem(sys.modules, name, None)

    class Failing(Double):
        def get_object(self, *, Bucket: str, Key: str) -> Any:  # noqa: N803
            raise ConnectionError(Bucket, Key)

    client = FeatureFlagClient(S3FeatureFlagStore(Failing(), "bucket"))
    assert client.is_enabled("x", default=True) is True


def test_stores_around_one_double_do_not_undo_each_others_writes() -> None:
    """It tells no versions, so what it holds is compared."""
    double = Double()
    FeatureFlagClient(S3FeatureFlagStore(double, "bucket")).create("x")
    clients = [
        FeatureFlagClient(S3FeatureFlagStore(double, "bucket")) for _ in range(4)
    ]

    def write(number: int) -> None:
        for step in range(25):
            clients[number].set_client_data("x", {f"{number}-{step}": 1})

    with ThreadPoolExecutor(4) as pool:
        [*pool.map(write, range(4))]
    assert len(clients[0].get_client_data("x")) == 100
