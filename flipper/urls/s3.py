# SPDX-License-Identifier: Apache-2.0
"""Stores in a bucket of S3: `s3://bucket/prefix`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from ..exceptions import MissingDependencyError
from .ownership import make_owner

try:
    from boto3.session import Session
    from botocore.config import Config
except ImportError as error:
    raise MissingDependencyError.for_extra("boto3", "s3") from error

from ..contrib.s3 import S3FeatureFlagStore

if TYPE_CHECKING:
    from .address import StoreURL

_TIMEOUT: Final = 2.0  # seconds
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}")


def build(url: StoreURL) -> Any:
    """Make the store. boto3 looks for credentials, unless the URL has some."""
    options = url.options
    bucket = _bucket(url)
    given: dict[str, Any] = {"prefix": url.path}
    if "page_size" in options:
        given["page_size"] = options.integer("page_size")
    key_id, secret_key = _keys(url)
    session = {
        "aws_access_key_id": key_id,
        "aws_secret_access_key": secret_key,
        "aws_session_token": options.secret("session_token"),
        "region_name": options.text("region"),
        "profile_name": options.text("profile"),
    }
    endpoint_url = _endpoint_url(url)
    config = Config(
        connect_timeout=options.seconds("connect_timeout", _TIMEOUT),
        read_timeout=options.seconds("timeout", _TIMEOUT),
        retries={"total_max_attempts": 1 + options.integer("retries", 0)},
        s3={
            "addressing_style": options.choice(
                "addressing_style", "auto", "path", "virtual"
            )
        },
    )
    options.refuse_unknown()
    client = Session(**session).client("s3", endpoint_url=endpoint_url, config=config)

    def close() -> None:
        if hasattr(client, "close"):  # not in old releases of botocore
            client.close()

    return make_owner(S3FeatureFlagStore, client, bucket, release=close, **given)


def _bucket(url: StoreURL) -> str:
    name, port = url.hosts[0]
    if not name:
        url.refuse("names no bucket; write s3://bucket or s3://bucket/prefix")
    if len(url.hosts) > 1 or port or not _BUCKET.fullmatch(name):
        url.refuse(
            "has a name of a bucket that is not valid; use letters, digits, dots and "
            "hyphens; the address of a server is the option endpoint_url"
        )
    return name


def _keys(url: StoreURL) -> tuple[str | None, str | None]:
    """Return the access key and the secret key, both or none."""
    options = url.options
    key_id, secret_key = options.secret("access_key"), options.secret("secret_key")
    if (url.username or url.password) and (key_id or secret_key):
        url.refuse("has keys before the bucket and as options; give one of them")
    key_id, secret_key = key_id or url.username, secret_key or url.password
    if bool(key_id) != bool(secret_key):
        url.refuse("has one of two keys; give access_key and secret_key, or none")
    return key_id or None, secret_key or None


def _endpoint_url(url: StoreURL) -> str | None:
    endpoint_url = url.options.text("endpoint_url")
    if endpoint_url is None:
        return None
    # Errors of botocore show it.
    if "@" in endpoint_url or "?" in endpoint_url:
        url.refuse(
            "has an endpoint_url with a user or a query; leave them out, and give "
            "access_key and secret_key"
        )
    try:
        parts = urlsplit(endpoint_url)
        is_valid = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        is_valid = False
    if not is_valid:
        url.refuse(
            "has an endpoint_url that is not valid; write one as http://localhost:9000"
        )
    return endpoint_url
