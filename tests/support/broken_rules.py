# SPDX-License-Identifier: Apache-2.0
"""Broken documents of flags with rules, after an accident, an attack or a new version.

But for one defect, each of them is a flag that is on for everybody. See
`broken_documents`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .broken_documents import (
    SEED,
    append,
    break_the_encoding,
    cut,
    different_documents,
    insert_garbage,
    write_in_another_format,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    Spoil = Callable[[random.Random, dict[str, Any]], bytes]

_ROLLOUT = {"rollout": 1, "by": "user_id"}
_SPLIT = {"split": {"blue": 1}, "by": "user_id"}
_BY: list[Any] = [None, "", 1, [], [""], ["a", "a"], ["a", 1], {"a": 1}, True]
_SEEDS: list[Any] = [1, True, [], {}, 0.5]
_HASHES: list[Any] = ["md5", "", 1, [], {}, "unleash-variants:0", "unleash-variants:²"]
_SHARES: list[Any] = ["1", None, True, -0.1, 1.1, 100, float("nan"), float("inf")]
_SHARES += [10**400, {}, {"type": "Moon"}, {"type": "Percentage", "value": 2}]
_SHARES += [{"type": "Percentage", "value": "1"}, {"type": "Schedule", "entries": 1}]
_SHARES += [{"type": "Schedule", "entries": []}, {"type": "Schedule"}, [1], [[0]]]
_SHARES += [[[0, 1, 2]], [[0, 2]], [["a", "b"]], [[0.5, 0.1]], [None], "ab"]
_SPLITS: list[Any] = [None, 1, "blue", [], {}, ["blue"], {"": 1}, {"blue": "1"}]
_SPLITS += [{"blue": 0.7, "green": 0.7}, {"blue": 2}, {"blue": None}, {"blue": True}]
_SPLITS += [{"blue": [[0, 0.6]], "green": [[0.4, 1]]}, {"blue": 0.5, "green": [[0, 1]]}]
_SPLITS += [{"orange": 1}]  # no variant of the flag

SERVED: list[Any] = [
    *(
        None,
        1,
        0,
        0.5,
        "",
        "orange",
        [],
        {},
        [True],
        {"serve": True},
        {"by": "user_id"},
    ),
    *({**_ROLLOUT, **_SPLIT}, {"rollout": 1}, {"split": {"blue": 1}}),
    *({**_ROLLOUT, "else": False}, {**_SPLIT, "weights": [1]}),
    *({**base, "by": by} for base in (_ROLLOUT, _SPLIT) for by in _BY),
    *({**base, "seed": seed} for base in (_ROLLOUT, _SPLIT) for seed in _SEEDS),
    *({**base, "hash": name} for base in (_ROLLOUT, _SPLIT) for name in _HASHES),
    *({**_ROLLOUT, "rollout": share} for share in _SHARES),
    *({**_SPLIT, "split": split} for split in _SPLITS),
]
"""What no rule can serve."""

_CHECK = {"variable": "a", "value": 1}
EXPRESSIONS: list[Any] = [
    *(None, True, False, 0, 1, "", "a", 0.5, [None], [1], ["a"], [[]], [[_CHECK]]),
    *([{}], [{"variable": "a"}], [{"value": 1}], [{**_CHECK, "variable": 1}]),
    *([{**_CHECK, "operator": "near"}], [{**_CHECK, "operator": []}]),
    *([{**_CHECK, "operator": 1}], [{**_CHECK, "since": 2}], [_CHECK, None]),
    *({"a__near": 1}, {"a__b__near": 1}, {"a__": 1}, {"a__matches": "("}),
    *({"a__matches": 1}, {"a__matches": "(a+)+" * 5000}, {"a__semver_gt": "one"}),
    *({"a__in_cidr": "300.0.0.0/8"}, {"a__before": "soon"}, {"a__num_gt": "many"}),
    *({"a__exists": "yes"}, {"a__any_of": 1}, {"a__startswith": 1}),
    *({"a__enabled": 1}, {"a__variant": 1}, {"a__variant": [1]}),
    *({"all": None}, {"all": {}}, {"all": "ab"}, {"all": [None]}, {"all": [[None]]}),
    *({"any": None}, {"any": {}}, {"any": [1]}, {"any": [{"all": 1}]}),
    *({"all": [], "any": []}, {"all": [], "country": "SE"}, {"any": [], "x": 1}),
    *({"not": None}, {"not": 1}, {"not": [None]}, {"not": {}, "all": []}),
    *({"rollout": 1}, {"rollout": 1, "country": "SE"}, {**_ROLLOUT, "not": {}}),
    *({**_ROLLOUT, "by": by} for by in _BY),
    *({**_ROLLOUT, "rollout": share} for share in _SHARES),
    *({**_ROLLOUT, "hash": name} for name in _HASHES),
]
"""What is no expression of a rule."""


def hostile_rules(count: int = 500, seed: int = SEED) -> dict[str, bytes]:
    """Return so many different broken documents by feature name, the same for a seed.

    None of their flags may be on, whatever the arguments are.
    """
    return different_documents(count, seed, SPOILS, _flag, spoil_a_rule)


def _flag(chance: random.Random, name: str) -> dict[str, Any]:
    """Return a flag that is on for everybody."""
    never: dict[str, Any] = {"never": chance.randrange(10**6)}
    rules: list[dict[str, Any]] = [
        {"when": never, "serve": False, "name": "first"},
        {"when": {"all": [{"not": never}, {"not": {"any": []}}]}, "serve": "blue"},
    ]
    return {
        "feature_name": name,
        "is_enabled": True,
        "meta": {
            "client_data": {
                "owner": chance.choice(["käthe", "ö" * 20, "\u2603"]),
                "__rules__": {
                    "version": 1,
                    "is_enabled": True,
                    "rules": rules,
                    "otherwise": True,
                    "variants": {"blue": 1, "green": {"a": [1]}},
                },
            },
            "created_date": 1_500_000_000 + chance.randrange(10**8),
            "conditions": [],
            "bucketer": {"type": "NoOpBucketer", "rules": 1},
        },
    }


def _json(flag: dict[str, Any]) -> bytes:
    return json.dumps(flag, ensure_ascii=False).encode()


def _rules_of(flag: dict[str, Any]) -> dict[str, Any]:
    rules: dict[str, Any] = flag["meta"]["client_data"]["__rules__"]
    return rules


def replace_the_rules(chance: random.Random, flag: dict[str, Any]) -> bytes:
    """Replace all that is under the reserved key."""
    values = [None, True, False, 0, 1, "", "on", [], [1], {}, {"version": 1}]
    flag["meta"]["client_data"]["__rules__"] = chance.choice(
        [
            *values,
            {"rules": []},
            {"version": 1, "is_enabled": True, "otherwise": True},
            [_rules_of(flag)],
            json.dumps(_rules_of(flag)),
        ]
    )
    return _json(flag)


def lose_the_rules(chance: random.Random, flag: dict[str, Any]) -> bytes:
    """Delete the rules, but not the mark; the client data may be of a wrong type."""
    value = chance.choice([None, {}, {"owner": 1}, 1, "x", [], ["__rules__"], True])
    flag["meta"]["client_data"] = value
    return _json(flag)


def spoil_the_envelope(chance: random.Random, flag: dict[str, Any]) -> bytes:
    """Replace or delete a part of what is around the rules, or add one."""
    rules = _rules_of(flag)
    key, values = chance.choice(
        [
            ("version", [None, 0, 2, 1.0, "1", True, [1], {}, 10**30]),
            ("is_enabled", [None, 1, 0, "true", "", [], {}, 1.0]),
            ("rules", [None, 1, "", "ab", {}, {"when": {}}, True]),
            ("otherwise", SERVED),
            ("variants", [1, "blue", [], ["blue"], {}, {"green": 1}, {"": 1}, True]),
            ("off", [1, True, [], {}, "orange", "", 0.5]),
            *[(name, [1, [], None]) for name in ("else", "Rules", "when", "serve")],
        ]
    )
    if key in ("version", "is_enabled") and chance.random() < 0.3:
        del rules[key]
    else:
        rules[key] = chance.choice(values)
    return _json(flag)


def spoil_a_rule(chance: random.Random, flag: dict[str, Any]) -> bytes:
    """Replace or delete a part of a rule, or add one, anywhere among the rules."""
    rules = _rules_of(flag)["rules"]
    rule = chance.choice(rules)
    part = chance.randrange(6)
    if part == 0:
        wrong: list[Any] = [None, 1, "on", [], [rule], True, {}, {"when": {}}]
        rules[chance.randrange(len(rules))] = chance.choice(wrong)
    elif part == 1:
        rule[chance.choice(["if", "variants", "Serve", "", "otherwise"])] = True
    elif part == 2:
        rule["name"] = chance.choice([1, True, [], {}, 0.5])
    elif part == 3:
        del rule["serve"]
    else:
        rule["serve"] = chance.choice(SERVED)
    return _json(flag)


def spoil_an_expression(chance: random.Random, flag: dict[str, Any]) -> bytes:
    """Put something that is no expression anywhere into the expression of a rule."""
    expression = chance.choice(EXPRESSIONS)
    for _ in range(chance.randrange(4)):
        expression = chance.choice(
            [
                {"not": expression},
                {"all": [{}, expression]},
                {"any": [{"never": 1}, expression, {}]},
            ]
        )
    chance.choice(_rules_of(flag)["rules"])["when"] = expression
    return _json(flag)


def exaggerate(chance: random.Random, flag: dict[str, Any]) -> bytes:
    """Nest an expression too deeply, or write too many rules."""
    rules = _rules_of(flag)["rules"]
    if chance.random() < 0.3:
        rules.extend([rules[-1]] * chance.randrange(999, 1100))
        return _json(flag)
    depth = chance.choice([21, 22, 40, 500, 100_000])
    kind = chance.choice(['{"not": ', '{"all": [', '{"any": ['])
    rules[0]["when"] = "here"
    nested = kind * depth + "{}" + ("]}" if kind.endswith("[") else "}") * depth
    return _json(flag).replace(b'"here"', nested.encode())


SPOILS: tuple[Spoil, ...] = (
    cut,
    insert_garbage,
    break_the_encoding,
    append,
    write_in_another_format,
    replace_the_rules,
    lose_the_rules,
    *[spoil_the_envelope] * 3,
    *[spoil_a_rule] * 4,
    *[spoil_an_expression] * 4,
    exaggerate,
)
