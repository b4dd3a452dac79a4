# SPDX-License-Identifier: Apache-2.0
"""`Snapshot`: a file of the last known flags, for a start while a server is down."""

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
_MAX_CLOCK_DIFFERENCE: Final = 60.0  # seconds


class Snapshot:
    """A file of flags, always replaced as a whole. Safe for threads and processes.

    Args:
        path: the file. It is written so that only its owner can read it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._log = LogThrottle(__name__)

    def save(self, items: Iterable[Any]) -> None:
        """Write the flags; a flag that JSON cannot express is left out and logged.

        Raises:
            OSError: the file cannot be written; then it stays as it was.
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
            document = item if type(item) is bytes else getattr(item, "document", None)
            if type(document) is bytes:
                return document.decode()
            return FeatureFlagStoreItem.from_item(item).serialize().decode()
        except Exception as error:  # noqa: BLE001  (the other flags are saved)
            self._log.warning(
                getattr(item, "feature_name", None),
                "A flag is left out of the snapshot: %s",
                error,
            )
            return None

    def touch(self) -> None:
        """Set the date of the file to the present time.

        Raises:
            OSError: there is no file, or its date cannot be set.
        """
        os.utime(self.path)

    def load(self) -> tuple[float, dict[str, FeatureFlagStoreItem]]:
        """Return the age of the file in seconds, and its flags.

        If the date of the file is in the future, the clock is or was wrong, or frozen
        by a test. The age is not known then, and infinity is returned for it.

        Raises:
            OSError: the file cannot be read.
            FlipperError: the file is not a snapshot.
        """
        age = time() - self.path.stat().st_mtime
        # The clocks of a file server and of this machine may differ a little.
        age = max(0.0, age) if age > -_MAX_CLOCK_DIFFERENCE else inf
        text = self.path.read_text(encoding="utf-8")
        try:
            found = json.loads(text)
            documents = {_FORMAT: found["flags"]}[found["format"]]
            items = [item for text in documents if (item := _item(text)) is not None]
        except (KeyError, TypeError, ValueError) as error:
            message = f"The file {self.path} is not a snapshot of flags: {error}"
            raise FlipperError(message) from error
        return age, {item.feature_name: item for item in items}


def _item(text: str) -> FeatureFlagStoreItem | None:
    try:
        item = FeatureFlagStoreItem.deserialize(text)
        item.document = text.encode()
    except InvalidFlagDataError as error:
        logger.warning("A flag of the snapshot is left out: %s", error)
        return None
    return item
