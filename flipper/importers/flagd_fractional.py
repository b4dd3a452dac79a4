# SPDX-License-Identifier: Apache-2.0
"""The operation `fractional` of flagd, which shares users out.

Source: flagd's description of the operation, with the names of the hashes in
`flipper.rules.hashing`.
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Final

from ..rules.hashing import find_hash
from .json_logic import argument_of, operation_of
from .translation import UntranslatableError, checks, given

if TYPE_CHECKING:
    from ..conditions.expression import Expression

_TARGETING_KEY: Final = "targetingKey"
_FLAG_KEY: Final = {"var": "$flagd.flagKey"}


class Fractional:
    """One such operation.

    Args:
        arguments: its arguments.
        feature_name: the flag.
        hash: the name of the hash.

    Attributes:
        how: the `by`, `seed` and `hash` of a split.
        is_hashed: holds for those who have a value that is hashed.
        ranges: the result of each range of buckets, which is an operation or a variant.
        result_without_argument: the result for all others; `None` is the default.

    Raises:
        UntranslatableError: rules cannot say it.
    """

    def __init__(self, arguments: list[Any], feature_name: str, hash: str) -> None:  # noqa: A002
        self._hash = find_hash(hash)
        first, *rest = arguments
        seed: str | None = None
        self.result_without_argument = None
        if isinstance(first, list):
            # The name of the flag and the targeting key are hashed.
            argument, rest = _TARGETING_KEY, arguments
            self.is_hashed: Expression = checks(
                argument, {"json_type": "string", "ne": ""}
            )
        elif not _is_joined(first):
            argument, seed = argument_of(first), ""
            self.is_hashed = checks(argument, {"json_type": "string"})
        else:
            argument, seed = _joined(first, feature_name)
            self.is_hashed = given(argument)
        self.how = (argument, seed, hash)
        self.ranges = self._ranges_of(rest)
        if _is_joined(first):  # what is before the argument is hashed without it
            self.result_without_argument = self._result_of(seed or "")

    def _ranges_of(self, weights: list[Any]) -> list[tuple[Any, tuple[float, float]]]:
        numbers = [entry[1] if len(entry) > 1 else 1 for entry in weights]
        if not all(type(number) is int and number >= 0 for number in numbers):
            message = "a weight of its fractional operation is not a whole number"
            raise UntranslatableError(message)
        total = sum(numbers)
        ends = [self._fraction(end, total) for end in accumulate(numbers)]
        results = [entry[0] for entry in weights]
        return list(zip(results, pairwise([0.0, *ends]), strict=True))

    def _fraction(self, weight: int, total: int) -> float:
        """Return the share of the buckets below a weight, exact to the bucket."""
        fraction = weight / total
        exact = -(-weight * self._hash.buckets // total)
        is_exact = self._hash.count_up_to(fraction) == exact
        return fraction if is_exact else exact / self._hash.buckets

    def _result_of(self, text: str) -> Any:
        place = self._hash.bucket(text, "") / self._hash.buckets
        found = [each for each, (start, end) in self.ranges if start <= place < end]
        return found[0] if found else None


def _is_joined(logic: Any) -> bool:
    return isinstance(logic, dict) and [*logic] == ["cat"]


def _joined(logic: dict[str, Any], feature_name: str) -> tuple[str, str]:
    """Return the argument that is hashed, and the text before it."""
    *before, last = operation_of(logic)[1]
    parts = [feature_name if part == _FLAG_KEY else part for part in before]
    if not all(isinstance(part, str) for part in parts):
        message = "its fractional value is joined of more than texts and a last `var`"
        raise UntranslatableError(message)
    return argument_of(last), "".join(parts)
