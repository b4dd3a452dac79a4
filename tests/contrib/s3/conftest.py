# SPDX-License-Identifier: Apache-2.0
"""Fixtures for the tests of the S3 store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest

from flipper.contrib.s3 import S3FeatureFlagStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers import S3Server


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


@pytest.fixture
def offline_client() -> Iterator[Any]:
    """Give a client with credentials that open nothing."""
    client = boto3.client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",  # noqa: S106 # opens nothing
    )
    yield client
    client.close()


@pytest.fixture
def mocked_client(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Give a client of an S3 in this process, with the bucket "flags"."""
    with pytest.importorskip("moto").mock_aws():
        client = request.getfixturevalue("offline_client")
        client.create_bucket(Bucket="flags")
        yield client
