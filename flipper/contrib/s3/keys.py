# SPDX-License-Identifier: Apache-2.0
"""Turns feature names into keys of objects, and back.

Without a prefix a key is the name. With a prefix, a key is the prefix, a slash, and the
name, in which no slash is left. So no name leads out of the prefix, and the prefixes
`a` and `a/b` share no key.
"""

from __future__ import annotations

from typing import Final

from ...exceptions import InvalidArgumentError

_LONGEST_KEY: Final = 1024  # bytes, a limit of S3


class Keys:
    """The keys of the flags below one prefix.

    Args:
        prefix: the prefix; slashes at its ends do not count. With "" there is none.

    Raises:
        InvalidArgumentError: the prefix is no text, or longer than S3 allows.
    """

    def __init__(self, prefix: str) -> None:
        if not isinstance(prefix, str) or _is_too_long(prefix):
            raise InvalidArgumentError(
                f"prefix={prefix!r} cannot begin a key of S3; use a text that is much "
                f"shorter than {_LONGEST_KEY} bytes in UTF-8",
                value=prefix,
            )
        stripped = prefix.strip("/")
        self.start = f"{stripped}/" if stripped else ""
        self.listing = {"Prefix": self.start, "Delimiter": "/"} if stripped else {}
        """The arguments with which S3 lists these keys only."""

    def key_of(self, feature_name: str) -> str:
        """Return the key of a flag."""
        if not self.start:
            return feature_name
        encoded = feature_name.replace("%", "%25").replace("/", "%2F")
        if not encoded.strip("."):  # "." and ".." mean folders to some servers
            encoded = encoded.replace(".", "%2E")
        return self.start + encoded

    def name_of(self, key: str) -> str | None:
        """Return the name of the flag with this key, `None` if it is no flag's."""
        if not self.start:
            return key
        encoded = key.removeprefix(self.start)
        decoded = encoded.replace("%2E", ".").replace("%2F", "/").replace("%25", "%")
        return decoded if self.key_of(decoded) == key else None

    def is_too_long(self, feature_name: str) -> bool:
        """Return whether S3 would refuse the key of a flag."""
        # A name alone is short enough.
        return bool(self.start) and _is_too_long(self.key_of(feature_name))

    def check_length(self, feature_name: str) -> None:
        """Refuse to write a flag whose key S3 would refuse.

        Raises:
            InvalidArgumentError: the key is too long.
        """
        if self.is_too_long(feature_name):
            raise InvalidArgumentError(
                f"Feature {feature_name!r} cannot be stored in S3: with the prefix "
                f"{self.start!r} its key has more than {_LONGEST_KEY} bytes; use a "
                f"shorter name or prefix",
                feature_name=feature_name,
                value=feature_name,
            )


def _is_too_long(key: str) -> bool:
    return len(key.encode("utf-8", "surrogatepass")) > _LONGEST_KEY
