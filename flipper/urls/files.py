# SPDX-License-Identifier: Apache-2.0
"""Stores without a server: in memory, in a SQLite file, in a file written by people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .ownership import make_owner

if TYPE_CHECKING:
    from .address import StoreURL


def build_memory(url: StoreURL) -> Any:
    """Make the store of `memory://`."""
    from ..contrib.memory import MemoryFeatureFlagStore

    url.refuse_authority("write memory://")
    url.refuse_path("write memory://")
    url.options.refuse_unknown()
    return make_owner(MemoryFeatureFlagStore, release=_nothing)


def build_sqlite(url: StoreURL) -> Any:
    """Make the store of `sqlite:///flags.db`."""
    from ..contrib import SQLiteFeatureFlagStore

    path = _path_of(url)
    settings = {}
    if "timeout" in url.options:
        settings["timeout"] = url.options.seconds("timeout", 0)
    url.options.refuse_unknown()
    return make_owner(SQLiteFeatureFlagStore, path, release=_nothing, **settings)


def build_file(url: StoreURL) -> Any:
    """Make the store of `file:///flags.toml`."""
    from ..contrib import FileFeatureFlagStore

    path = _path_of(url)
    options = url.options
    settings: dict[str, Any] = {}
    if "format" in options:
        settings["format"] = options.choice("format", "toml", "json", "yaml")
    options.refuse_unknown()
    return make_owner(FileFeatureFlagStore, path, release=_nothing, **settings)


def _path_of(url: StoreURL) -> str:
    """Return the path of a file: what follows the third slash.

    Raises:
        InvalidArgumentError: there is none, or it is obviously missing a slash.
    """
    scheme = url.scheme
    url.refuse_authority(
        f"a file has three slashes, as {scheme}:///flags.db, and an absolute path "
        f"four, as {scheme}:////srv/flags.db"
    )
    if not url.path:
        url.refuse(f"names no file; write {scheme}:///flags.db")
    try:
        path = Path(url.path).expanduser()
    except RuntimeError:
        url.refuse("names the home directory of a user that there is not")
    if not path.parent.exists() and Path("/", path).parent.exists():
        url.refuse(
            f"names a file in a folder below the working directory, which does not "
            f"exist; an absolute path has four slashes, as {scheme}:////srv/flags.db"
        )
    return str(path)


def _nothing() -> None:
    """Release nothing: these stores hold only what they have made themselves."""
