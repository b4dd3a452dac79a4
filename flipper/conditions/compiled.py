# SPDX-License-Identifier: Apache-2.0
"""Writes the functions that decide flags, one for every shape of a flag's rules.

A loop over conditions and checks spends most of its time on finding them and on calling
comparisons. So for every shape of rules, that is for their variables and operators in
order, one function is written and compiled when it is first needed. Flags of that shape
share it; what differs between them is handed to it as the tuple `bound`. For
`Condition(plan="pro", seats__gt=10)` alone it is:

    def decide(bound, context):
        if patched:
            return bound[0].compiled()(context)
        if 'plan' in context:
            try:
                if not context['plan'] == bound[1]:
                    no = first_no(bound[2], 0, context)
                    return False
            except Exception as error:
                no = first_no(bound[2], 0, context, error)
                return False
        if 'seats' in context:
            if not context['seats'] > bound[3]:
                return False
        return True

The same lines make the function behind `explain`, which says who decided: there the
words after `return` are others.
"""

from __future__ import annotations

from copyreg import _slotnames  # type: ignore[attr-defined]  # unknown to its stub
from types import MethodType
from typing import TYPE_CHECKING, Any, Final

from ..runtime.patching import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .check import Check

    Decider = Callable[[Mapping[str, Any]], Any]

_SHAPES_KEPT: Final = 1000
_MANY: Final = 5  # from which on a set is found to be faster than a list

# By the source text: what looks alike is the same function.
_functions: dict[str, Any] = {}


class RuleCompiler:
    """A function that is being written, and what it is to be handed.

    Args:
        rules: whose `compiled()` gives a function that takes no short cuts as long as
            something is patched (see `patching`).
        told: whether the answer comes with who gave it.
    """

    def __init__(self, rules: Any, *, told: bool = False) -> None:
        self.told = told
        # While anything is replaced nothing is taken for what it was.
        self.calls_everything: bool = NAMES["patched"]
        self._bound = [rules]
        self._lines = ["def decide(bound, context):"]
        if not self.calls_everything:
            asked = "told=True" if told else ""
            self.add("if patched:", f"    return bound[0].compiled({asked})(context)")

    def add(self, *lines: str) -> None:
        """Go on with these lines."""
        self._lines.extend([f"    {line}" for line in lines])

    def bind(self, value: Any) -> str:
        """Hand a value to the function, and return what it is called there."""
        self._bound.append(value)
        return f"bound[{len(self._bound) - 1}]"

    def add_checks(self, checks: Sequence[Check], holds: str | None) -> None:
        """Make the checks of a condition, those on one variable side by side.

        Args:
            checks: all of the condition's.
            holds: what to do once those on a variable hold; `None` is nothing.
        """
        variables = [check.variable for check in checks]
        all_checks = None
        for number, check in enumerate(checks):
            variable = variables[number]
            literal = repr(str.__str__(variable))
            if variable not in variables[:number]:
                self.add(f"if {literal} in context:")
            comparison = self._comparison(check, f"context[{literal}]")
            is_last = variable == variables[-1]
            if all_checks is None and (self.told or not is_last):
                all_checks = self.bind(checks)
            if is_last:  # nothing behind it that could come before it in the call
                self.add(f"    if not {comparison}:")
                self.add(f"        return {self._no(f'{all_checks}[{number}]')}")
            else:
                self._add_out_of_order(comparison, f"{all_checks}, {number}, context")
            if holds is not None and variable not in variables[number + 1 :]:
                self.add(f"    {holds}")

    def _add_out_of_order(self, comparison: str, place: str) -> None:
        """Make a check on an argument, before others that may come first in the call.

        If all of them hold, the order does not matter.
        """
        self.add(
            "    try:",
            f"        if not {comparison}:",
            f"            no = first_no({place})",
            f"            return {self._no('no')}",
            "    except Exception as error:",
            f"        no = first_no({place}, error)",
            f"        return {self._no('no')}",
        )

    def _no(self, who: str) -> str:
        return f"False, {who}, None, None" if self.told else "False"

    def _comparison(self, check: Check, value: str) -> str:
        sign = None if self.calls_everything else check.sign
        if sign is None:
            return f"{self.bind(check)}.check({value})"
        comparison = f"{value} {sign} {self.bind(check.value)}"
        kind = _kind_of_many(check.value)
        if kind is None or not sign.endswith("in"):
            return comparison
        # Of one type there is no other equality than that of a set, which is faster.
        found = f"{value} {sign} {self.bind(frozenset(check.value))}"
        return f"({found} if type({value}) is {kind} else {comparison})"

    def function(self) -> Decider:
        """Return the function, which takes nothing but the keyword arguments."""
        source = "\n".join(self._lines)
        function = _functions.get(source)
        if function is None:
            local: dict[str, Any] = {}
            # Nothing of a caller's gets into the source but names, as literals.
            exec(source, NAMES, local)  # noqa: S102
            function = local["decide"]
            if len(_functions) >= _SHAPES_KEPT:
                _functions.clear()
            _functions[source] = function
        # A method, since Python calls it as fast as a function, and it is small.
        return MethodType(function, tuple(self._bound))


def first_no(
    checks: Sequence[Check],
    number: int,
    context: Mapping[str, Any],
    error: Exception | None = None,
) -> Check:
    """Return the check that says no first, in the order of the call.

    Args:
        checks: all of a condition's, of which those before `number` hold.
        number: of the check that said no, or that raised `error`.
        context: the keyword arguments of the call.
        error: what it raised.

    Raises:
        Exception: what a comparison raises that comes before that no, or `error`.
    """
    last = checks[number]
    made = {check.variable for check in checks[: number + 1]}
    for name, value in context.items():
        if name == last.variable:
            break
        for check in checks[number + 1 :]:
            # Those on the same variable as `last` come behind it.
            if check.variable == name not in made and not check.check(value):
                return check
    if error is not None:
        raise error
    return last


def _kind_of_many(value: Any) -> str | None:
    """Return the one type, `str` or `int`, of all in a longer list."""
    if type(value) not in (list, tuple) or len(value) < _MANY:
        return None
    kinds = {type(each) for each in value}
    return kinds.pop().__name__ if kinds in ({str}, {int}) else None


def state_without(owner: Any, name: str) -> tuple[Any, dict[str, Any]]:
    """Return what a copy or a pickle of `owner` has to have, for `__getstate__`.

    All but the function in the slot `name`, which is to be made anew.
    """
    slots: Any = _slotnames(type(owner))  # as `pickle` finds them, with all bases'
    state = {slot: getattr(owner, slot) for slot in slots if hasattr(owner, slot)}
    return getattr(owner, "__dict__", None), {**state, name: None}


NAMES["first_no"] = first_no
