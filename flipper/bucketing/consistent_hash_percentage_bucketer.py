# SPDX-License-Identifier: Apache-2.0
"""The bucketer that gives the same arguments the same answer."""

from __future__ import annotations

import json
from bisect import bisect_right
from json.encoder import encode_basestring_ascii as _text_of
from typing import TYPE_CHECKING, Any

from .percentage_bucketer import PercentageBucketer

try:
    # CPython's own: nothing secret is hashed here, and OpenSSL takes long to load.
    from _sha1 import sha1  # type: ignore[import-not-found]  # has no stub
except ImportError:
    from functools import partial
    from hashlib import sha1 as _sha1

    sha1 = partial(_sha1, usedforsecurity=False)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from typing_extensions import Self

_BUCKETS = 100
_FRACTIONS = tuple([n / _BUCKETS for n in range(_BUCKETS)])  # one object for each
_REMEMBERED = 16384
_number = int.from_bytes
_NAMES_REMEMBERED = 64


class KnownBuckets(dict[Any, int]):
    """The buckets (0 to 99) of values, `str` and `int`, of the argument that counts.

    Nothing but these two types: of others, values that are equal as keys may have
    different JSON, as 1, 1.0 and True have, or -0.0 and 0.0. `known[value]` finds out
    what is missing. Safe for threads.

    Args:
        name: of the argument.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._opening = f"[[{json.dumps(name)}, "

    def __missing__(self, value: Any) -> int:
        # The JSON of one pair, written without its encoder; and `_bucket_of` without a
        # call, for every new user comes here.
        text = _text_of(value) if type(value) is str else int.__repr__(value)
        digest = sha1(f"{self._opening}{text}]]".encode()).digest()
        bucket = _number(digest, "big") % _BUCKETS
        if len(self) >= _REMEMBERED:
            self.clear()
        self[value] = bucket
        return bucket

    @staticmethod
    def count_up_to(share: float) -> int:
        """Return how many of the buckets are in; `share` is not NaN."""
        return bisect_right(_FRACTIONS, share)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return _known_buckets, (self.name,)  # nothing to be copied or pickled


# The assignment depends on nothing but the arguments, so all flags share them.
_known_by_name: dict[str, KnownBuckets] = {}


def _known_buckets(name: str) -> KnownBuckets:
    if len(_known_by_name) >= _NAMES_REMEMBERED and name not in _known_by_name:
        return KnownBuckets(name)
    return _known_by_name.setdefault(name, KnownBuckets(name))


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
        self.known: KnownBuckets | None = None
        """The table of buckets that is good for a white list of one name."""
        if len(self._key_whitelist) == 1 and "randomizer" not in self._key_whitelist:
            self.known = _known_buckets(self._key_whitelist[0])

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

    def assign(
        self, context: Mapping[str, Any]
    ) -> tuple[bool, Self, float | None, Any]:
        """Decide as `check` does; return the answer, itself, bucket and percentage.

        The bucket is `None` where the percentage is 0, and nothing was hashed.
        """
        percentage = self._percentage.value
        if percentage == 0:
            return False, self, None, percentage
        bucket = self._bucket(context)
        return bucket <= percentage, self, bucket, percentage

    def _bucket(self, context: Mapping[str, Any]) -> float:
        known = self.known
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
        """Make the bucketer that `to_dict` gave."""
        return cls(
            key_whitelist=fields.get("key_whitelist"),
            percentage=cls._percentage_from(fields),
        )


def _bucket_of(text: bytes) -> float:
    return _FRACTIONS[_number(sha1(text).digest(), "big") % _BUCKETS]
