# SPDX-License-Identifier: Apache-2.0
"""`Closeable`: lets an object that has a `close` be used in a `with` statement."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self


class Closeable:
    """An object that a `with` statement closes at its end."""

    def close(self) -> None:
        """Release what the object holds, such as connections and threads."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Return the object itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the object."""
        self.close()
