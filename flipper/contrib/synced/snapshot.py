# SPDX-License-Identifier: Apache-2.0
"""A file with the flags as last known, to begin with while a server is away."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from contextlib import suppress
from math import inf
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any, Final

from ...exceptions import FlipperError, InvalidFlagDataError
from ...runtime.log_throttle import LogThrottle
from ..storage import FeatureFlagStoreItem

if TYPE_CHECKING:
    from collections.abc import Iterable

logger = logging.getLogger(__name__)

_FORMAT: Final = 1
_CLOCKS_DIFFER: Final = 60.0  # seconds, at most


class Snapshot:
    """Flags in one file, replaced as a whole. Safe for several processes.

    Args:
        path: the file. Only its owner may read what is written there.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._log = LogThrottle(__name__)

    def save(self, items: Iterable[Any]) -> None:
        """Write the flags; a flag that JSON cannot express is left out, and logged.

        Raises:
            OSError: the file cannot be written; then it is what it was.
        """
        flags = [text for item in items if (text := self._text(item)) is not None]
        folder = self.path.parent
        handle, temporary = tempfile.mkstemp(prefix=self.path.name, dir=folder)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"format": _FORMAT, "flags": flags}, file)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self.path)
        except BaseException:
            with suppress(OSError):
                Path(temporary).unlink()
            raise

    def _text(self, item: Any) -> str | None:
        try:
            return FeatureFlagStoreItem.of(item).serialize().decode()
        except Exception as error:  # noqa: BLE001  (the others have to be saved)
            self._log.warning(
                getattr(item, "feature_name", None),
                "A flag is not in the snapshot: %s",
                error,
            )
            return None

    def touch(self) -> None:
        """Let the file be as young as if it were written now.

        Raises:
            OSError: there is no file, or it cannot be touched.
        """
        os.utime(self.path)

    def load(self) -> tuple[float, dict[str, FeatureFlagStoreItem]]:
        """Return the age of the file in seconds, and its flags.

        A file of the future was written, or is read, while the clock was wrong or
        frozen by a test: its age is not known, and taken to be infinite.

        Raises:
            OSError: it cannot be read.
            FlipperError: it is no snapshot.
        """
        age = time() - self.path.stat().st_mtime
        # The clocks of a file server and of this machine are never quite the same.
        age = max(0.0, age) if age > -_CLOCKS_DIFFER else inf
        text = self.path.read_text(encoding="utf-8")
        try:
            found = json.loads(text)
            documents = {_FORMAT: found["flags"]}[found["format"]]
            items = [item for text in documents if (item := _item(text)) is not None]
        except (KeyError, TypeError, ValueError) as error:
            message = f"The file {self.path} is no snapshot of flags: {error}"
            raise FlipperError(message) from error
        return age, {item.feature_name: item for item in items}


def _item(text: str) -> FeatureFlagStoreItem | None:
    try:
        return FeatureFlagStoreItem.deserialize(text)
    except InvalidFlagDataError as error:
        logger.warning("A flag of the snapshot is left out: %s", error)
        return None
