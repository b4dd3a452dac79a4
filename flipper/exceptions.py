# SPDX-License-Identifier: Apache-2.0
"""Everything that flipper itself raises.

    FlipperError
     +-- FlagDoesNotExistError       a write, or a question about metadata
     +-- ConcurrentUpdateError       other writers won too many times in a row
     +-- InvalidArgumentError        (TypeError, ValueError) refused, nothing written
     +-- InvalidFlagDataError        (ValueError) a stored document is no flag
     +-- MissingDependencyError      (ImportError) an extra is not installed
     +-- ReadOnlyStoreError          a write to a store that only reads
     +-- StoreTimeoutError           (TimeoutError) a store did not answer in time
     +-- StoreUnavailableError       a store gives no flags, or an incomplete reply
     +-- StaleFlagsError             a copy of the flags is older than it may be

Errors of a database driver are not wrapped: they come out as the driver raised them.
Every class accepts a bare text, because stores of one's own raise them so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class FlipperError(Exception):
    """Root of what flipper raises by itself.

    Attributes:
        feature_name: the flag concerned, `None` where it is not known.
    """

    def __init__(self, message: object = "", *, feature_name: object = None) -> None:
        super().__init__(*([message] if message != "" else []))
        self.feature_name = feature_name


class FlagDoesNotExistError(FlipperError):
    """The flag has to exist for this call, and the store has none of that name."""

    @classmethod
    def for_flag(cls, feature_name: object) -> FlagDoesNotExistError:
        """Make the error with the message that all stores and the client share."""
        return cls(f"Feature {feature_name} does not exist", feature_name=feature_name)


class ConcurrentUpdateError(FlipperError):
    """A write lost against other writers until it gave up; nothing was written.

    Attributes:
        attempts: how many times the write was tried.
    """

    def __init__(
        self, message: object = "", *, feature_name: object = None, attempts: int = 0
    ) -> None:
        super().__init__(message, feature_name=feature_name)
        self.attempts = attempts


class InvalidArgumentError(FlipperError, TypeError, ValueError):
    """What the caller handed over cannot be used; nothing was written.

    It is a `TypeError` as well as a `ValueError`, since flipper-client raised the one
    or the other for the same mistake, depending on the backend.

    Attributes:
        value: what was handed over.
    """

    def __init__(
        self, message: object = "", *, feature_name: object = None, value: object = None
    ) -> None:
        super().__init__(message, feature_name=feature_name)
        self.value = value


class InvalidFlagDataError(FlipperError, ValueError):
    """A stored document cannot be read as a flag.

    `create` replaces such a document, the store's `delete` removes it.
    """

    def __str__(self) -> str:
        """Name the flag, what is wrong with its document, and the way out."""
        what = "A stored flag" if self.feature_name is None else self.feature_name
        subject = what if self.feature_name is None else f"Feature {what!r}"
        problem = Exception.__str__(self)
        return (
            f"{subject} cannot be read: {problem}. Replace it with create(), or remove "
            f"it with the store's delete()"
        )

    @classmethod
    def of(
        cls, error: Exception, *, feature_name: object = None
    ) -> InvalidFlagDataError:
        """Make an error that is also one of the class of `error`.

        Drop-in: flipper-client let the errors of json, of dicts and of the factories
        come out as they were, and callers may catch those.
        """
        if isinstance(error, cls):
            return error
        kind = type(error)
        result: InvalidFlagDataError
        try:
            both: Any = type(cls.__name__, (cls, kind), {"__reduce__": _reduce_plain})
            result = both.__new__(both)
        except TypeError:  # two classes that cannot be bases of one
            result = cls.__new__(cls)
        # Not by a constructor: that of `kind` may want arguments of its own.
        result.args = (f"{kind.__name__}: {error}",)
        result.feature_name = feature_name
        for name, value in vars(error).items():
            result.__dict__.setdefault(name, value)
        return result


def _reduce_plain(
    error: InvalidFlagDataError,
) -> tuple[Callable[..., InvalidFlagDataError], tuple[object, object]]:
    # A class made at run time cannot be found again by name: pickle the plain one.
    return _plain, (Exception.__str__(error), error.feature_name)


def _plain(problem: object, feature_name: object) -> InvalidFlagDataError:
    return InvalidFlagDataError(problem, feature_name=feature_name)


class MissingDependencyError(FlipperError, ImportError):
    """A store was asked for whose package is not installed."""

    @classmethod
    def for_extra(cls, package: str, extra: str) -> MissingDependencyError:
        """Name the package that is missing and the extra that brings it."""
        return cls(
            f"The package {package!r} is not installed; "
            f"pip install 'flipper-client[{extra}]' brings it"
        )


class ReadOnlyStoreError(FlipperError):
    """A store that only reads was asked to write; nothing was written."""


class StoreTimeoutError(FlipperError, TimeoutError):
    """A store did not answer in time; a write may have taken effect all the same."""


class StoreUnavailableError(FlipperError):
    """A store gives no flags.

    A copy of the flags has none to begin with, a store cannot be followed, or a reply
    is incomplete: one that was cut must not be taken for an answer.
    """


class StaleFlagsError(FlipperError):
    """The copy of the flags is older than `max_staleness` allows."""
