# SPDX-License-Identifier: Apache-2.0
"""The bucketer that always gives the same answer for the same arguments."""

from __future__ import annotations

import json
from bisect import bisect_right
from json.encoder import encode_basestring_ascii as _text_of
from typing import TYPE_CHECKING, Any

from .percentage_bucketer import PercentageBucketer

try:
    # Python's own SHA-1: nothing secret is hashed, and OpenSSL takes long to load.
    from _sha1 import sha1 as sha1  # type: ignore[import-not-found]  # it has no stub
except ImportError:
    from functools import partial
    from hashlib import sha1 as _sha1

    sha1 = partial(_sha1, usedforsecurity=False)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from typing_extensions import Self

_BUCKETS = 100
_FRACTIONS = tuple([n / _BUCKETS for n in range(_BUCKETS)])  # each float is made once
_BUCKETS_KEPT = 16384  # in each table
_TABLES_KEPT = 64
_int_from_bytes = int.from_bytes


class KnownBuckets(dict[Any, int]):
    """A table of the buckets (0 to 99) of the values of one argument. Thread-safe.

    `table[value]` computes a bucket that is missing. The values are of type `str` or
    `int`. Values of other types may be equal as keys although their JSON, and so their
    bucket, is different: 1, 1.0 and True, or -0.0 and 0.0.

    Args:
        name: the name of the argument.
    """

    # Without a dict for attributes, a new user takes 5 % less time.
    __slots__ = ("_opening", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._opening = f"[[{json.dumps(name)}, "

    def __missing__(self, value: Any) -> int:
        # Every new user comes here, so this builds the JSON of one pair without the
        # encoder, and does what `_bucket_of` does without calling it.
        text = _text_of(value) if type(value) is str else int.__repr__(value)
        digest = sha1(f"{self._opening}{text}]]".encode()).digest()
        bucket = _int_from_bytes(digest, "big") % _BUCKETS
        if len(self) >= _BUCKETS_KEPT:
            self.clear()
        self[value] = bucket
        return bucket

    @staticmethod
    def count_up_to(share: float) -> int:
        """Return how many buckets are at most `share`, which is not NaN."""
        return bisect_right(_FRACTIONS, share)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return _shared_table, (self.name,)  # a copy is the same table


# A bucket depends on nothing but the arguments, so all flags share these tables.
_tables: dict[str, KnownBuckets] = {}


def _shared_table(name: str) -> KnownBuckets:
    if len(_tables) >= _TABLES_KEPT and name not in _tables:
        return KnownBuckets(name)
    return _tables.setdefault(name, KnownBuckets(name))


class ConsistentHashPercentageBucketer(PercentageBucketer):
    """Turns a flag on for a share of the calls, always the same ones.

    The arguments are sorted by name, written as JSON and hashed by SHA-1. The hash
    modulo 100 gives one of the buckets 0.00 to 0.99. The flag is on for the buckets up
    to the percentage. Drop-in: "up to" includes the percentage, so at 0.5 the flag is
    on for 51 of 100 buckets; the answer for every existing user depends on that.

    Args:
        key_whitelist: the names of the arguments to hash; a single name may be given as
            text. Empty or `None`: all arguments are hashed.
        percentage: the share, a `Percentage`, a ramp, or a number from 0 to 1; `None`
            is 1.
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
        self.known_buckets: KnownBuckets | None = None
        """The table of buckets for a white list of one name, otherwise `None`."""
        if len(self._key_whitelist) == 1 and "randomizer" not in self._key_whitelist:
            self.known_buckets = _shared_table(self._key_whitelist[0])

    @property
    def key_whitelist(self) -> list[str]:
        """The names of the arguments to hash, in order of first mention."""
        return list(self._key_whitelist)

    def bucket(self, /, **kwargs: Any) -> float:
        """Return the bucket of these arguments, one of 0.0, 0.01, ... 0.99.

        Raises:
            TypeError: JSON cannot express an argument that has to be hashed.
        """
        return self._bucket(kwargs)

    def check(self, /, randomizer: Any = None, **kwargs: Any) -> bool:  # noqa: ARG002
        """Return whether the bucket of these arguments is at most the percentage.

        Args:
            randomizer: ignored, and never hashed.
            **kwargs: the arguments of `is_enabled`.

        Raises:
            TypeError: JSON cannot express an argument that has to be hashed.
        """
        return self.decide(kwargs)[0]

    def decide(
        self, context: Mapping[str, Any]
    ) -> tuple[bool, Self, float | None, Any]:
        """Decide as `check` does; return the answer, itself, bucket and percentage.

        The bucket is `None` if the percentage is 0, because nothing was hashed then.
        """
        percentage = self._percentage.value
        if percentage == 0:
            return False, self, None, percentage
        bucket = self._bucket(context)
        return bucket <= percentage, self, bucket, percentage

    def _bucket(self, context: Mapping[str, Any]) -> float:
        known = self.known_buckets
        if known is not None:
            value = context.get(known.name)
            if type(value) in (str, int):
                return _FRACTIONS[known[value]]
        names = self._key_whitelist
        chosen = context.keys() & set(names) if names else context.keys()
        pairs = [(n, context[n]) for n in sorted(chosen) if n != "randomizer"]
        return _bucket_of(json.dumps(pairs).encode())

    def to_dict(self) -> dict[str, Any]:
        """Return the bucketer as plain data."""
        return {**super().to_dict(), "key_whitelist": self.key_whitelist}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> ConsistentHashPercentageBucketer:
        """Make a bucketer from the result of `to_dict`."""
        return cls(
            key_whitelist=fields.get("key_whitelist"),
            percentage=cls._percentage_from(fields),
        )


def _bucket_of(text: bytes) -> float:
    return _FRACTIONS[_int_from_bytes(sha1(text).digest(), "big") % _BUCKETS]
