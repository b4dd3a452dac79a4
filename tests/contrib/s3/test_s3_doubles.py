# SPDX-License-Identifier: Apache-2.0
"""The S3 store with clients that are written by hand, as test suites have them."""

from __future__ import annotations

import io
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any
from unittest.mock import MagicMock

import pytest
from botocore.stub import Stubber

from flipper import FeatureFlagClient
from flipper.contrib.s3 import S3FeatureFlagStore
from flipper.contrib.storage import FeatureFlagStoreItem, FeatureFlagStoreMeta
from support.flags import names

pytestmark = pytest.mark.s3


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
        """Return an object, without an ETag."""
        if Key not in self.objects:
            raise self.exceptions.NoSuchKey
        return {"Body": BytesIO(self.objects[Key])}

    def delete_object(self, *, Bucket: str, Key: str) -> None:  # noqa: N803
        """Remove an object."""
        self.objects.pop(Key, None)

    def get_paginator(self, name: str) -> Any:
        """Return pages of names, without sizes."""
        assert name == "list_objects_v2"
        double = MagicMock()
        double.paginate = self._paginate
        return double

    def _paginate(self, *, Bucket: str) -> Any:  # noqa: N803
        found = [{"Key": key} for key in sorted(self.objects)]
        yield {"Name": "bucket", "KeyCount": len(found), "Contents": found}


def test_a_double_can_do_all_that_a_client_calls() -> None:
    """Suites that worked with flipper-client still work, without a server."""
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


def test_a_double_gets_writes_without_conditions() -> None:
    """A test double gets no argument that it may not know."""

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
def test_replies_of_a_double_may_lack_fields(page: Any, offline_client: Any) -> None:
    """Pages and objects of the Stubber and of other doubles may have few fields."""
    item = FeatureFlagStoreItem("x", True, FeatureFlagStoreMeta(7))
    entry = {"Key": "x", "Size": 9}
    with Stubber(offline_client) as stubber:
        store = S3FeatureFlagStore(offline_client, "flags")
        stubber.add_response("list_objects_v2", page)
        assert names(store) == []
        stubber.add_response("list_objects_v2", {**page, "Contents": [entry]})
        stubber.add_response("get_object", {"Body": io.BytesIO(item.serialize())})
        assert names(store) == ["x"]


def test_no_driver_is_needed_for_a_double(monkeypatch: pytest.MonkeyPatch) -> None:
    """A double works where boto3 is not installed, and asking never raises."""
    for name in [*sys.modules]:
        if name.partition(".")[0] in {"boto3", "botocore", "urllib3"}:
            monkeypatch.setitem(sys.modules, name, None)

    class Failing(Double):
        def get_object(self, *, Bucket: str, Key: str) -> Any:  # noqa: N803
            raise ConnectionError(Bucket, Key)

    client = FeatureFlagClient(S3FeatureFlagStore(Failing(), "bucket"))
    assert client.is_enabled("x", default=True) is True


def test_concurrent_writes_to_a_double_are_all_kept() -> None:
    """Stores around one double compare what it holds, and lose no write."""
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
