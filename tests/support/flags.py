# SPDX-License-Identifier: Apache-2.0
"""Short ways to read the flags of a store, and to write a document of one."""

from __future__ import annotations

import json
from typing import Any


def names(store: Any, **page: Any) -> list[str]:
    """Return the names of a store's flags, in the store's order."""
    return [item.feature_name for item in store.list(**page)]


def state(store: Any, name: str = "x") -> Any:
    """Return the stored state of a flag, `None` if there is no such flag."""
    item = store.get(name)
    return None if item is None else item.raw_is_enabled


def conditions(store: Any, name: str = "x") -> list[Any]:
    """Return the conditions of an existing flag."""
    item = store.get(name)
    assert item is not None
    found: list[Any] = item.meta["conditions"]
    return found


def document(name: str, is_enabled: bool = True) -> bytes:
    """Return a document as another program may write it: spaces, no escapes."""
    meta = {"created_date": 7, "client_data": {"a": "é"}}
    fields = {"feature_name": name, "is_enabled": is_enabled, "meta": meta}
    return json.dumps(fields, indent=1, ensure_ascii=False).encode()
