# SPDX-License-Identifier: Apache-2.0
"""All exceptions that flipper itself raises.

    FlipperError
     +-- FlagDoesNotExistError       a write, or reading metadata
     +-- ConcurrentUpdateError       other writers won too many times in a row
     +-- InvalidArgumentError        (TypeError, ValueError) refused, nothing written
     +-- InvalidFlagDataError        (ValueError) a stored document is not a flag
     +-- FlagFileError               (ValueError) a file of flags has mistakes
     +-- MissingDependencyError      (ImportError) an extra is not installed
     +-- ReadOnlyStoreError          a write to a store that only reads
     +-- StoreTimeoutError           (TimeoutError) a store did not answer in time
     +-- StoreUnavailableError       a store gives no flags, or an incomplete reply
     +-- StaleFlagsError             a copy of the flags is older than it may be

Errors of a database driver are not wrapped: callers get them as the driver raised them.
Every class can be made from a message alone, because custom stores do that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class FlipperError(Exception):
    """The base class of all exceptions of flipper.

    Attributes:
        feature_name: the flag that the error is about, `None` if it is not known.
    """

    def __init__(self, message: object = "", *, feature_name: object = None) -> None:
        super().__init__(*([message] if message != "" else []))
        self.feature_name = feature_name


class FlagDoesNotExistError(FlipperError):
    """The call needs an existing flag, and the store has none of this name."""

    @classmethod
    def for_flag(cls, feature_name: object) -> FlagDoesNotExistError:
        """Make the error with the message that the client and all stores use."""
        return cls(f"Feature {feature_name} does not exist", feature_name=feature_name)


class ConcurrentUpdateError(FlipperError):
    """Other writers changed the flag at each try of a write; nothing was written.

    Attributes:
        attempts: how many times the write was tried.
    """

    def __init__(
        self, message: object = "", *, feature_name: object = None, attempts: int = 0
    ) -> None:
        super().__init__(message, feature_name=feature_name)
        self.attempts = attempts


class InvalidArgumentError(FlipperError, TypeError, ValueError):
    """An argument cannot be used; nothing was written.

    It is both a `TypeError` and a `ValueError`, because flipper-client raised either of
    them for the same mistake, depending on the backend.

    Attributes:
        value: the argument.
    """

    def __init__(
        self, message: object = "", *, feature_name: object = None, value: object = None
    ) -> None:
        super().__init__(message, feature_name=feature_name)
        self.value = value


class PrerequisiteCycleError(FlipperError, ValueError):
    """A flag depends on itself by the checks that ask about other flags."""

    @classmethod
    def for_flags(cls, names: list[str]) -> PrerequisiteCycleError:
        """Make the error for flags each of which depends on the next one."""
        circle = " -> ".join(map(repr, names))
        return cls(
            f"Feature {names[0]!r} depends on itself or on a circle: {circle}; remove "
            f"one of these prerequisites",
            feature_name=names[0],
        )


class InvalidFlagDataError(FlipperError, ValueError):
    """A stored document cannot be read as a flag.

    `create` replaces such a document; the `delete` of the store removes it.
    """

    def __str__(self) -> str:
        """Return the flag, the problem of its document, and the remedy."""
        what = "A stored flag" if self.feature_name is None else self.feature_name
        subject = what if self.feature_name is None else f"Feature {what!r}"
        problem = Exception.__str__(self)
        return (
            f"{subject} cannot be read: {problem}. Replace it with create(), or remove "
            f"it with the store's delete()"
        )

    @classmethod
    def from_error(
        cls, error: Exception, *, feature_name: object = None
    ) -> InvalidFlagDataError:
        """Make an error that is also an instance of the class of `error`.

        Drop-in: flipper-client raised the errors of json, of dicts and of the factories
        as they were, and callers may catch those.
        """
        if isinstance(error, cls):
            return error
        kind = type(error)
        result: InvalidFlagDataError
        try:
            both: Any = type(cls.__name__, (cls, kind), {"__reduce__": _reduce_plain})
            result = both.__new__(both)
        except TypeError:  # the two cannot be bases of one class
            result = cls.__new__(cls)
        # Not by a constructor, because that of `kind` may need other arguments.
        result.args = (f"{kind.__name__}: {error}",)
        result.feature_name = feature_name
        for name, value in vars(error).items():
            result.__dict__.setdefault(name, value)
        return result


def _reduce_plain(
    error: InvalidFlagDataError,
) -> tuple[Callable[..., InvalidFlagDataError], tuple[object, object]]:
    # A class made at run time cannot be unpickled, so pickle the plain class.
    return _plain, (Exception.__str__(error), error.feature_name)


def _plain(problem: object, feature_name: object) -> InvalidFlagDataError:
    return InvalidFlagDataError(problem, feature_name=feature_name)


class FlagFileError(FlipperError, ValueError):
    """A file of flags cannot be read, or flags cannot be written to one.

    The message has the mistakes, up to 100, each with line, column and remedy.

    Attributes:
        problems: all mistakes, each a `flipper.flag_files.Problem`.
    """

    def __init__(
        self,
        message: object = "",
        *,
        feature_name: object = None,
        problems: tuple[Any, ...] = (),
    ) -> None:
        super().__init__(message, feature_name=feature_name)
        self.problems = problems


class MissingDependencyError(FlipperError, ImportError):
    """A package that a store needs is not installed."""

    @classmethod
    def for_extra(cls, package: str, extra: str) -> MissingDependencyError:
        """Make the error that names the missing package and the extra to install."""
        return cls(
            f"The package {package!r} is not installed; "
            f"install it with pip install 'flipper-client[{extra}]'"
        )


class ReadOnlyStoreError(FlipperError):
    """The store only reads; nothing was written."""


class StoreTimeoutError(FlipperError, TimeoutError):
    """A store did not answer in time; a write may or may not have taken effect."""


class StoreUnavailableError(FlipperError):
    """A store cannot be read.

    A copy of the flags was never filled, a store cannot be watched for changes, or a
    reply is incomplete, which must not be taken for an answer.
    """


class StaleFlagsError(FlipperError):
    """The copy of the flags is older than `max_staleness` allows."""
