# SPDX-License-Identifier: Apache-2.0
"""`Rollout`: a share of the users, the same ones at each call."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final

from ..arguments import check_percentage
from ..bucketing.percentage.base import AbstractPercentage
from ..bucketing.percentage.factory import PercentageFactory
from ..bucketing.percentage.percentage import Percentage
from ..bucketing.percentage.schedule import code_of
from ..conditions.expression import Expression
from .bucketed import Assignment, Bucketed
from .hashing import bucket_function, find_hash, own_check
from .shares import checked_fraction, checked_ranges, width_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from typing_extensions import Self

    from .shares import Ranges

_SHARE: Final = "share of the Rollout"
_EXAMPLE: Final = "Rollout({}, ...)"


class Rollout(Bucketed, Expression):
    """A share of the users: those whose bucket is in it.

    Whoever is in stays in when the share grows. Two flags choose their users
    independently of each other unless they have the same `seed`. It can be served by a
    rule, or be a part of its expression.

    Args:
        share: a number from 0 to 1; or a percentage that changes, such as a ramp or a
            `Schedule`; or a list of ranges of buckets, each as (start, end) in
            fractions from 0 to 1.
        by: see `Bucketed`, as are `seed` and `hash`.

    Raises:
        InvalidArgumentError: an argument cannot be used.
    """

    __slots__ = ("share",)

    share: float | Ranges | AbstractPercentage
    _KEY = "rollout"

    def __init__(
        self,
        share: Any,
        by: str | Iterable[str],
        seed: str | None = None,
        hash: str | None = None,  # noqa: A002  (the word of the field)
    ) -> None:
        super().__init__(by, seed, hash)
        self._set("share", _checked_share(share))

    @property
    def percentage(self) -> Any:
        """The share at this moment, a fraction from 0 to 1."""
        share = self.share
        if isinstance(share, AbstractPercentage):
            return share.value
        return width_of(share) if isinstance(share, tuple) else share

    def compile(self, feature_name: str) -> Callable[[Any], bool]:
        """Return a function that says whether a value is in. Safe for threads.

        The value is that of the argument `by`, and not `None`. A percentage that
        changes is read at each call. The function raises `TypeError` for a value that
        JSON cannot express.
        """
        seed, own_hash = self._seed_of(feature_name), find_hash(self.hash)
        if self.hash is None and isinstance(self.share, (int, float)):
            return own_check(seed, own_hash.count_up_to(self.share))
        bucket_of = bucket_function(self.hash, seed)
        if isinstance(self.share, AbstractPercentage):
            share, count_up_to = self.share, own_hash.count_up_to
            return lambda value: bucket_of(value) < count_up_to(share.value)
        ranges = self._ranges(self.share)
        bounds = [own_hash.count_up_to(each) for pair in ranges for each in pair]
        # Between the start and the end of a range, an odd number of bounds is passed.
        return lambda value: bisect_right(bounds, bucket_of(value)) % 2 == 1

    def explainer(self, feature_name: str) -> Callable[[Any], tuple[Any, float, Any]]:
        """Return a function as `compile` does, for the fields of an `Assignment`."""
        own_hash = find_hash(self.hash)
        bucket_of = bucket_function(self.hash, self._seed_of(feature_name))
        count_up_to, buckets = own_hash.count_up_to, own_hash.buckets

        def explain(value: Any) -> tuple[Any, float, Any]:
            percentage, bucket = self.percentage, bucket_of(value)
            ranges = self._ranges(percentage)
            is_in = any(count_up_to(s) <= bucket < count_up_to(e) for s, e in ranges)
            return is_in, bucket / buckets, percentage

        return explain

    def explain(self, feature_name: str, value: Any) -> Assignment:
        """Return whether a value is in, with its bucket and the percentage now."""
        return Assignment(*self.explainer(feature_name)(value))

    def _ranges(self, percentage: Any) -> Ranges:
        return self.share if isinstance(self.share, tuple) else ((0, percentage),)

    def _plain_share(self) -> Any:
        share = self.share
        if isinstance(share, AbstractPercentage):
            return share.to_dict()
        return [list(pair) for pair in share] if isinstance(share, tuple) else share

    def _share_code(self) -> str:
        share = self.share
        if isinstance(share, AbstractPercentage):
            return code_of(share)
        return repr(list(share)) if isinstance(share, tuple) else repr(share)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Make a rollout from the result of `to_dict`.

        Raises:
            InvalidArgumentError: the fields are not those of a rollout.
        """
        cls._check_keys(fields)
        share = fields["rollout"]
        if isinstance(share, dict):
            share = PercentageFactory.create(share)
        return cls(share, fields["by"], fields.get("seed"), fields.get("hash"))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.share, self.by, self.seed, self.hash)


def _checked_share(share: Any) -> Any:
    if type(share) is Percentage:
        share = share.value
    if isinstance(share, AbstractPercentage):
        check_percentage("the Rollout", share)
        return share
    if isinstance(share, (list, tuple)):
        ranges = checked_ranges(share, _SHARE, _EXAMPLE)
        if not ranges:
            return 0
        # One value has one form.
        return ranges if len(ranges) > 1 or ranges[0][0] else ranges[0][1]
    return checked_fraction(share, _SHARE, _EXAMPLE)
