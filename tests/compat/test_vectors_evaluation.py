# SPDX-License-Identifier: Apache-2.0
"""Golden cases: answers of whole stored flags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from golden import Case, agree, cases, decode, outcome

from flipper import FeatureFlagClient
from flipper.contrib.interface import AbstractFeatureFlagStore
from flipper.contrib.storage import FeatureFlagStoreItem

if TYPE_CHECKING:
    from collections.abc import Iterator


class OneDocument(AbstractFeatureFlagStore):
    """A store that holds one document, or none, under the name ``some-flag``."""

    def __init__(self, stored: str | None) -> None:
        self.stored = stored

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the one flag as a new item, or nothing."""
        if self.stored is None or feature_name != "some-flag":
            return None
        return FeatureFlagStoreItem.deserialize(self.stored.encode())

    def create(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse."""
        raise NotImplementedError

    def set(self, *args: Any, **kwargs: Any) -> None:
        """Refuse."""
        raise NotImplementedError

    def delete(self, *args: Any, **kwargs: Any) -> None:
        """Refuse."""
        raise NotImplementedError

    def list(self, *args: Any, **kwargs: Any) -> Iterator[FeatureFlagStoreItem]:
        """Refuse."""
        raise NotImplementedError

    def set_meta(self, *args: Any, **kwargs: Any) -> None:
        """Refuse."""
        raise NotImplementedError


def ask(kind: str, given: Any) -> Any:
    """Return the answer of the item, the client or a flag object."""
    kwargs = decode(given["kwargs"])
    if kind == "item":
        item = FeatureFlagStoreItem.deserialize(given["stored"].encode())
        return item.is_enabled(**kwargs)
    client = FeatureFlagClient(OneDocument(given["stored"]))
    if given["through"] == "flag":
        return client.get("some-flag").is_enabled(**kwargs)
    return client.is_enabled("some-flag", **kwargs)


@pytest.mark.parametrize("case", cases("evaluation"))
def test_evaluations_are_those_of_flipper_client(case: Case) -> None:
    """A stored flag gives the same answer as in flipper-client."""
    agree(case["expect"], outcome(lambda: ask(case["kind"], case["given"])))
