# SPDX-License-Identifier: Apache-2.0
"""Flags in the frameworks that applications use; each module imports one framework."""

from __future__ import annotations

from importlib import import_module


def require(package: str, extra: str) -> None:
    """Import the package of a framework, or raise an error that names the extra.

    An integration calls this before it imports the framework.

    Raises:
        MissingDependencyError: an `ImportError`; the package is not installed.
        Exception: any error that the package raises while it is imported.
    """
    try:
        import_module(package)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{package}.".startswith(f"{error.name}."):
            raise  # the package is installed, and lacks one that it needs
        from ..exceptions import MissingDependencyError

        raise MissingDependencyError.for_extra(package, extra) from None
