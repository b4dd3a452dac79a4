# SPDX-License-Identifier: Apache-2.0
"""`Split`: variants for shares of the users, the same one for a user at each call."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import pairwise
from math import fsum
from typing import TYPE_CHECKING, Any, Final

from ..arguments import shortened
from ..exceptions import InvalidArgumentError
from .bucketed import Assignment, Bucketed
from .hashing import bucket_function, find_hash, own_choice
from .shares import (
    checked_fraction,
    checked_ranges,
    consecutive,
    layout_of,
    rest_of,
    width_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import Self

    from .shares import Ranges

    Buckets = list[tuple[int, int]]  # from a first bucket to before a last one

_NOISE: Final = 1e-9  # of sums of shares such as 1/3
_EXAMPLE: Final = "Split({{'blue': {}, ...}}, ...)"


class Split(Bucketed):
    """Variants, each for a share of the users; the rest is served off.

    A user whose bucket is in the range of a variant is served it. New shares alone
    would move the ranges, and with them users who need not move: see `keeping`.

    Args:
        shares: the share of each variant by its name, numbers from 0 to 1 whose sum is
            at most 1; their ranges follow each other in the order given. Or a list of
            ranges of each variant, each as (start, end) in fractions from 0 to 1.
        by: see `Bucketed`, as are `seed` and `hash`.

    Raises:
        InvalidArgumentError: an argument cannot be used.
    """

    __slots__ = ("_ranges",)

    _ranges: tuple[tuple[str, Ranges], ...]
    _KEY = "split"

    def __init__(
        self,
        shares: Mapping[str, Any],
        by: str | Iterable[str],
        seed: str | None = None,
        hash: str | None = None,  # noqa: A002  (the word of the field)
    ) -> None:
        super().__init__(by, seed, hash)
        _check_names(shares)
        if any(isinstance(share, (list, tuple)) for share in shares.values()):
            ranges = _checked_lists(shares)
        else:
            ranges = consecutive(_checked_numbers(shares))
        self._set("_ranges", tuple(ranges.items()))

    def _seed_of(self, feature_name: str) -> str:
        # A flag may split the users that a rollout lets in. Their buckets must not
        # depend on each other, or they would all get the first variant. Other systems
        # have seeds or hashes of their own for that.
        seed = super()._seed_of(feature_name)
        return f"{seed}:split" if self.hash is None else seed

    @property
    def ranges(self) -> dict[str, Ranges]:
        """The ranges of buckets of each variant, in fractions from 0 to 1."""
        return dict(self._ranges)

    @property
    def shares(self) -> dict[str, float]:
        """The share of each variant, a fraction from 0 to 1."""
        return {name: width_of(ranges) for name, ranges in self._ranges}

    def compile(
        self, feature_name: str, variants: Mapping[str, Any] | None = None
    ) -> Callable[[Any], Any]:
        """Return a function that says which variant a value is served.

        The value is that of the argument `by`, and not `None`. The result is the name,
        or what `variants` has for it. It is `None` for the rest, which is served off.
        The function is safe for threads. It raises `TypeError` for a value that JSON
        cannot express.
        """
        ends, names = self._layout()
        choices: tuple[Any, ...] = names
        if variants is not None:
            choices = tuple([name and variants[name] for name in names])
        seed = self._seed_of(feature_name)
        if self.hash is None:
            return own_choice(seed, ends, choices)
        bucket_of = bucket_function(self.hash, seed)
        return lambda value: choices[bisect_right(ends, bucket_of(value))]

    def explainer(self, feature_name: str) -> Callable[[Any], tuple[Any, float, Any]]:
        """Return a function as `compile` does, for the fields of an `Assignment`."""
        ends, names = self._layout()
        bucket_of = bucket_function(self.hash, self._seed_of(feature_name))
        buckets = find_hash(self.hash).buckets
        shares: dict[Any, float] = {None: rest_of(self.shares), **self.shares}

        def explain(value: Any) -> tuple[Any, float, Any]:
            bucket = bucket_of(value)
            served = names[bisect_right(ends, bucket)]
            return served, bucket / buckets, shares[served]

        return explain

    def explain(self, feature_name: str, value: Any) -> Assignment:
        """Return the variant of a value, with its bucket and the variant's share."""
        return Assignment(*self.explainer(feature_name)(value))

    @property
    def is_made_of_numbers(self) -> bool:
        """Whether the ranges follow each other, in the order of the names."""
        return consecutive(self.shares) == self.ranges

    def has_users_of(self, other: Split) -> bool:
        """Return whether both have the same buckets, and a variant in common."""
        if (self.by, self.seed, self.hash) != (other.by, other.seed, other.hash):
            return False
        return not self.ranges.keys().isdisjoint(other.ranges)

    def keeping(self, old: Split) -> Split:
        """Return a split with these shares that moves as few users as possible.

        `old` is the split that is stored now. A variant whose share grows loses nobody,
        and one whose share shrinks gains nobody. The shares of the result are whole
        buckets.

        Raises:
            InvalidArgumentError: the buckets of `old` are others, because its `by`,
                `seed` or `hash` is different.
        """
        if not isinstance(old, Split):
            raise InvalidArgumentError(
                f"{shortened(old)} is not a Split; use the split that is stored now",
                value=old,
            )
        for name in ("by", "seed", "hash"):
            mine, other = getattr(self, name), getattr(old, name)
            if mine != other:
                raise InvalidArgumentError(
                    f"{name}={mine!r} puts users into other buckets than {name}="
                    f"{other!r}, so all of them move; use {name}={other!r}",
                    value=old,
                )
        total = find_hash(self.hash).buckets
        wanted = {name: _size(own) for name, own in self._buckets().items()}
        kept = _least_movement(old._buckets(), wanted, total)
        ranges = {n: [(s / total, e / total) for s, e in kept[n]] for n in wanted}
        return type(self)(ranges, self.by, self.seed, self.hash)

    def _layout(self) -> tuple[tuple[int, ...], tuple[str | None, ...]]:
        """Return the result of `layout_of`."""
        return layout_of(self._ranges, self.hash)

    def _buckets(self) -> dict[str, Buckets]:
        """Return the ranges of every variant in whole buckets."""
        found: dict[str, Buckets] = {name: [] for name, _ in self._ranges}
        ends, names = self._layout()
        for start, end, name in zip([0, *ends], ends, names, strict=False):
            if name is not None:
                found[name].append((start, end))
        return found

    def _plain_share(self) -> Any:
        # The keys of a JSON object have no order, so the ranges of numbers in plain
        # data follow each other by name.
        shares, ranges = dict(sorted(self.shares.items())), self.ranges
        if consecutive(shares) == ranges:
            return shares
        return {name: [list(pair) for pair in ranges[name]] for name in shares}

    def _share_code(self) -> str:
        shares, ranges = self.shares, self.ranges
        if self.is_made_of_numbers:
            return repr(shares)
        return repr({name: list(ranges[name]) for name in ranges})

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Make a split from the result of `to_dict`.

        The ranges of numbers follow each other in the order of the names.

        Raises:
            InvalidArgumentError: the fields are not those of a split.
        """
        cls._check_keys(fields)
        shares = fields["split"]
        _check_names(shares)
        by_name = {name: shares[name] for name in sorted(shares)}
        return cls(by_name, fields["by"], fields.get("seed"), fields.get("hash"))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.ranges, self.by, self.seed, self.hash)


def _check_names(shares: Any) -> None:
    if not isinstance(shares, Mapping) or not shares:
        raise InvalidArgumentError(
            f"{shortened(shares)} are not the shares of a Split; use a dict of "
            f"variants, as Split({{'blue': 0.5, 'green': 0.5}}, ...)",
            value=shares,
        )
    for name in shares:
        if not isinstance(name, str) or not name:
            raise InvalidArgumentError(
                f"{shortened(name)} is not the name of a variant of a Split; use text, "
                f"as Split({{'blue': 0.5, 'green': 0.5}}, ...)",
                value=name,
            )


def _checked_numbers(shares: Mapping[str, Any]) -> dict[str, float]:
    numbers = {
        name: checked_fraction(
            share, f"share of {shortened(name)} of the Split", _EXAMPLE
        )
        for name, share in shares.items()
    }
    total = fsum(numbers.values())
    if total > 1 + _NOISE:
        raise InvalidArgumentError(
            f"The shares of the Split have the sum {total:g}; use a sum of at most 1: "
            f"the rest is served off",
            value=dict(shares),
        )
    return numbers


def _checked_lists(shares: Mapping[str, Any]) -> dict[str, Ranges]:
    found = {
        name: checked_ranges(
            ranges, f"share of {shortened(name)} of the Split", _EXAMPLE
        )
        for name, ranges in shares.items()
    }
    parts = sorted((s, e, name) for name, ranges in found.items() for s, e in ranges)
    for (_, end, name), (start, _, other) in pairwise(parts):
        if start < end - _NOISE:
            raise InvalidArgumentError(
                f"The ranges of {shortened(name)} and {shortened(other)} of the Split "
                f"overlap from {start!r} to {end!r}; use ranges without common buckets",
                value=dict(shares),
            )
    return found


def _least_movement(
    old: dict[str, Buckets], wanted: dict[str, int], total: int
) -> dict[str, Buckets]:
    """Return buckets of the wanted sizes, of which as few as possible have moved.

    Every variant keeps its first buckets. The others have to move anyway, so growing
    variants take these first, and buckets of nobody only after them.
    """
    kept: dict[str, Buckets] = {name: [] for name in wanted}
    left: Buckets = []
    for name, own in old.items():
        first, rest = _divide(own, wanted.get(name, 0))
        left += rest
        if name in wanted:
            kept[name] = first
    free = sorted(left)
    end = 0
    for start, after in [
        *sorted(b for own in old.values() for b in own),
        (total, total),
    ]:
        free += [(end, start)] if end < start else []
        end = after
    for name in sorted(wanted):
        taken, free = _divide(free, wanted[name] - _size(kept[name]))
        kept[name] = sorted(kept[name] + taken)
    return kept


def _divide(ranges: Buckets, count: int) -> tuple[Buckets, Buckets]:
    """Return the first buckets of ranges, and the others."""
    first: Buckets = []
    rest: Buckets = []
    for start, end in ranges:
        middle = min(start + count, end)
        count -= middle - start
        first += [(start, middle)] if start < middle else []
        rest += [(middle, end)] if middle < end else []
    return first, rest


def _size(ranges: Buckets) -> int:
    return sum(end - start for start, end in ranges)
