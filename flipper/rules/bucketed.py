# SPDX-License-Identifier: Apache-2.0
"""What `Rollout` and `Split` have in common: they serve by the bucket of a value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from ..arguments import shortened
from ..exceptions import InvalidArgumentError
from .hashing import find_hash
from .immutable import Immutable


class Assignment(NamedTuple):
    """Where the hash of a value has put it.

    Attributes:
        served: what is served: whether the value is in, or the name of a variant.
        bucket: the bucket of the value, a fraction from 0 to 1.
        percentage: the share of all values for which the same is served at this
            moment, a fraction from 0 to 1.
    """

    served: Any
    bucket: float
    percentage: Any


class Bucketed(Immutable):
    """The base class of what is served by buckets. Immutable, safe for threads.

    Args:
        by: the name of the argument whose value is hashed, or a path such as
            "user.id"; or several of them, of which the first given one counts.
        seed: what is hashed with the value; `None` is the name of the flag.
        hash: the hash of another system, by its name in `flipper.rules.hashing`;
            `None` is flipper's own.

    Raises:
        InvalidArgumentError: an argument cannot be used.
    """

    __slots__ = ("by", "hash", "seed")

    by: str | tuple[str, ...]
    seed: str | None
    hash: str | None
    _KEY = ""  # the key of the share in plain data

    def __init__(
        self,
        by: str | Iterable[str],
        seed: str | None,
        hash: str | None,  # noqa: A002  (a parameter of the public classes)
    ) -> None:
        kind = type(self).__name__
        find_hash(hash)
        if seed is not None and not isinstance(seed, str):
            raise InvalidArgumentError(
                f"The seed {shortened(seed)} of the {kind} is not text; use text, as "
                f"seed='new-checkout'",
                value=seed,
            )
        self._set("by", _checked_by(kind, by))
        self._set("seed", seed)
        self._set("hash", hash)

    @property
    def argument_names(self) -> tuple[str, ...]:
        """The names of the arguments, of which the first given one counts."""
        return (self.by,) if isinstance(self.by, str) else self.by

    def _seed_of(self, feature_name: str) -> str:
        return feature_name if self.seed is None else self.seed

    def _plain_share(self) -> Any:
        """Return the share, or the shares, as plain data."""
        raise NotImplementedError

    def _share_code(self) -> str:
        """Return the code of the share, or of the shares."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return the object as plain data, without what has its default."""
        fields = {self._KEY: self._plain_share(), "by": self.by}
        if isinstance(self.by, tuple):
            fields["by"] = list(self.by)
        if self.seed is not None:
            fields["seed"] = self.seed
        if self.hash is not None:
            fields["hash"] = self.hash
        return fields

    @classmethod
    def _check_keys(cls, fields: Any) -> None:
        if not isinstance(fields, Mapping):
            problem = "is not a mapping"
        elif missing := {cls._KEY, "by"} - fields.keys():
            problem = f"has no {min(missing)!r}"
        elif unknown := fields.keys() - {cls._KEY, "by", "seed", "hash"}:
            problem = f"has the unknown key {shortened(min(unknown, key=str))}"
        else:
            return
        raise InvalidArgumentError(
            f"The plain data {shortened(fields)} of a {cls.__name__} {problem}; use "
            f"what its to_dict() returns",
            value=fields,
        )

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((type(self), self.by, self.seed, self.hash))

    def __repr__(self) -> str:
        """Return the code that makes the object."""
        optional = {"seed": self.seed, "hash": self.hash}
        given = [f", {k}={v!r}" for k, v in optional.items() if v is not None]
        name = type(self).__name__
        return f"{name}({self._share_code()}, by={self.by!r}{''.join(given)})"


def _checked_by(kind: str, by: Any) -> str | tuple[str, ...]:
    """Return the name of an argument, or several as a tuple."""
    # A dict or a set has no order in which its names could count.
    is_one = isinstance(by, (str, Mapping, AbstractSet)) or not isinstance(by, Iterable)
    names = (by,) if is_one else tuple(by)
    problem = None
    if not names:
        problem = "names no argument"
    elif isinstance(by, (Mapping, AbstractSet)):
        problem = "has no order"
    elif not all(isinstance(name, str) and name for name in names):
        problem = "is not the name of an argument"
    elif len(set(names)) < len(names):
        problem = "names an argument twice"
    if problem:
        raise InvalidArgumentError(
            f"by={shortened(by)} of the {kind} {problem}; use a name, as by='user_id', "
            f"or a tuple of names of which the first given one counts",
            value=by,
        )
    return names[0] if len(names) == 1 else names
