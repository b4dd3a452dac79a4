# SPDX-License-Identifier: Apache-2.0
"""Writes and compiles the functions that decide flags.

A loop over conditions and checks would spend most of its time on finding them and on
calling comparisons. Instead, one function is written and compiled for every shape of
rules, that is for their variables and operators in order, when it is first needed. All
flags of that shape share the function, and each hands it its own values as the tuple
`bound`. For `Condition(plan="pro", seats__gt=10)` alone the function is:

    def decide(bound, context):
        if patched:
            return bound[0].compile()(context)
        if 'plan' in context:
            try:
                if not context['plan'] == bound[1]:
                    failed = first_failed_check(bound[2], 0, context)
                    return False
            except Exception as error:
                failed = first_failed_check(bound[2], 0, context, error)
                return False
        if 'seats' in context:
            if not context['seats'] > bound[3]:
                return False
        return True

`explain` uses a function with the same lines, except that it returns the reason, too.
"""

from __future__ import annotations

from copyreg import _slotnames  # type: ignore[attr-defined]  # its stub lacks it
from types import MethodType
from typing import TYPE_CHECKING, Any, Final

from ..runtime.patching import COMPILED_GLOBALS
from .operators.typed import TypedOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .check import Check

    Decider = Callable[[Mapping[str, Any]], Any]

_SHAPES_KEPT: Final = 1000
_LONG_LIST: Final = 5  # from this length on, looking a value up in a set is faster

# By their source text: rules of the same shape have the same text.
_functions: dict[str, Any] = {}


class RuleCompiler:
    """Builds the function that decides by some rules. Not for several threads at once.

    Args:
        rules: the object whose `compile()` is called instead as long as a guarded
            method is replaced (see `patching`).
        with_reason: whether the function returns a `Decision`, which has the reason,
            instead of the answer alone.
        with_variant: whether the function returns the `Variant` served instead of the
            answer, if there is one.
    """

    def __init__(
        self, rules: Any, *, with_reason: bool = False, with_variant: bool = False
    ) -> None:
        self.with_reason = with_reason
        self.with_variant = with_variant
        # While a method is replaced, every method is called, and no sign is used.
        self.calls_everything: bool = COMPILED_GLOBALS["patched"]
        self._bound = [rules]
        self.off = "False"
        """The expression to return, without the reason, if the flag is off."""
        self._lines = ["def decide(bound, context):"]
        if not self.calls_everything:
            argument = "with_reason=True" if with_reason else ""
            argument = "with_variant=True" if with_variant else argument
            self.add_lines(
                "if patched:", f"    return bound[0].compile({argument})(context)"
            )

    def add_lines(self, *lines: str) -> None:
        """Append lines to the function."""
        self._lines.extend([f"    {line}" for line in lines])

    def bind_value(self, value: Any) -> str:
        """Hand a value to the function, and return the expression that reads it."""
        self._bound.append(value)
        return f"bound[{len(self._bound) - 1}]"

    def add_checks(self, checks: Sequence[Check], line_on_match: str | None) -> None:
        """Append the checks of a condition.

        Args:
            checks: all checks of the condition; those on one variable are neighbours.
            line_on_match: the line to append after the checks on a variable, for when
                all of them hold; `None` for none.
        """
        asked = [check for check in checks if check.needs_context]
        if asked:
            checks = tuple(check for check in checks if not check.needs_context)
        self._add_given_checks(checks, line_on_match)
        for check in asked:
            self._add_context_check(check, line_on_match)

    def _add_given_checks(
        self, checks: Sequence[Check], line_on_match: str | None
    ) -> None:
        """Append the checks that are left out if their argument is not given."""
        variables = [check.variable for check in checks]
        all_checks = None
        for number, check in enumerate(checks):
            variable = variables[number]
            literal = repr(str.__str__(variable))
            if variable not in variables[:number]:
                self.add_lines(f"if {literal} in context:")
            comparison = self.comparison(check, f"context[{literal}]")
            is_last = variable == variables[-1]
            if all_checks is None and (self.with_reason or not is_last):
                all_checks = self.bind_value(checks)
            if is_last:  # no later check can come before this one in the call
                self.add_lines(f"    if not {comparison}:")
                self.add_lines(
                    f"        return {self.off_answer(f'{all_checks}[{number}]')}"
                )
            else:
                self._add_out_of_order(comparison, f"{all_checks}, {number}, context")
            if line_on_match is not None and variable not in variables[number + 1 :]:
                self.add_lines(f"    {line_on_match}")

    def _add_context_check(self, check: Check, line_on_match: str | None) -> None:
        """Append a check that is decided whether its argument is given or not."""
        literal = repr(str.__str__(check.variable))
        own = self.bind_value(check)
        comparison = self.context_comparison(check, f"context.get({literal})")
        self.add_lines(
            f"if not {comparison}:",
            f"    return {self.off_answer(own)}",
        )
        if line_on_match is not None:
            self.add_lines(f"if {literal} in context:", f"    {line_on_match}")

    def context_comparison(self, check: Check, argument: str) -> str:
        """Return Python code that decides a check that `needs_context`.

        Args:
            check: the check.
            argument: code that reads the argument, or `None` if it is not given.
        """
        kind = None if self.calls_everything else check.typed_operator
        if not _compares_argument(check):
            return f"{self.bind_value(check)}.check_context(context)"
        if kind is None:
            return f"{self.bind_value(check)}.check({argument})"
        return f"{self.bind_value(kind.predicate(check.value))}({argument})"

    def _add_out_of_order(self, comparison: str, arguments: str) -> None:
        """Append a check whose argument may come after others in the call.

        The order of the call decides which check fails first. It does not matter if all
        checks hold.
        """
        self.add_lines(
            "    try:",
            f"        if not {comparison}:",
            f"            failed = first_failed_check({arguments})",
            f"            return {self.off_answer('failed')}",
            "    except Exception as error:",
            f"        failed = first_failed_check({arguments}, error)",
            f"        return {self.off_answer('failed')}",
        )

    def off_answer(self, check: str) -> str:
        """Return the expression to return when a check or a condition fails."""
        return f"False, {check}, None, None" if self.with_reason else self.off

    def comparison(self, check: Check, value: str) -> str:
        """Return Python code that compares a value, given as code, by a check."""
        sign = None if self.calls_everything else check.sign
        if sign is None:
            return self._call(check, value)
        comparison = f"{value} {sign} {self.bind_value(check.value)}"
        kind = _common_type(check.value)
        if kind is None or not sign.endswith("in"):
            return comparison
        # Values of this one type are equal in a set exactly if they are in a list.
        found = f"{value} {sign} {self.bind_value(frozenset(check.value))}"
        return f"({found} if type({value}) is {kind} else {comparison})"

    def _call(self, check: Check, value: str) -> str:
        kind = None if self.calls_everything else check.typed_operator
        if kind is None:
            return f"{self.bind_value(check)}.check({value})"
        predicate = self.bind_value(kind.predicate(check.value))
        found = kind.text_source(check.value)
        if found is None:
            return f"{predicate}({value})"
        source, operand = found
        expression = source.format(argument="given", operand=self.bind_value(operand))
        return (
            f"({expression} if type(given := {value}) is str else {predicate}(given))"
        )

    def function(self) -> Decider:
        """Return the function, whose only argument are the keyword arguments."""
        source = "\n".join(self._lines)
        function = _functions.get(source)
        if function is None:
            local: dict[str, Any] = {}
            # The source holds nothing of the caller's but names, as literals.
            exec(source, COMPILED_GLOBALS, local)  # noqa: S102
            function = local["decide"]
            if len(_functions) >= _SHAPES_KEPT:
                _functions.clear()
            _functions[source] = function
        # A method is small, and Python calls it as fast as a function.
        return MethodType(function, tuple(self._bound))


def _compares_argument(check: Check) -> bool:
    """Return whether a check that `needs_context` depends on its argument alone."""
    operator: Any = check.operator
    # In a rule, the argument may be found by a path, which the operator does not know.
    is_inherited = type(operator).compare_context is TypedOperator.compare_context
    return is_inherited and "compare_context" not in vars(operator)


def first_failed_check(
    checks: Sequence[Check],
    number: int,
    context: Mapping[str, Any],
    error: Exception | None = None,
) -> Check:
    """Return the check that fails first, in the order of the arguments of the call.

    Args:
        checks: all checks of a condition, those on one variable side by side; those
            before `number` hold.
        number: the index of the check that failed, or that raised `error`.
        context: the keyword arguments of the call.
        error: what that check raised.

    Raises:
        Exception: what an earlier comparison raises, or `error`.
    """
    last = checks[number]
    for name, value in context.items():
        if name == last.variable:
            break
        # Checks on one variable are neighbours, so no check on `last.variable` is found
        # here, and none on a variable whose checks hold already.
        for check in checks[number + 1 :]:
            if check.variable == name and not check.check(value):
                return check
    if error is not None:
        raise error
    return last


def _common_type(value: Any) -> str | None:
    """Return "str" or "int" if all entries of a long list are of that type."""
    if type(value) not in (list, tuple) or len(value) < _LONG_LIST:
        return None
    kinds = {type(each) for each in value}
    return kinds.pop().__name__ if kinds in ({str}, {int}) else None


def state_without(owner: Any, name: str) -> tuple[Any, dict[str, Any]]:
    """Return the state of an object for `__getstate__`, without one slot.

    A copy or an unpickled object has `None` in the slot `name`, whose function cannot
    be pickled and is compiled again.
    """
    slots: Any = _slotnames(type(owner))  # those of all base classes, too
    state = {slot: getattr(owner, slot) for slot in slots if hasattr(owner, slot)}
    return getattr(owner, "__dict__", None), {**state, name: None}


COMPILED_GLOBALS["first_failed_check"] = first_failed_check
