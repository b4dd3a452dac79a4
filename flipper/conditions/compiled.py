# SPDX-License-Identifier: Apache-2.0
"""Functions that decide a condition without a call for each check.

A loop over checks spends most of its time on finding them and on calling comparisons.
So for every shape of a condition, that is for its variables and operators in order, one
function is written and compiled when it is first needed; conditions of that shape share
it, and hand it their values. `Condition(plan="pro", age__gte=18)` becomes:

    def verdict(context, bound):
        value_0, value_1, check_0, check_1 = bound
        concerned = None
        for name, value in context.items():
            if name == 'plan':
                if not value == value_0:
                    return check_0
                concerned = True
            elif name == 'age':
                if not value >= value_1:
                    return check_1
                concerned = True
        return concerned
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .check import Check
from .operators.operator import sign_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Verdict = Callable[[Mapping[str, Any], tuple[Any, ...]], Any]

_SHAPES_KEPT: Final = 1000

# By the source text: what looks alike is the same function.
_compiled: dict[str, Verdict] = {}


def compile_checks(
    checks_by_variable: Mapping[str, list[Check]],
) -> tuple[Verdict, tuple[Any, ...]]:
    """Return the function that decides these checks, and what it has to be given."""
    checks = [check for each in checks_by_variable.values() for check in each]
    source = _source(checks_by_variable, len(checks))
    verdict = _compiled.get(source)
    if verdict is None:
        namespace: dict[str, Any] = {}
        # Nothing of a caller's gets into the source but names, and these as literals.
        exec(source, namespace)  # noqa: S102
        verdict = namespace["verdict"]
        if len(_compiled) >= _SHAPES_KEPT:
            _compiled.clear()
        _compiled[source] = verdict
    return verdict, (*(check.value for check in checks), *checks)


def _source(checks_by_variable: Mapping[str, list[Check]], count: int) -> str:
    bound = [f"value_{i}" for i in range(count)] + [f"check_{i}" for i in range(count)]
    lines = [
        "def verdict(context, bound):",
        f"    [{', '.join(bound)}] = bound",
        "    concerned = None",
        "    for name, value in context.items():",
    ]
    branch = "if"
    number = 0
    for variable, checks in checks_by_variable.items():
        lines.append(f"        {branch} name == {str.__str__(variable)!r}:")
        branch = "elif"
        for check in checks:
            comparison = _comparison(check, number)
            lines.append(f"            if not {comparison}:")
            lines.append(f"                return check_{number}")
            number += 1
        lines.append("            concerned = True")
    if not number:
        lines.append("        pass")
    lines.append("    return concerned")
    return "\n".join(lines)


def _comparison(check: Check, number: int) -> str:
    # A subclass may have a `check` of its own.
    sign = sign_of(check.operator) if type(check) is Check else None
    if sign is None:
        return f"check_{number}.check(value)"
    return f"value {sign} value_{number}"
