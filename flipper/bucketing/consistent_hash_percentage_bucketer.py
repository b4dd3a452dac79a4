# SPDX-License-Identifier: Apache-2.0
"""The bucketer that gives the same arguments the same answer."""

from __future__ import annotations

import json
from json.encoder import encode_basestring_ascii
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
_REMEMBERED = 16384
_NAMES_REMEMBERED = 64


class _Known(dict[Any, float]):
    """The buckets of values seen before, of the argument called `name`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return _known_buckets, (self.name,)  # nothing to be copied or pickled


# The assignment depends on nothing but the arguments, so all flags share them.
_known_by_name: dict[str, _Known] = {}


def _known_buckets(name: str) -> _Known:
    if len(_known_by_name) >= _NAMES_REMEMBERED and name not in _known_by_name:
        return _Known(name)
    return _known_by_name.setdefault(name, _Known(name))


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
        self._known: _Known | None = None
        if len(self._key_whitelist) == 1 and "randomizer" not in self._key_whitelist:
            (self._only_key,) = self._key_whitelist
            self._opening = f"[[{json.dumps(self._only_key)}, "
            self._known = _known_buckets(self._only_key)

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
        known = self._known
        if known is not None:
            value = context.get(self._only_key)
            kind = type(value)
            # Of other types, values that are equal as keys may have different JSON: 1,
            # 1.0 and True, or -0.0 and 0.0.
            if kind is str or kind is int:
                bucket = known.get(value)
                if bucket is None:
                    bucket = self._remember(known, value, kind)
                return bucket
        names = self._key_whitelist
        chosen = context.keys() & set(names) if names else context.keys()
        pairs = [(n, context[n]) for n in sorted(chosen) if n != "randomizer"]
        return _bucket_of(json.dumps(pairs).encode())

    def _remember(self, known: _Known, value: Any, kind: type) -> float:
        # The JSON of one pair, written without its encoder.
        text = encode_basestring_ascii(value) if kind is str else int.__repr__(value)
        bucket = _bucket_of(f"{self._opening}{text}]]".encode())
        if len(known) >= _REMEMBERED:
            known.clear()
        known[value] = bucket
        return bucket

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
    return int.from_bytes(sha1(text).digest(), "big") % _BUCKETS / _BUCKETS
