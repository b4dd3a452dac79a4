# SPDX-License-Identifier: Apache-2.0
"""Writes files that are complete, or stay as they were."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from errno import EACCES
from pathlib import Path
from secrets import token_hex


def write_file(file: str, text: str) -> None:
    """Write a text to a file, which is replaced as a whole.

    Raises:
        OSError: the file cannot be written; then it stays as it was.
    """
    path = Path(file)
    if path.exists() and not path.is_file():  # such as /dev/stdout
        path.write_text(text, encoding="utf-8")
        return
    path = path.resolve()  # a link stays, and what it leads to is replaced
    exists = path.exists()
    if exists and not os.access(path, os.W_OK):
        raise PermissionError(EACCES, os.strerror(EACCES), file)
    temporary = path.with_name(f".flipper-{token_hex(8)}")
    try:
        with temporary.open("x", encoding="utf-8") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        if exists:
            shutil.copymode(path, temporary)
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):  # names the file that people know
            raise type(error)(error.errno, error.strerror, file) from None
        raise
