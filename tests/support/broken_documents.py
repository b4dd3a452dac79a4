# SPDX-License-Identifier: Apache-2.0
"""Broken documents, as a server may have them after an accident or an attack.

But for one defect, each of them is a flag that is on for everybody. A store that does
not notice the defect turns the flag on.
"""

from __future__ import annotations

import gzip
import json
import logging
import pickle
import random
from typing import TYPE_CHECKING, Any

from flipper import FeatureFlagClient

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Spoil = Callable[[random.Random, dict[str, Any]], bytes]

SEED = 20_251_122


def check_hostile_documents(
    store: Any, write: Callable[[dict[str, bytes]], object], count: int = 500
) -> None:
    """Check that no broken document is on, hides a flag, or cannot be written over.

    Args:
        store: an empty store.
        write: writes documents by feature name where the store reads them, and waits
            until it does.
        count: how many documents there are.
    """
    flags = FeatureFlagClient(store)
    good = [f"good-{number:02}" for number in range(20)]
    for name in good:
        flags.create(name, is_enabled=True)
    hostile = hostile_documents(count)
    write(hostile)
    log = logging.getLogger("flipper")
    level = log.level
    log.setLevel(logging.CRITICAL)  # hundreds of tracebacks take seconds
    try:
        assert not [name for name in hostile if flags.is_enabled(name)]
        assert not [name for name in hostile if flags.is_enabled(name, user_id=1)]
        listed = [flag.name for flag in flags.list()]
        assert len(set(listed)) == len(listed)
        assert sorted(name for name in listed if name in good) == good
        assert not any(flags.is_enabled(name) for name in set(listed) - set(good))
        assert all(flags.is_enabled(name) for name in good)
    finally:
        log.setLevel(level)
    for name in [*hostile][: len(SPOILS)]:
        assert flags.create(name, is_enabled=True).is_enabled() is True


def hostile_documents(count: int = 500, seed: int = SEED) -> dict[str, bytes]:
    """Return so many different broken documents by feature name, the same for a seed.

    None of their flags may be on, whatever the arguments are, if `age` is not one of
    them. Some documents can be decoded, and fail only in `is_enabled`.
    """
    return different_documents(count, seed, SPOILS, _flag, replace_a_part)


def different_documents(
    count: int,
    seed: int,
    spoils: Sequence[Spoil],
    make: Callable[[random.Random, str], dict[str, Any]],
    spoil_otherwise: Spoil,
) -> dict[str, bytes]:
    """Return so many different broken documents by feature name, the same for a seed.

    Args:
        count: how many.
        seed: of the random numbers.
        spoils: break a flag, in turns.
        make: makes a flag of this name.
        spoil_otherwise: breaks a flag if the document is there already.
    """
    chance = random.Random(seed)  # noqa: S311 # the same each time, on purpose
    documents: dict[str, bytes] = {}
    seen: set[bytes] = set()
    while len(documents) < count:
        name = f"hostile-{len(documents)}"
        document = spoils[len(documents) % len(spoils)](chance, make(chance, name))
        while document in seen:  # there are not many empty ones
            document = spoil_otherwise(chance, make(chance, name))
        seen.add(document)
        documents[name] = document
    return documents


def _flag(chance: random.Random, name: str) -> dict[str, Any]:
    """Return a flag that is on for all calls without the argument `age`."""
    percentage = chance.choice(
        [
            {"type": "Percentage", "value": 1.0},
            {
                "type": "LinearRampPercentage",
                "initial_value": 0.5,
                "final_value": 1.0,
                "ramp_duration": 60,
                "initial_time": 1_500_000_000,
            },
        ]
    )
    bucketer = chance.choice(
        [
            {"type": "PercentageBucketer", "percentage": percentage},
            {
                "type": "ConsistentHashPercentageBucketer",
                "percentage": percentage,
                "key_whitelist": ["user_id"],
            },
        ]
    )
    check = {"variable": "age", "value": chance.randrange(100), "operator": "gte"}
    return {
        "feature_name": name,
        "is_enabled": True,
        "meta": {
            "client_data": {"owner": chance.choice(["käthe", "ö" * 20, "\u2603"])},
            "created_date": 1_500_000_000 + chance.randrange(10**8),
            "conditions": [{"age": [check]}],
            "bucketer": bucketer,
        },
    }


def _json(flag: dict[str, Any]) -> bytes:
    return json.dumps(flag, ensure_ascii=False).encode()


# What is no JSON


def cut(chance: random.Random, flag: dict[str, Any]) -> bytes:
    """Cut the document, as an interrupted write does."""
    document = _json(flag)
    return document[: chance.randrange(1, len(document))]


def insert_garbage(chance: random.Random, flag: dict[str, Any]) -> bytes:
    """Insert bytes that JSON does not allow between two tokens."""
    document = _json(flag)
    garbage = chance.choice([b"\0", b"//", b"'", b"\\", b"undefined", b"{", b"]", b"<"])
    place = chance.choice([i for i, byte in enumerate(document) if byte in b":{["])
    return document[: place + 1] + garbage * chance.randrange(1, 4) + document[place:]


def break_the_encoding(chance: random.Random, flag: dict[str, Any]) -> bytes:
    """Insert bytes that are not UTF-8."""
    document = _json(flag)
    place = chance.randrange(len(document))
    wrong = chance.choice([b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf8\x88\x80\x80"])
    return document[:place] + wrong + document[place:]


def append(chance: random.Random, flag: dict[str, Any]) -> bytes:
    """Append something after the end."""
    tail = chance.choice([b"}", b",", b"\0", b"null", _json(flag), b" garbage"])
    return _json(flag) + tail * chance.randrange(1, 3)


def write_in_another_format(chance: random.Random, flag: dict[str, Any]) -> bytes:
    """Replace the document by something other than JSON."""
    text = json.dumps(flag)
    return chance.choice(
        [
            b"",
            b" \n",
            b"\0" * chance.randrange(1, 100),
            b"on",
            b"<flag>on</flag>",
            repr(flag).encode(),
            pickle.dumps(flag),
            gzip.compress(text.encode(), mtime=0),
            text.encode("utf-16"),
            text.replace("}", ",}").encode(),
            chance.randbytes(chance.randrange(1, 300)),
        ]
    )


def nest_deeply(chance: random.Random, flag: dict[str, Any]) -> bytes:
    """Nest values deeper than any parser accepts; some servers accept not much more."""
    depth = chance.randrange(100_000, 104_000)
    if chance.random() < 0.5:
        return chance.choice([b"[", b'{"a":']) * depth
    flag["meta"]["client_data"]["owner"] = "here"
    return _json(flag).replace(b'"here"', b"[" * depth + b"]" * depth)


# What is JSON, but no flag


def replace_all(chance: random.Random, flag: dict[str, Any]) -> bytes:
    """Replace the document by another JSON value."""
    value = chance.choice(
        [None, True, 1, -0.5, "on", [], [[]], {}, [True], {"on": True}]
    )
    return json.dumps(value).encode()


def leave_out(chance: random.Random, flag: dict[str, Any]) -> bytes:
    """Delete a required field."""
    meta = flag["meta"]
    check = meta["conditions"][0]["age"][0]
    bucketer = meta["bucketer"]
    fields, name = chance.choice(
        [
            *((flag, name) for name in ("feature_name", "is_enabled", "meta")),
            (meta, "created_date"),
            *((check, name) for name in ("variable", "value", "operator")),
            (bucketer, "type"),
            (bucketer["percentage"], "type"),
        ]
    )
    del fields[name]
    return _json(flag)


def replace_a_part(chance: random.Random, flag: dict[str, Any]) -> bytes:
    """Replace a value by one of a wrong type."""
    meta = flag["meta"]
    check = meta["conditions"][0]["age"][0]
    percentage = meta["bucketer"]["percentage"]
    number, word = chance.randrange(1, 10**6), f"word-{chance.randrange(10**6)}"
    wrong_parts = [
        *((flag, "meta", value) for value in (None, number, word, [number], True)),
        *((meta, "client_data", value) for value in (number, word, [word], True)),
        *(
            (meta, "conditions", value)
            for value in (
                *(None, number, word, True),
                *([number], [None], [word], [[word]]),
                *([{"age": number}], [{"age": word}], [{"age": None}], [{"age": True}]),
                *([{"age": [number]}], [{"age": [None]}], [{"age": [word]}]),
                *([{"age": [[]]}], [{"age": [{}]}]),
            )
        ),
        *((check, "operator", value) for value in (number, word, "", [], {}, True)),
        *((meta, "bucketer", value) for value in (number, word, [word], True, {})),
        *(
            (meta["bucketer"], "type", value)
            for value in (None, number, word, "", [], {}, "Percentage")
        ),
        *(
            (meta["bucketer"], "percentage", value)
            for value in (word, [word], {}, {"value": 1}, {"type": word})
        ),
        *(
            (percentage, "type", value)
            for value in (None, number, word, "", [], {}, "PercentageBucketer")
        ),
        *(
            (meta["bucketer"], "percentage", {"type": "Percentage", "value": value})
            for value in (word, [number], {"value": number})
        ),
    ]
    fields, name, value = chance.choice(wrong_parts)
    fields[name] = value
    return _json(flag)


def exaggerate(chance: random.Random, flag: dict[str, Any]) -> bytes:
    """Replace a number by one that is far too large."""
    bucketer = flag["meta"]["bucketer"]
    huge = chance.randrange(1, 10)
    if chance.random() < 0.3:  # more digits than Python converts
        flag["meta"]["created_date"] = "here"
        digits = str(huge).encode() * chance.randrange(5000, 6000)
        return _json(flag).replace(b'"here"', digits)
    bucketer["percentage"] = {
        "type": "LinearRampPercentage",
        "initial_time": chance.choice([huge * 10**18, huge * 1e300, -huge * 1e18]),
    }
    return _json(flag)


SPOILS: tuple[Spoil, ...] = (
    cut,
    insert_garbage,
    break_the_encoding,
    append,
    write_in_another_format,
    replace_all,
    leave_out,
    *[replace_a_part] * 4,
    exaggerate,
    nest_deeply,
)
