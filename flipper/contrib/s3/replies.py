# SPDX-License-Identifier: Apache-2.0
"""Checks whether a reply of S3 is complete.

If a connection ends within the headers of a reply, or before its body, botocore returns
an empty list or an empty object. The checks look for what every reply of S3 has, and of
servers with the same protocol. Replies of test doubles have no headers, and pass.
"""

from __future__ import annotations

from typing import Any

from ...exceptions import StoreUnavailableError


def check_page_complete(page: Any) -> None:
    """Check a reply with a page of a list.

    Raises:
        StoreUnavailableError: it is incomplete, or not one of S3's.
    """
    if _headers_of(page) is None:
        return
    entries = len(page.get("Contents", ())) + len(page.get("CommonPrefixes", ()))
    if not page.keys() & {"Name", "IsTruncated", "KeyCount", "Contents"}:
        problem = "it has no field that a list has"
    elif page.get("IsTruncated") and not page.get("NextContinuationToken"):
        problem = "it says that more pages follow, but not how to get them"
    elif page.get("KeyCount", 0) > entries:
        problem = f"{page['KeyCount']} names are announced, but {entries} are there"
    else:
        return
    raise StoreUnavailableError(
        f"The list of the flags in S3 is not complete: {problem}; is there a proxy in "
        f"between?"
    )


def is_complete_object(found: Any) -> bool:
    """Return whether a reply with an object is complete, except for its body."""
    headers = _headers_of(found)
    if headers is None:
        return True
    # With one of the two, botocore notices that a body was cut.
    is_chunked = headers.get("transfer-encoding", "").lower().endswith("chunked")
    has_end = is_chunked or "content-length" in headers
    return has_end and "etag" in headers


def incomplete_object(feature_name: str) -> StoreUnavailableError:
    """Make the error for an incomplete reply with a flag's object."""
    return StoreUnavailableError(
        f"The reply of S3 with feature {feature_name!r} is not complete; is there a "
        f"proxy in between?",
        feature_name=feature_name,
    )


def _headers_of(reply: Any) -> Any:
    """Return the HTTP headers of a reply; `None` for that of a test double."""
    metadata = reply.get("ResponseMetadata") if isinstance(reply, dict) else None
    return metadata.get("HTTPHeaders") if isinstance(metadata, dict) else None
