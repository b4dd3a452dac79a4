# SPDX-License-Identifier: Apache-2.0
"""Imports flags into a store, and computes buckets without the library."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from typing import Any

from flipper import FeatureFlagClient, MemoryFeatureFlagStore
from flipper.importers import ImportedFlag, flags_from
from flipper.rules import Rules

USERS = [f"user-{number}" for number in range(400)]


def only(origin: str, data: Any) -> ImportedFlag:
    """Return the only flag of a file."""
    [flag] = flags_from(origin, data)
    return flag


def client_of(origin: str, data: Any) -> FeatureFlagClient:
    """Return a client of a store with the flags of a file, none of which has problems.

    Their rules are read from JSON, as those of any store are.
    """
    client = FeatureFlagClient(MemoryFeatureFlagStore(), on_error="raise")
    for flag in flags_from(origin, data):
        assert flag.problems == ()
        client.create(flag.feature_name, is_enabled=flag.is_enabled)
        if flag.rules is not None:
            stored = Rules.from_dict(json.loads(json.dumps(flag.rules.to_dict())))
            client.set_rules(flag.feature_name, stored)
    return client


def murmur3(text: str, seed: int = 0) -> int:
    """Compute MurmurHash3_x86_32 by the steps of its description."""
    data = text.encode()
    padded = data + b"\0" * (-len(data) % 4)
    blocks = struct.unpack(f"<{len(padded) // 4}I", padded)
    result = seed
    for number, block in enumerate(blocks):
        mixed = _rotated(block * 0xCC9E2D51 % 2**32, 15) * 0x1B873593 % 2**32
        result ^= mixed
        if number < len(data) // 4:
            result = (_rotated(result, 13) * 5 + 0xE6546B64) % 2**32
    result ^= len(data)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        result = (result ^ (result >> shift)) * factor % 2**32
    return result


def _rotated(number: int, bits: int) -> int:
    whole = f"{number:032b}"
    return int(whole[bits:] + whole[:bits], 2)


def fnv1a(text: str) -> int:
    """Compute FNV-1a in 32 bits, by the steps of its description."""
    result = 2166136261
    for byte in text.encode():
        result = (result ^ byte) * 16777619 % 2**32
    return result


def launchdarkly_bucket(text: str) -> float:
    """Compute the bucket of a text, from 0 to 1, as LaunchDarkly describes it."""
    digits = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:15]
    return int(digits, 16) / int("f" * 15, 16)


def crc_bucket(text: str) -> int:
    """Compute one of the 100,000 buckets of Ruby's flipper."""
    return zlib.crc32(text.encode()) % 100_000
