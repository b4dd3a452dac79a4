# SPDX-License-Identifier: Apache-2.0
"""The plain data of expressions and of what rules serve, in documents and in files.

An expression is one of

- `{"country": "SE", "age__gte": 18}`: a condition, by the keywords of `Condition`
- `[{"variable": "age", "operator": "gte", "value": 18}]`: a condition that keywords
  cannot express
- `{"all": [EXPRESSION, ...]}`, `{"any": [EXPRESSION, ...]}`, `{"not": EXPRESSION}`
- `{"rollout": 0.1, "by": "user_id"}`: a share of users

and what a rule serves is true, false, the name of a variant, such a rollout, or
`{"split": {"blue": 0.5, "red": 0.5}, "by": "user_id"}`. docs/rules.md explains it.
"""

from __future__ import annotations

from contextlib import contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from ..conditions.check import OPERATOR_DELIMITER, Check
from ..conditions.condition import Condition
from ..conditions.expression import DEEPEST_EXPRESSION, AllOf, AnyOf, Not
from ..conditions.keywords import condition_to_plain
from ..exceptions import InvalidArgumentError
from .rollout import Rollout
from .split import Split

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from ..conditions.expression import Expression

    Path = tuple[str | int, ...]
    Served = bool | str | Rollout | Split

KEYS_OF_EXPRESSIONS = ("all", "any", "not", "rollout")
"""A table with one of these keys is not a condition."""


class InvalidRulesError(InvalidArgumentError):
    """The plain data of rules has a mistake.

    Attributes:
        problem: what is wrong, and the remedy.
        path: where, as keys and indexes from the outside to the inside.
    """

    def __init__(self, problem: str, path: Path, value: object = None) -> None:
        where = "".join(
            [f"[{key}]" if isinstance(key, int) else f".{key}" for key in path]
        )
        super().__init__(f"{where.lstrip('.') or 'the rules'}: {problem}", value=value)
        self.problem = problem
        self.path = path


def expression_to_plain(expression: Expression) -> Any:
    """Return an expression as plain data."""
    if isinstance(expression, Not):
        return {"not": expression_to_plain(expression.part)}
    if isinstance(expression, AllOf):
        return {"all": [expression_to_plain(part) for part in expression.parts]}
    if isinstance(expression, AnyOf):
        return {"any": [expression_to_plain(part) for part in expression.parts]}
    if isinstance(expression, Condition):
        return condition_to_plain(expression, KEYS_OF_EXPRESSIONS)
    return expression.to_dict()  # type: ignore[attr-defined]  # a rollout


def expression_from_plain(plain: Any, path: Path = ()) -> Expression:
    """Make an expression of the result of `expression_to_plain`.

    Raises:
        InvalidRulesError: the data has another form.
    """
    if len([key for key in path if key in ("all", "any", "not")]) > DEEPEST_EXPRESSION:
        raise InvalidRulesError(
            f"it is nested more than {DEEPEST_EXPRESSION} levels deep; split it into "
            f"several rules",
            path,
        )
    if isinstance(plain, list):
        return _condition_of_checks(plain, path)
    if not isinstance(plain, dict):
        raise unusable('a table such as {country = "SE"}', plain, path)
    kind = next((key for key in KEYS_OF_EXPRESSIONS if key in plain), None)
    if kind is None or kind == "rollout":
        with at_place(path):
            return Rollout.from_dict(plain) if kind else _condition_of_keywords(plain)
    check_keys(plain, path, (kind,), (kind,))
    inside = (*path, kind)
    if kind == "not":
        return Not(expression_from_plain(plain["not"], inside))
    parts = [
        expression_from_plain(part, (*inside, index))
        for index, part in enumerate(check_list(plain[kind], inside))
    ]
    return AllOf(*parts) if kind == "all" else AnyOf(*parts)


def _condition_of_keywords(plain: dict[str, Any]) -> Condition:
    for key in plain:
        variable, symbol = Check.split_check_key(key)
        # An operator of a later version must not be taken for a part of the name.
        if symbol is None and OPERATOR_DELIMITER in variable:
            raise InvalidArgumentError(
                f"{key!r} has no operator that is known; use a list of checks with "
                f"'variable', 'operator' and 'value', if this is a name",
                value=key,
            )
    return Condition(**plain)


def _condition_of_checks(plain: list[Any], path: Path) -> Condition:
    checks: list[Mapping[str, Any]] = []
    for index, check in enumerate(plain):
        names = ("variable", "operator", "value")
        check_keys(check, (*path, index), names, ("variable", "value"))
        checks.append({"operator": None, **check})
        with at_place((*path, index)):
            Check.from_dict(checks[-1])
    return Condition.from_dict({"": checks})


def served_to_plain(served: Served) -> Any:
    """Return what a rule serves as plain data."""
    return served if isinstance(served, (bool, str)) else served.to_dict()


def served_from_plain(plain: Any, path: Path = ()) -> Served:
    """Make what a rule serves of the result of `served_to_plain`.

    Raises:
        InvalidRulesError: the data has another form.
    """
    with at_place(path):
        if isinstance(plain, dict) and "rollout" in plain:
            return Rollout.from_dict(plain)
        if isinstance(plain, dict) and "split" in plain:
            return Split.from_dict(plain)
    if not isinstance(plain, (bool, str)):
        raise unusable(
            "true, false, the name of a variant, a rollout or a split", plain, path
        )
    return plain


@contextmanager
def at_place(path: Path) -> Iterator[None]:
    """Say in an error of a constructor where the data is that it refuses."""
    try:
        yield
    except InvalidRulesError:
        raise
    except InvalidArgumentError as error:
        raise InvalidRulesError(str(error), path, error.value) from error
    except Exception as error:
        # An unknown operator, or a percentage of another form.
        problem = f"{error or type(error).__name__}; see docs/rules.md"
        raise InvalidRulesError(problem, path) from error


def check_list(plain: Any, path: Path) -> list[Any]:
    """Return a list; refuse any other data."""
    if not isinstance(plain, list):
        raise unusable("a list", plain, path)
    return plain


def check_keys(
    plain: Any, path: Path, known: Collection[str], needed: Collection[str]
) -> None:
    """Refuse data that is not a table with these keys."""
    if not isinstance(plain, dict):
        raise unusable(f"a table with {', '.join(known)}", plain, path)
    for key in plain:
        if key not in known:
            close = get_close_matches(str(key), known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"use {', '.join(known)}"
            raise InvalidRulesError(f"{key!r} is unknown; {hint}", path, key)
    for key in needed:
        if key not in plain:
            raise InvalidRulesError(f"{key!r} is missing; add it", path)


def unusable(wanted: str, plain: Any, path: Path) -> InvalidRulesError:
    """Return the error for data that is of another kind than wanted."""
    shown = repr(plain)
    if len(shown) > 60:  # noqa: PLR2004
        shown = f"{shown[:50]}..."
    return InvalidRulesError(f"{shown} cannot be used; write {wanted}", path, plain)
