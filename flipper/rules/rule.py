# SPDX-License-Identifier: Apache-2.0
"""One rule: an expression, and what it serves to those for whom it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..conditions.condition import Condition
from ..conditions.expression import (
    DEEPEST_EXPRESSION,
    check_expression,
    depth_of,
    simple_parts,
    write_expression,
)
from ..exceptions import InvalidArgumentError
from .immutable import Immutable
from .plain import (
    at_place,
    check_keys,
    expression_from_plain,
    expression_to_plain,
    served_from_plain,
    served_to_plain,
)
from .rollout import Rollout
from .split import Split

if TYPE_CHECKING:
    from ..conditions.expression import Expression
    from .plain import Path, Served


class Rule(Immutable):
    """Serves something to those for whom an expression holds.

    A rule never changes, and threads may share it. Rules are equal if their plain data
    is equal.

    Args:
        when: a condition, or conditions and rollouts combined by `&`, `|` and `~`;
            `None` holds for everybody.
        serve: `True` (on), `False` (off), the name of a variant, a `Rollout` (on for a
            share of users, off for the others), or a `Split` of users among variants.
        name: for people; it decides nothing.

    Raises:
        InvalidArgumentError: an argument cannot be used.
    """

    __slots__ = ("name", "serve", "when")

    when: Expression | None
    serve: Served
    name: str | None

    def __init__(
        self,
        when: Expression | None = None,
        serve: Served = True,
        name: str | None = None,
    ) -> None:
        if when is not None:
            _check_when(when)
        check_served(serve)
        if not isinstance(name, (str, type(None))):
            raise InvalidArgumentError(
                f"The name {name!r} of a rule is not text; use text, or leave it out",
                value=name,
            )
        self._set("when", when)
        self._set("serve", serve)
        self._set("name", name)

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as plain data, without what is default."""
        plain: dict[str, Any] = {}
        if self.name is not None:
            plain["name"] = self.name
        if self.when is not None:
            plain["when"] = expression_to_plain(self.when)
        plain["serve"] = served_to_plain(self.serve)
        return plain

    @classmethod
    def from_dict(cls, fields: Any, path: Path = ()) -> Rule:
        """Make a rule of the result of `to_dict`.

        Args:
            fields: the data.
            path: where it is, for errors.

        Raises:
            InvalidRulesError: the data has another form; the message says where.
        """
        check_keys(fields, path, ("when", "serve", "name"), ("serve",))
        when = None
        if "when" in fields:
            when = expression_from_plain(fields["when"], (*path, "when"))
        serve = served_from_plain(fields["serve"], (*path, "serve"))
        with at_place(path):
            return cls(when, serve, fields.get("name"))

    def __eq__(self, other: object) -> bool:
        if type(other) is not Rule:
            return NotImplemented
        return self.to_dict() == other.to_dict()

    # Values of checks may be lists, which cannot be hashed.
    __hash__ = None  # type: ignore[assignment]  # the way Python declares it

    def __repr__(self) -> str:
        """Return the code that makes the rule."""
        when = "None" if self.when is None else expression_code(self.when)
        name = "" if self.name is None else f", name={self.name!r}"
        return f"Rule({when}, {self.serve!r}{name})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.when, self.serve, self.name)


def _check_when(when: object) -> None:
    expression = check_expression(when)
    try:
        depth = depth_of(expression)
    except RecursionError:
        depth = DEEPEST_EXPRESSION + 1
    if depth > DEEPEST_EXPRESSION:
        raise InvalidArgumentError(
            f"An expression is nested more than {DEEPEST_EXPRESSION} levels deep; "
            f"split it into several rules",
            value=type(when),
        )
    for part in simple_parts(expression):
        if type(part) not in (Condition, Rollout):
            raise InvalidArgumentError(
                f"{part!r} is of a class that rules cannot store; use Condition itself",
                value=part,
            )


def check_served(serve: object) -> None:
    """Refuse an object that no rule can serve.

    Raises:
        InvalidArgumentError: it is none of the five kinds.
    """
    if type(serve) is bool or isinstance(serve, (Rollout, Split)):
        return
    if not isinstance(serve, str):
        raise InvalidArgumentError(
            f"A rule cannot serve {serve!r}; use True, False, the name of a variant, "
            f'Rollout(0.1, by="user_id"), or Split({{"a": 0.5, "b": 0.5}}, '
            f'by="user_id")',
            value=serve,
        )
    if not serve:
        raise InvalidArgumentError(
            "The name of a variant is empty; give it a name", value=serve
        )


def expression_code(expression: Expression) -> str:
    """Return the code that makes an expression, with the values of its checks."""
    return write_expression(expression, _code)


def _code(part: Expression) -> str:
    if not isinstance(part, Condition):
        return repr(part)
    pairs = [(check.key, check.value) for check in part.own_checks]
    keys = [key for key, _ in pairs]
    if all(key.isidentifier() for key in keys) and len({*keys}) == len(keys):
        return f"Condition({', '.join([f'{key}={value!r}' for key, value in pairs])})"
    if len({*keys}) == len(keys):
        return f"Condition(**{dict(pairs)!r})"
    return f"Condition.from_dict({part.to_dict()!r})"
