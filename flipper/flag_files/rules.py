# SPDX-License-Identifier: Apache-2.0
"""Rules in a file: the plain data of `flipper.rules.plain`, beside the state of a flag.

    otherwise = false
    variants = { blue = "#00f", green = "#0f0" }

    [[rules]]
    name = "testers"
    when = { all = [{ country = "SE" }, { not = { plan = "free" } }] }
    serve = "blue"

Conditions and percentages are checked as elsewhere in a file, with the place of each
mistake. The classes of rules check the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..arguments import RESERVED_KEY
from ..conditions.expression import DEEPEST_EXPRESSION
from ..exceptions import InvalidArgumentError
from ..rules.plain import KEYS_OF_EXPRESSIONS, InvalidRulesError, served_from_plain
from ..rules.rule import Rule
from ..rules.rules import Rules
from .bucketers import check_fraction, read_percentage
from .conditions import read_condition
from .problems import FewerProblems, check_keys, told
from .values import check_value, is_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from .problems import Place

RULES_KEYS: Final = ("rules", "otherwise", "variants", "off")
"""A flag with one of these keys has rules."""
_RULE: Final = {"serve": "serve = true"}
_BY: Final = {"by": 'by = "user_id"'}
_SHARES: Final = {
    "rollout": {"rollout": "rollout = 0.25", **_BY},
    "split": {"split": "split = { blue = 0.5, green = 0.5 }", **_BY},
}


def read_rules(place: Place, flag: dict[str, Any]) -> Rules | None:
    """Return the rules of a flag, `None` if there are none, and report mistakes."""
    given: dict[str, Any] = {key: flag[key] for key in RULES_KEYS if key in flag}
    if not given:
        return None
    if "bucketer" in flag:
        place.at("bucketer").refuse(
            "a flag with rules cannot have a bucketer; remove it, and serve a share of "
            "the users: serve = { rollout = 0.25, by = 'user_id' }",
            at_name=True,
        )
    return read_rules_table(place, given)


def read_rules_table(place: Place, table: dict[str, Any]) -> Rules | None:
    """Return the rules in a table that has no other keys, and report mistakes."""
    is_right = FewerProblems.since_now(place)
    rules, variants = table.get("rules", []), table.get("variants")
    if not isinstance(rules, list):
        place.at("rules").refuse(
            f"is {told(rules)}; write a list of rules, such as "
            f"[{{ when = {{ country = 'SE' }}, serve = true }}]"
        )
        rules = []
    inner = place.at("rules")
    made: list[Any] = [_read_rule(inner.at(n), rule) for n, rule in enumerate(rules)]
    otherwise = _read_served(place.at("otherwise"), table.get("otherwise", False))
    if isinstance(variants, dict):
        check_value(place.at("variants"), variants)
    elif variants is not None:
        place.at("variants").refuse(
            f"is {told(variants)}; write a table of names and values, such as "
            f"{{ blue = '#00f' }}"
        )
    if not is_right:
        return None
    fields = {"otherwise": otherwise, "variants": variants, "off": table.get("off")}
    try:
        return Rules(made, **fields)
    except InvalidArgumentError as error:
        _refuse_parts(place, str(error), made, fields)
    return None


def _refuse_parts(
    place: Place, problem: str, rules: list[Any], fields: dict[str, Any]
) -> None:
    """Report what is wrong with rules as a whole, at the parts that are wrong."""
    is_right = FewerProblems.since_now(place)
    variants = {"variants": fields["variants"]}
    _made(place.at("variants"), Rules, **variants)
    if not is_right:
        return
    for number, rule in enumerate(rules):
        inner = place.at("rules").at(number).at("serve")
        _made(inner, Rules, [rule], **variants)
    for key in ("otherwise", "off"):
        _made(place.at(key), Rules, **{key: fields[key]}, **variants)
    if is_right:
        place.at("rules").refuse(problem)


def _read_rule(place: Place, rule: Any) -> Rule | None:
    is_right = FewerProblems.since_now(place)
    if not check_keys(place, rule, _RULE, ("when", "name")):
        return None
    if "when" in rule:
        _check_expression(place.at("when"), rule["when"])
    _check_shares(place.at("serve"), rule.get("serve"))
    return _made(place, Rule.from_dict, rule) if is_right else None


def _read_served(place: Place, served: Any) -> Any:
    is_right = FewerProblems.since_now(place)
    _check_shares(place, served)
    return _made(place, served_from_plain, served) if is_right else None


def _made(place: Place, make: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return what a function makes, or report why it cannot."""
    try:
        return make(*args, **kwargs)
    except InvalidRulesError as error:
        for key in error.path:
            place = place.at(key)
        place.refuse(error.problem)
    except InvalidArgumentError as error:
        place.refuse(str(error))
    return None


def _check_expression(place: Place, value: Any, depth: int = 0) -> None:
    """Report mistakes in the conditions and the shares of an expression."""
    if depth > DEEPEST_EXPRESSION:
        return
    keys = KEYS_OF_EXPRESSIONS if isinstance(value, dict) else ()
    kind = next((key for key in keys if key in value), None)
    if kind == "rollout":
        _check_shares(place, value)
    elif kind == "not":
        _check_expression(place.at(kind), value[kind], depth + 1)
    elif kind is None:
        read_condition(place, value)
    elif isinstance(value[kind], list):
        for index, part in enumerate(value[kind]):
            _check_expression(place.at(kind).at(index), part, depth + 1)


def _check_shares(place: Place, value: Any) -> None:
    """Report mistakes in the keys and the shares of a rollout or a split."""
    keys = _SHARES if isinstance(value, dict) else {}
    kind = next((key for key in keys if key in value), None)
    if kind is None:
        return
    check_keys(place, value, keys[kind], ("seed", "hash"))
    place, shares = place.at(kind), value[kind]
    if kind == "rollout" and not isinstance(shares, list):
        read_percentage(place, shares)
    elif kind == "split" and isinstance(shares, dict):
        for name, share in shares.items():
            if is_number(share):
                check_fraction(place.at(name), share)


def refuse_reserved(place: Place, client_data: dict[str, Any]) -> None:
    """Report the name under which documents keep rules, if client data have it."""
    if RESERVED_KEY in client_data:
        place.at(RESERVED_KEY).refuse(
            "is the name under which rules are stored; write the rules as `rules` of "
            "the flag, or take another name",
            at_name=True,
        )
