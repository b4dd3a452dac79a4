# SPDX-License-Identifier: Apache-2.0
"""The buckets of values: flipper's own hash, and those of other flag systems.

A flag that comes from another system keeps the hash of that system, so that no user
changes sides. Every hash is a `Hash`: the number of buckets, and a function that gives
the bucket of a text for a seed. All functions are pure and safe for threads.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from types import MethodType
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zlib import crc32

from ..arguments import shortened
from ..bucketing.consistent_hash_percentage_bucketer import sha1
from ..exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BUCKETS: Final = 100_000
"""The number of buckets of flipper's own hash."""

_UNLEASH_VARIANTS: Final = "unleash-variants"
_UNLEASH_VARIANT_SEED: Final = 86028157
_UNLEASH_TOTAL_WEIGHT: Final = 1000  # of what Unleash itself writes
_LARGEST_TOTAL_WEIGHT: Final = 10**9
_LAUNCHDARKLY_DIGITS: Final = 15  # hexadecimal digits of the SHA-1
_INT_32: Final = 2**31
_UINT_32: Final = 2**32
_from_bytes = int.from_bytes


class Hash(NamedTuple):
    """A way to put texts into buckets.

    Attributes:
        buckets: how many buckets there are.
        bucket: returns the bucket, from 0 on, of a seed and a text.
        rounds: whether the end of a share is rounded to the nearest bucket. Otherwise
            a bucket is in if `bucket / buckets` is less than the share, as other
            systems compare.
    """

    buckets: int
    bucket: Callable[[str, str], int]
    rounds: bool = False

    def count_up_to(self, fraction: float) -> int:
        """Return how many buckets a share has that begins at bucket 0."""
        if self.rounds:
            return round(fraction * self.buckets)
        count = math.ceil(fraction * self.buckets)
        # The product of two floats may be too large or too small by a tiny bit.
        while count > 0 and (count - 1) / self.buckets >= fraction:
            count -= 1
        while count / self.buckets < fraction:
            count += 1
        return count


def text_of(value: Any) -> str:
    """Return the text of a value that is hashed.

    Text is itself, integers are written with digits, and all other values as JSON.

    Raises:
        TypeError: JSON cannot express the value.
    """
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__repr__(value)
    # Dicts that are equal have the same bucket, whatever their order.
    return json.dumps(value, sort_keys=True)


def find_hash(name: str | None) -> Hash:
    """Return the hash of a name; `None` is flipper's own.

    Raises:
        InvalidArgumentError: there is no hash of this name.
    """
    if name is None:
        return _OWN
    if isinstance(name, str):
        if name in HASHES:
            return HASHES[name]
        kind, _, weight = name.partition(":")
        if kind == _UNLEASH_VARIANTS and weight.isascii() and weight.isdecimal():
            # No plain `int` of a long text: that is an error of another kind.
            total = int(weight[:20])
            if 1 <= total <= _LARGEST_TOTAL_WEIGHT and str(total) == weight:
                return _unleash_variants(total)
    raise InvalidArgumentError(
        f"hash={shortened(name)} is unknown; use {', '.join(map(repr, HASHES))}, or "
        f"None for flipper's own",
        value=name,
    )


def _own(seed: str, text: str) -> int:
    """SHA-1 of "seed:text", as a big-endian number, modulo 100,000."""
    # Text from JSON may have half a surrogate pair, which UTF-8 refuses.
    encoded = f"{seed}:{text}".encode("utf-8", "surrogatepass")
    return int.from_bytes(sha1(encoded).digest(), "big") % BUCKETS


def murmur3_32(data: bytes, seed: int = 0) -> int:
    """Return MurmurHash3_x86_32 of bytes, as an unsigned number.

    Source: the algorithm of Austin Appleby, in the public domain (SMHasher).
    """
    state, length = seed, len(data)
    whole = length - length % 4
    for start in range(0, whole, 4):
        state ^= _murmur_block(int.from_bytes(data[start : start + 4], "little"))
        state = (state << 13 | state >> 19) & 0xFFFFFFFF
        state = (state * 5 + 0xE6546B64) & 0xFFFFFFFF
    if whole != length:
        state ^= _murmur_block(int.from_bytes(data[whole:], "little"))
    state ^= length
    state = (state ^ state >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    state = (state ^ state >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return state ^ state >> 16


def _murmur_block(block: int) -> int:
    block = block * 0xCC9E2D51 & 0xFFFFFFFF
    block = (block << 15 | block >> 17) & 0xFFFFFFFF
    return block * 0x1B873593 & 0xFFFFFFFF


def fnv1a_32(data: bytes) -> int:
    """Return FNV-1a of bytes, in 32 bits.

    Source: the hash of Fowler, Noll and Vo (RFC 9923).
    """
    state = 0x811C9DC5
    for byte in data:
        state = (state ^ byte) * 0x01000193 & 0xFFFFFFFF
    return state


def _unleash(seed: str, text: str) -> int:
    """Murmur3 of "group:id" modulo 100; the seed is the group of the strategy.

    Source: the gradual rollout of Unleash's client specification. Unleash counts the
    buckets from 1 to 100 and compares with `<=`, which is `<` here.
    """
    return murmur3_32(f"{seed}:{text}".encode()) % 100


def _unleash_variants(total_weight: int) -> Hash:
    """Murmur3 of "group:id" with a seed of its own, modulo the sum of the weights.

    Source: the variants of Unleash's client specification.
    """

    def bucket(seed: str, text: str) -> int:
        encoded = f"{seed}:{text}".encode()
        return murmur3_32(encoded, _UNLEASH_VARIANT_SEED) % total_weight

    return Hash(total_weight, bucket)


def _growthbook(seed: str, text: str) -> int:
    """FNV-1a of the digits of the FNV-1a of seed and text, modulo 10,000.

    Source: version 2 of the hash in GrowthBook's description of its SDKs.
    """
    inner = fnv1a_32(f"{seed}{text}".encode())
    return fnv1a_32(str(inner).encode()) % 10_000


def _growthbook_v1(seed: str, text: str) -> int:
    """FNV-1a of text and seed, in this order, modulo 1,000.

    Source: version 1 of the hash in GrowthBook's description of its SDKs. Namespaces
    use it too; their seed is "__" and the name of the namespace.
    """
    return fnv1a_32(f"{text}{seed}".encode()) % 1000


def _flagd(seed: str, text: str) -> int:
    """Murmur3 of seed and text, one of 2**32 buckets.

    The seed is the key of the flag, or what a `cat` puts before the value; "" if the
    value is hashed alone. Source: flagd's description of its `fractional` operation,
    where a number of the sum of the weights is `hash * sum >> 32`.
    """
    return murmur3_32(f"{seed}{text}".encode())


def _flagd_v1(seed: str, text: str) -> int:
    """The absolute value of murmur3 of seed and text as a signed number.

    Source: flagd's first `fractional` operation, which divides the number by 2**31 - 1.
    The two largest values, 2**31 - 1 and 2**31, are in no share, not even in that of
    100 %: flagd serves its default variant for them.
    """
    number = _flagd(seed, text)
    return number if number < _INT_32 else _UINT_32 - number


def _flipper_rb(seed: str, text: str) -> int:
    """CRC-32 of seed and text modulo 100,000; the seed is the name of the flag.

    Source: the percentage of actors of the Ruby gem flipper, with three digits after
    the point of a percentage; the text is the actor's `flipper_id`.
    """
    return crc32(f"{seed}{text}".encode()) % 100_000


def _launchdarkly(seed: str, text: str) -> int:
    """The first 15 hexadecimal digits of the SHA-1 of "seed.text".

    The seed is "key.salt" of the flag, or the digits of the seed of a rollout that has
    one. Source: LaunchDarkly's description of its percentage rollouts; it divides the
    number by that of fifteen digits F.
    """
    digest = sha1(f"{seed}.{text}".encode()).hexdigest()
    return int(digest[:_LAUNCHDARKLY_DIGITS], 16)


_OWN: Final = Hash(BUCKETS, _own, rounds=True)

HASHES: Final = {
    "flagd": Hash(_UINT_32, _flagd),
    "flagd-v1": Hash(_INT_32 - 1, _flagd_v1),
    "flipper-rb": Hash(100_000, _flipper_rb),
    "growthbook": Hash(10_000, _growthbook),
    "growthbook-v1": Hash(1000, _growthbook_v1),
    "launchdarkly": Hash(16**_LAUNCHDARKLY_DIGITS - 1, _launchdarkly),
    "unleash": Hash(100, _unleash),
    _UNLEASH_VARIANTS: _unleash_variants(_UNLEASH_TOTAL_WEIGHT),
}
"""The hashes of other systems, by name.

"unleash-variants" is for weights with a sum of 1,000; with another sum it is named as
"unleash-variants:99".
"""


def bucket_function(name: str | None, seed: str) -> Callable[[Any], int]:
    """Return the function that computes the bucket of a value.

    Args:
        name: the name of the hash; `None` is flipper's own.
        seed: what is hashed with the value.
    """
    bucket = find_hash(name).bucket

    def bucket_of(value: Any) -> int:
        return bucket(seed, text_of(value))

    return bucket_of


def own_check(seed: str, count: int) -> Callable[[Any], bool]:
    """Return a function: is the bucket of a value, by flipper's hash, below `count`?

    It does what `bucket_function` does, without further calls: every question about a
    rollout of a constant share comes here.
    """
    # A method of a tuple takes less memory than a closure, so that more flags stay in
    # the cache of the processor.
    return MethodType(_is_in, (seed, count))


def _is_in(bound: tuple[str, int], value: Any) -> bool:
    seed, count = bound
    kind = type(value)
    if kind is str or kind is int:
        try:
            encoded = f"{seed}:{value}".encode()
        except UnicodeEncodeError:
            return _own(seed, value) < count
        return _from_bytes(sha1(encoded).digest(), "big") % BUCKETS < count
    return _own(seed, text_of(value)) < count


def own_choice(
    seed: str, ends: Sequence[int], choices: Sequence[Any]
) -> Callable[[Any], Any]:
    """Return a function: which choice has the bucket of a value, by flipper's hash?

    Args:
        seed: what is hashed with the value.
        ends: the first bucket after that of each choice, in ascending order.
        choices: the choices, and one more for the buckets after the last of `ends`.
    """
    return MethodType(_choose, (seed, ends, choices))


def _choose(bound: tuple[str, Sequence[int], Sequence[Any]], value: Any) -> Any:
    seed, ends, choices = bound
    kind = type(value)
    if kind is str or kind is int:
        try:
            encoded = f"{seed}:{value}".encode()
        except UnicodeEncodeError:
            return choices[bisect_right(ends, _own(seed, value))]
        bucket = _from_bytes(sha1(encoded).digest(), "big") % BUCKETS
        return choices[bisect_right(ends, bucket)]
    return choices[bisect_right(ends, _own(seed, text_of(value)))]
