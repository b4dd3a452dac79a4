# SPDX-License-Identifier: Apache-2.0
"""What the S3 store reads from a real server, and what it lists."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
)

from flipper import Condition, FeatureFlagClient, FlagDoesNotExistError
from flipper.contrib import s3
from flipper.contrib.s3 import S3FeatureFlagStore
from flipper.exceptions import InvalidArgumentError
from servers import start_s3
from support.broken_documents import check_hostile_documents
from support.flags import names
from support.s3_requests import ONE_ATTEMPT, Requests, error_reply, intercept

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.s3


# Objects


def test_a_flag_is_one_object_at_the_root(
    store: S3FeatureFlagStore, s3_client: Any, s3_bucket: str
) -> None:
    """The store keeps each flag in one object, whose key is the name."""
    item = store.create("eu/x y", is_enabled=True, client_data={"ö": 1})
    (found,) = s3_client.list_objects_v2(Bucket=s3_bucket)["Contents"]
    assert found["Key"] == "eu/x y"
    stored = s3_client.get_object(Bucket=s3_bucket, Key="eu/x y")["Body"].read()
    assert stored == item.serialize()


@pytest.mark.parametrize(
    "name", ["x", "ä ☃ \U0001f600", "a b+c%20?#", "a/../b//", "&<>'\"\\", "n" * 1000]
)
def test_a_name_is_the_key_unchanged(store: S3FeatureFlagStore, name: str) -> None:
    """Every text that the client accepts is a name, and the key of an object."""
    flags = FeatureFlagClient(store)
    flags.create(name)
    flags.enable(name)
    assert flags.is_enabled(name) is True
    assert names(store) == [name]
    flags.destroy(name)
    assert flags.exists(name) is False


def test_a_store_works_under_mock_aws(mocked_client: Any) -> None:
    """The store works with moto's mock in the same process."""
    store = S3FeatureFlagStore(mocked_client, "flags", page_size=2)
    flags = FeatureFlagClient(store)
    for number in range(5):
        flags.create(f"flag-{number}")
    flags.enable("flag-3")
    flags.add_condition("flag-3", Condition(a=1))
    assert flags.is_enabled("flag-3", a=1) is True
    assert names(store) == [f"flag-{number}" for number in range(5)]
    with pytest.raises(FlagDoesNotExistError):
        store.set_meta("missing", {})


def test_an_error_other_than_a_missing_flag_is_raised(
    store: S3FeatureFlagStore, s3_client: Any
) -> None:
    """An error of S3, such as 403, does not count as a missing flag."""
    intercept(s3_client, "GetObject", *[lambda: error_reply(403, "AccessDenied")] * 2)
    with pytest.raises(ClientError, match="AccessDenied"):
        store.get("x")
    assert FeatureFlagClient(store).is_enabled("x", default=True) is True
    assert store.get("x") is None
    store.create("x")
    intercept(s3_client, "PutObject", lambda: error_reply(403, "AccessDenied"))
    with pytest.raises(ClientError, match="AccessDenied"):
        store.set("x", True)
    elsewhere = FeatureFlagClient(S3FeatureFlagStore(s3_client, "no-such-bucket"))
    with pytest.raises(ClientError, match="NoSuchBucket"):
        elsewhere.create("x")


def test_hostile_documents_are_never_on_and_hide_no_flag(mocked_client: Any) -> None:
    """A broken document is never on, hides no other flag, and can be written over."""

    def write(documents: dict[str, bytes]) -> None:
        for name, document in documents.items():
            mocked_client.put_object(Bucket="flags", Key=name, Body=document)

    store = S3FeatureFlagStore(mocked_client, "flags")
    check_hostile_documents(store, write, count=130)  # moto is slow


def test_flags_answer_as_last_known_during_an_outage() -> None:
    """During an outage flags answer as last known, and all other calls raise."""
    with start_s3() as server:
        client = server.client(config=ONE_ATTEMPT)
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
        assert names(store) == ["off", "on"]
        client.close()


# Lists


@pytest.mark.parametrize("size", [0, -1])
def test_a_page_size_below_one_is_refused(s3_client: Any, size: int) -> None:
    """The constructor refuses a page size with which a list would read nothing."""
    with pytest.raises(InvalidArgumentError, match="page_size"):
        S3FeatureFlagStore(s3_client, "flags", page_size=size)


def test_page_size_is_the_number_of_names_in_a_request(
    s3_client: Any, s3_bucket: str
) -> None:
    """A list asks for `page_size` names at once, by default as many as S3 gives."""
    store = S3FeatureFlagStore(s3_client, s3_bucket, page_size=2)
    for number in range(5):
        store.create(f"flag-{number}")
    requests = Requests(s3_client)
    assert len(names(store)) == 5
    assert requests.names().count("ListObjectsV2") == 3
    assert {found.get("MaxKeys") for _, found in requests} == {2, None}
    requests.clear()
    assert len(names(S3FeatureFlagStore(s3_client, s3_bucket))) == 5
    assert requests.names().count("ListObjectsV2") == 1


def test_a_list_reads_no_more_objects_than_it_returns(
    store: S3FeatureFlagStore, s3_client: Any
) -> None:
    """A list reads when its first flag is wanted, and only the objects of its page."""
    for number in range(8):
        store.create(f"flag-{number}")
    requests = Requests(s3_client)
    page = store.list(limit=3, offset=2)
    assert requests == []
    assert [item.feature_name for item in page] == ["flag-2", "flag-3", "flag-4"]
    assert requests.keys("GetObject") == ["flag-2", "flag-3", "flag-4"]
    requests.clear()
    assert names(store, limit=0) == []
    assert requests == []
    assert names(store, offset=6) == ["flag-6", "flag-7"]
    assert requests.keys("GetObject") == ["flag-6", "flag-7"]


def test_a_list_is_in_the_order_of_keys(
    store: S3FeatureFlagStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flags are listed by the UTF-8 of their names, whichever object arrives first."""
    monkeypatch.setattr(s3, "_BATCH_SIZE", 7)
    keys = ["\U0001f600", "b", "a", "é", "\uffff", "B", "a/b", *map(str, range(20))]
    for key in keys:
        store.create(key)
    assert names(store) == sorted(keys, key=str.encode)


def test_a_list_fetches_several_objects_at_once(
    store: S3FeatureFlagStore,
    s3_client: Any,
    own_threads: Callable[[], set[threading.Thread]],
) -> None:
    """A list fetches objects in parallel, and its threads end before it goes on."""
    for number in range(8):
        store.create(f"flag-{number}")
    all_at_once = threading.Barrier(4)

    def wait(**_: Any) -> None:
        all_at_once.wait(30)

    s3_client.meta.events.register("before-send.s3.GetObject", wait)
    flags = store.list()
    assert next(flags).feature_name == "flag-0"
    assert not own_threads()
    assert len(list(flags)) == 7


def test_a_second_list_fetches_only_changed_objects(
    store: S3FeatureFlagStore, s3_bucket: str, other_client: Any, s3_client: Any
) -> None:
    """A list fetches only those objects that have changed since the last list."""
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
    assert len(names(store)) == 8
    assert requests.names() == ["ListObjectsV2"]


def test_a_page_keeps_what_a_whole_list_has_fetched(
    store: S3FeatureFlagStore, s3_client: Any
) -> None:
    """Listing a page does not make the next whole list fetch all objects again."""
    for number in range(8):
        store.create(f"flag-{number}")
    assert len(names(store)) == 8
    requests = Requests(s3_client)
    assert names(store, limit=2) == ["flag-0", "flag-1"]
    assert next(store.list()).feature_name == "flag-0"
    assert len(names(store)) == 8
    assert "GetObject" not in requests.names()


def test_a_list_leaves_out_what_is_no_flag(
    store: S3FeatureFlagStore,
    s3_client: Any,
    s3_bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A list leaves out other objects, and does not fetch empty or very large ones."""
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
    assert names(store) == ["folder/mine", "mine"]
    assert requests.keys("GetObject") == [
        *("copy", "folder/mine", "mine", "picture", "text")
    ]


def test_a_list_leaves_out_flags_that_were_deleted_meanwhile(
    store: S3FeatureFlagStore, s3_client: Any, other_client: Any, s3_bucket: str
) -> None:
    """A list leaves out an object that is deleted between its name and its content."""
    store.create("a")
    store.create("b")
    intercept(
        s3_client,
        "GetObject",
        lambda: other_client.delete_object(Bucket=s3_bucket, Key="b") and None,
    )
    rest = S3FeatureFlagStore(s3_client, s3_bucket).list(offset=1)
    assert [item.feature_name for item in rest] == []
