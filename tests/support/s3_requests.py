# SPDX-License-Identifier: Apache-2.0
"""Requests of a boto3 client that a test records, or answers instead of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSResponse
from botocore.config import Config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ONE_ATTEMPT = Config(retries={"max_attempts": 0})
"""The configuration of a client that repeats no request."""


class Requests(list[tuple[str, dict[str, Any]]]):
    """The requests of a client, operation and arguments; repetitions do not count."""

    def __init__(self, client: Any) -> None:
        super().__init__()
        client.meta.events.register("provide-client-params.s3", self._record)

    def _record(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        arguments = {k: v for k, v in params.items() if k != "Bucket"}
        self.append((model.name, arguments))

    def names(self) -> list[str]:
        """Return the operations."""
        return [name for name, _ in self]

    def keys(self, operation: str) -> list[str]:
        """Return the keys of one operation, in the order of the keys."""
        return sorted(found["Key"] for name, found in self if name == operation)


def error_reply(status: int, code: str) -> AWSResponse:
    """Return a reply as S3 has it for an error."""

    class Raw:
        @staticmethod
        def stream() -> Iterator[bytes]:
            yield f"<Error><Code>{code}</Code></Error>".encode()

    return AWSResponse("http://s3", status, {}, Raw())


def intercept(
    client: Any, operation: str, *replies: Callable[[], AWSResponse | None]
) -> None:
    """Answer the next requests of an operation with these replies.

    The server answers where a reply is `None`.
    """
    left = list(replies)

    def reply(**_: Any) -> AWSResponse | None:
        return left.pop(0)() if left else None

    client.meta.events.register(f"before-send.s3.{operation}", reply)
