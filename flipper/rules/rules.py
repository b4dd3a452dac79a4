# SPDX-License-Identifier: Apache-2.0
"""All rules of a flag, and its variants."""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from ..exceptions import InvalidArgumentError
from ..runtime.containers import copy_containers
from .immutable import Immutable
from .plain import (
    at_place,
    check_keys,
    check_list,
    served_from_plain,
    served_to_plain,
    unusable,
)
from .rule import Rule, check_served
from .split import Split
from .variant import Variant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .plain import Path, Served

MOST_RULES = 1000
"""How many rules a flag may have."""


class Rules(Immutable):
    """The rules of a flag: the first one that holds decides what is served.

    They never change, and threads may share them. Rules are equal if their plain data
    is equal.

    Args:
        rules: the rules, in order.
        otherwise: what is served if no rule holds, as the `serve` of a rule.
        variants: the values of the variants, by name; JSON has to be able to express
            them. Without it, the value of every variant is its name.
        off: the variant that counts as off. `False` then serves this variant, and so
            does a flag that is disabled.

    Raises:
        InvalidArgumentError: an argument cannot be used, or a rule serves a variant
            that is not in `variants`.
    """

    __slots__ = ("_rules", "_variants", "off", "otherwise")

    _rules: tuple[Rule, ...]
    _variants: dict[str, Any] | None
    otherwise: Served
    off: str | None

    def __init__(
        self,
        rules: Iterable[Rule] = (),
        otherwise: Served = False,
        variants: Mapping[str, Any] | None = None,
        off: str | None = None,
    ) -> None:
        self._set("_rules", _checked_rules(rules))
        check_served(otherwise)
        self._set("otherwise", otherwise)
        self._set("_variants", _checked_variants(variants))
        self._set("off", off)
        for served in (*[rule.serve for rule in self._rules], otherwise):
            self._check_names(served)
        if off is not None:
            _check_off(off)
            self._check_names(off)

    def _check_names(self, served: Served) -> None:
        names: Iterable[str] = ()
        if isinstance(served, Split):
            names = served.ranges
        elif isinstance(served, str):
            names = (served,)
        for name in names:
            if self._variants is not None and name not in self._variants:
                known = ", ".join(map(repr, self._variants))
                close = get_close_matches(name, self._variants, 1)
                hint = f"did you mean {close[0]!r}?" if close else f"there are {known}"
                raise InvalidArgumentError(
                    f"The variant {name!r} is not among the variants of the flag; "
                    f"{hint} Add it to `variants`, or serve another one",
                    value=name,
                )

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._rules)

    def __len__(self) -> int:
        return len(self._rules)

    def __bool__(self) -> bool:
        """Return True: also without a rule, `otherwise` decides."""
        return True

    def __getitem__(self, index: int) -> Rule:
        return self._rules[index]

    @property
    def variants(self) -> dict[str, Any] | None:
        """A copy of the values of the variants by name, or `None`."""
        return copy_containers(self._variants)

    def variant(self, name: str) -> Variant:
        """Return the variant of this name; without values, its value is its name."""
        value = name if self._variants is None else self._variants[name]
        return Variant(name, value, is_on=name != self.off)

    @property
    def off_variant(self) -> Variant | None:
        """The variant that counts as off, or `None`."""
        return None if self.off is None else self.variant(self.off)

    def served(self, decision: Any) -> Any:
        """Return the `Variant` of a `Decision`, or its answer if there is none."""
        is_on, cause, _, _ = decision
        name = cause.variant if is_on else self.off
        return is_on if name is None else self.variant(name)

    def value_of(self, variant: str) -> Any:
        """Return a copy of the value of a variant."""
        return copy_containers(self.variant(variant).value)

    def keeping(self, old: Rules) -> Rules:
        """Return these rules, whose splits move only the users that must move.

        Args:
            old: the rules that the flag has had so far.
        """
        before = [rule.serve for rule in (*old, Rule(None, old.otherwise))]
        rules = [
            Rule(rule.when, _keeping(rule.serve, before, number), rule.name)
            for number, rule in enumerate(self._rules)
        ]
        otherwise = _keeping(self.otherwise, before, len(before) - 1)
        return Rules(rules, otherwise, self._variants, self.off)

    def to_dict(self) -> dict[str, Any]:
        """Return the rules as plain data, without what is default."""
        plain: dict[str, Any] = {"rules": [rule.to_dict() for rule in self._rules]}
        if self.otherwise is not False:
            plain["otherwise"] = served_to_plain(self.otherwise)
        if self._variants is not None:
            plain["variants"] = self.variants
        if self.off is not None:
            plain["off"] = self.off
        return plain

    @classmethod
    def from_dict(cls, fields: Any, path: Path = ()) -> Rules:
        """Make rules of the result of `to_dict`.

        Args:
            fields: the data.
            path: where it is, for errors.

        Raises:
            InvalidRulesError: the data has another form; the message says where.
        """
        check_keys(fields, path, ("rules", "otherwise", "variants", "off"), ())
        place = (*path, "rules")
        rules = check_list(fields.get("rules", []), place)
        variants = fields.get("variants")
        if variants is not None and not isinstance(variants, dict):
            raise unusable("a table of names and values", variants, (*path, "variants"))
        made = [Rule.from_dict(rule, (*place, n)) for n, rule in enumerate(rules)]
        place = (*path, "otherwise")
        otherwise = served_from_plain(fields.get("otherwise", False), place)
        with at_place(path):
            return cls(made, otherwise, variants, fields.get("off"))

    def __eq__(self, other: object) -> bool:
        if type(other) is not Rules:
            return NotImplemented
        return self.to_dict() == other.to_dict()

    # Values of checks may be lists, which cannot be hashed.
    __hash__ = None  # type: ignore[assignment]  # the way Python declares it

    def __repr__(self) -> str:
        """Return the code that makes the rules."""
        more = [
            f"{name}={value!r}"
            for name, value, default in (
                ("otherwise", self.otherwise, False),
                ("variants", self._variants, None),
                ("off", self.off, None),
            )
            if value is not default
        ]
        return f"Rules({', '.join([repr(list(self._rules)), *more])})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._rules, self.otherwise, self._variants, self.off)


def _check_off(off: Any) -> None:
    if not isinstance(off, str) or not off:
        raise InvalidArgumentError(
            f"off={off!r} is not the name of a variant; use text, or leave it out",
            value=off,
        )


def _keeping(served: Served, before: list[Served], number: int) -> Served:
    """Return what is served, with the users of a split where they were.

    Args:
        served: of a new rule.
        before: what the old rules serve.
        number: the index of the new rule.
    """
    if not isinstance(served, Split):
        return served
    old = [
        (index, each)
        for index, each in enumerate(before)
        if isinstance(each, Split) and served.has_users_of(each)
    ]
    if not old or not served.is_made_of_numbers:
        return served
    return served.keeping(dict(old).get(number, old[0][1]))


def _checked_rules(rules: Any) -> tuple[Rule, ...]:
    try:
        found = tuple(rules)
    except TypeError:
        raise InvalidArgumentError(
            f"{rules!r} is not a list of rules; use a list, as in "
            f"[Rule(Condition(is_admin=True), True)]",
            value=rules,
        ) from None
    for rule in found:
        if not isinstance(rule, Rule):
            raise InvalidArgumentError(
                f"{rule!r} is not a rule; use Rule(expression, what_it_serves)",
                value=rule,
            )
    if len(found) > MOST_RULES:
        raise InvalidArgumentError(
            f"A flag cannot have {len(found)} rules; use {MOST_RULES} at most, for "
            f"example with `in` instead of a rule for each value",
            value=len(found),
        )
    return found


def _checked_variants(variants: Any) -> dict[str, Any] | None:
    if variants is None:
        return None
    try:
        found = copy_containers(dict(variants))
        json.dumps(found)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgumentError(
            f"The variants cannot be stored: {error}; use a dict of names and values "
            f"that JSON can express",
            value=variants,
        ) from error
    for name in found:
        _check_variant(name)
    return found


def _check_variant(name: Any) -> None:
    if not isinstance(name, str):
        raise InvalidArgumentError(
            f"The name {name!r} of a variant is not text; use text", value=name
        )
    check_served(name)
