# SPDX-License-Identifier: Apache-2.0
"""Finds the function that makes the store of a scheme.

Another package adds a scheme by an entry point of the group `flipper.stores`. Its name
is the scheme, its value a function that takes a `StoreURL` and returns a store.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from ..exceptions import InvalidArgumentError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from importlib.metadata import EntryPoint

    from .address import StoreURL

GROUP: Final = "flipper.stores"

# By scheme: the module of this package, and its function. Each is loaded when its
# scheme is used, since it loads the store and its driver.
_BUILDERS: Final = {
    "consul": ("consul", "build"),
    "consul+http": ("consul", "build"),
    "consul+https": ("consul", "build"),
    "django": ("django", "build"),
    "file": ("files", "build_file"),
    "memory": ("files", "build_memory"),
    "postgres": ("postgresql", "build"),
    "postgresql": ("postgresql", "build"),
    "redis": ("redis", "build"),
    "redis+cluster": ("redis", "build_cluster"),
    "redis+sentinel": ("redis", "build_sentinel"),
    "rediss": ("redis", "build"),
    "s3": ("s3", "build"),
    "sqlite": ("files", "build_sqlite"),
    "thrift": ("thrift", "build"),
    "unix": ("redis", "build_unix"),
}


def find_builder(scheme: str, subject: str) -> Callable[[StoreURL], Any]:
    """Return the function that makes the store of a URL with this scheme.

    Args:
        scheme: in lower case.
        subject: what errors call the URL.

    Raises:
        InvalidArgumentError: nobody knows the scheme.
        MissingDependencyError: the package that knows it cannot be loaded.
    """
    if scheme in _BUILDERS:
        module, function = _BUILDERS[scheme]
        builder: Callable[[StoreURL], Any]
        builder = getattr(import_module(f".{module}", __package__), function)
        return builder
    others = _entry_points()
    found = [one for one in others if one.name.lower() == scheme]
    if len({one.value for one in found}) > 1:
        owners = " and ".join(sorted(map(_describe, found)))
        raise InvalidArgumentError(
            f"{subject} has the scheme {scheme!r}, which several packages provide: "
            f"{owners}; uninstall all but one of them"
        )
    if found:
        return _load(found[0])
    known = sorted({*_BUILDERS, *(one.name.lower() for one in others)})
    near = get_close_matches(scheme, known, n=1)
    remedy = f"did you mean {near[0]}://?" if near else f"known are {', '.join(known)}"
    raise InvalidArgumentError(
        f"{subject} has the scheme {scheme!r}, which is not known; {remedy}"
    )


def _entry_points() -> list[EntryPoint]:
    from importlib.metadata import entry_points

    return list(entry_points(group=GROUP))


def _load(found: EntryPoint) -> Callable[[StoreURL], Any]:
    try:
        builder = found.load()
    except Exception as error:
        raise MissingDependencyError(
            f"The scheme {found.name!r} comes from {_describe(found)}, which cannot be "
            f"loaded ({type(error).__name__}: {error}); repair or uninstall that "
            f"package"
        ) from error
    if not callable(builder):
        raise MissingDependencyError(
            f"The scheme {found.name!r} comes from {_describe(found)}, which is no "
            f"function; repair or uninstall that package"
        )
    return builder  # type: ignore[no-any-return]  # of another package


def _describe(found: EntryPoint) -> str:
    package = "a package" if found.dist is None else f"the package {found.dist.name!r}"
    return f"the entry point {found.value!r} of {package}"
