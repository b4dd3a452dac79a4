# SPDX-License-Identifier: Apache-2.0
"""The bucketer that gives the same arguments the same answer."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .percentage_bucketer import PercentageBucketer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_BUCKETS = 100
_REMEMBERED = 16384
_ABSENT = object()


class ConsistentHashPercentageBucketer(PercentageBucketer):
    """Lets a share of the calls in, the same ones each time.

    The arguments are sorted by name, written as JSON and hashed by SHA-1; the hash
    modulo 100 gives one of the buckets 0.00 to 0.99, and those up to the percentage
    are in. Drop-in: "up to" includes it, so 51 of the 100 buckets are in at 0.5; the
    assignment of every existing user depends on that.

    Args:
        key_whitelist: names of the arguments that count; a single name may be given as
            text. Empty or `None`: all arguments count.
        percentage: the share, a `Percentage`, a ramp, or a number from 0 to 1; `None`
            is everybody.
    """

    def __init__(
        self,
        *,
        key_whitelist: Iterable[str] | str | None = (),
        percentage: Any = None,
    ) -> None:
        super().__init__(percentage)
        names = [key_whitelist] if isinstance(key_whitelist, str) else key_whitelist
        self._key_whitelist = tuple(dict.fromkeys(names or ()))

    @property
    def key_whitelist(self) -> list[str]:
        """The names of the arguments that count, in order of first mention."""
        return list(self._key_whitelist)

    def bucket(self, /, **kwargs: Any) -> float:
        """Return the bucket of these arguments, one of 0.0, 0.01, ... 0.99.

        Raises:
            TypeError: JSON cannot express an argument that counts.
        """
        return self._bucket(kwargs)

    def check(self, /, randomizer: Any = None, **kwargs: Any) -> bool:  # noqa: ARG002
        """Tell whether the bucket of these arguments is in.

        Args:
            randomizer: ignored, and never hashed.
            **kwargs: the arguments of `is_enabled`.

        Raises:
            TypeError: JSON cannot express an argument that counts.
        """
        return self.assign(kwargs)[0]

    def assign(self, context: Mapping[str, Any]) -> tuple[bool, float | None, Any]:
        """Decide as `check` does; return the answer, the bucket, and the percentage.

        The bucket is `None` where the percentage is 0, and nothing was hashed.
        """
        percentage = self._percentage.value
        if percentage == 0:
            return False, None, percentage
        bucket = self._bucket(context)
        return bucket <= percentage, bucket, percentage

    def _bucket(self, context: Mapping[str, Any]) -> float:
        names = self._key_whitelist
        if len(names) == 1:
            value = context.get(names[0], _ABSENT)
            # Only types whose equal values have equal JSON are looked up: 1, 1.0 and
            # True are equal as keys, -0.0 and 0.0 even of one type.
            if type(value) is str or type(value) is int:
                return _bucket_of_one(names[0], value)
        chosen = context.keys() if not names else context.keys() & set(names)
        pairs = [(n, context[n]) for n in sorted(chosen) if n != "randomizer"]
        return _bucket_of(pairs)

    def to_dict(self) -> dict[str, Any]:
        """Return the bucketer as plain data."""
        return {**super().to_dict(), "key_whitelist": self.key_whitelist}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> ConsistentHashPercentageBucketer:
        """Make the bucketer that `to_dict` gave."""
        return cls(
            key_whitelist=fields.get("key_whitelist"),
            percentage=cls._percentage_from(fields),
        )


def _bucket_of(pairs: list[tuple[str, Any]]) -> float:
    text = json.dumps(pairs).encode()
    digest = hashlib.sha1(text, usedforsecurity=False).digest()
    return int.from_bytes(digest, "big") % _BUCKETS / _BUCKETS


@lru_cache(maxsize=_REMEMBERED, typed=True)
def _bucket_of_one(name: str, value: Any) -> float:
    return _bucket_of([(name, value)])
