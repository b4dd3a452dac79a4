# SPDX-License-Identifier: Apache-2.0
"""`UndecodedItem`: a flag that is decoded when it is first used."""

from __future__ import annotations

from typing import Any, Final

from ...exceptions import InvalidFlagDataError
from .item import FeatureFlagStoreItem

_DECODED_SLOTS: Final = (
    *("_answer_if_enabled", "_is_enabled", "_meta"),
    *("answer", "decider"),
)


class UndecodedItem(FeatureFlagStoreItem):
    """A flag of which only the name and the document are set.

    The first use of another attribute decodes the document, and the object becomes a
    plain `FeatureFlagStoreItem`. Then `is_enabled` of a client is as fast as with any
    flag, which it would not be if that class itself had a `__getattr__`.

    Threads may share it: all of them decode the same document to the same flag.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        """Decode the flag, because this attribute is not set yet.

        Raises:
            InvalidFlagDataError: the document is not a flag of this name.
        """
        if name not in _DECODED_SLOTS:
            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(message)
        self.decode()
        return getattr(self, name)

    def decode(self) -> None:
        """Become a plain item.

        Raises:
            InvalidFlagDataError: the document is not a flag of this name.
        """
        try:
            found = FeatureFlagStoreItem.deserialize(self.document or b"")
        except InvalidFlagDataError as error:
            error.feature_name = self.feature_name
            raise
        if found.feature_name != self.feature_name:
            message = f"its document is of the flag {found.feature_name!r}"
            raise InvalidFlagDataError(message, feature_name=self.feature_name)
        for slot in _DECODED_SLOTS:
            setattr(self, slot, getattr(found, slot))
        # Race: last, since other threads then take all attributes for set.
        self.__class__ = FeatureFlagStoreItem  # type: ignore[assignment]

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Copy or pickle the plain item."""
        self.decode()
        return self.__reduce_ex__(protocol)

    def __repr__(self) -> str:
        """Show the name; the state is not known yet."""
        return f"<{FeatureFlagStoreItem.__name__} {self.feature_name!r}>"


def decoded_or_none(item: Any) -> Any:
    """Return an item of any class, decoded, or `None` if its document is not a flag."""
    if type(item) is UndecodedItem:
        try:
            item.decode()
        except InvalidFlagDataError:
            return None
    return item
