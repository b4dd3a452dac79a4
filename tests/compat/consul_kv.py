# SPDX-License-Identifier: Apache-2.0
"""A double of the key-value part of a Consul client.

It answers as Consul does: every write raises one index, a query with the index it has
already seen waits for the next write (at most ``LONGEST_WAIT`` seconds here), and
``cas`` writes only over the revision it names. It also knows when a watcher has seen
everything, which a real server cannot tell.
"""

from __future__ import annotations

import threading
from typing import Any

LONGEST_WAIT = 5.0
CLOSING_WAIT = 0.05
Row = dict[str, Any]


class ConsulKeyValue:
    """Safe to use from several threads."""

    def __init__(self) -> None:
        self.requests = 0
        self._changed = threading.Condition()
        self._rows: dict[str, Row] = {}
        self._index = 1
        self._answered = 0
        self._seen = 0
        self._closing = False

    def get(
        self,
        key: str,
        index: str | None = None,
        recurse: bool = False,
        wait: str | None = None,
        **_: Any,
    ) -> tuple[str, Any]:
        """Return the index and the row, or with ``recurse`` the rows, of a key."""
        with self._changed:
            self.requests += 1
            if not recurse:
                return str(self._index), self._rows.get(key)
            # A thread that asks again has processed the previous answer.
            self._seen = self._answered
            self._changed.notify_all()
            if index is not None:
                longest = CLOSING_WAIT if self._closing else _seconds(wait)
                self._changed.wait_for(lambda: self._index > int(index), longest)
            self._answered = self._index
            rows = [self._rows[each] for each in sorted(self._rows)]
            found = [dict(row) for row in rows if row["Key"].startswith(key)]
            return str(self._index), found or None

    def put(self, key: str, value: Any, cas: int | None = None, **_: Any) -> bool:
        """Write a value; return whether ``cas`` was the revision of the old one."""
        with self._changed:
            self.requests += 1
            if not self._is_current(key, cas):
                return False
            self._index += 1
            data = value.encode() if isinstance(value, str) else value
            created = self._rows.get(key, {}).get("CreateIndex", self._index)
            self._rows[key] = {
                "Key": key,
                "Value": data or None,
                "ModifyIndex": self._index,
                "CreateIndex": created,
                "LockIndex": 0,
                "Flags": 0,
            }
            self._changed.notify_all()
            return True

    def delete(self, key: str, cas: int | None = None, **_: Any) -> bool:
        """Delete a key; return whether ``cas`` was its revision."""
        with self._changed:
            self.requests += 1
            if not self._is_current(key, cas):
                return False
            if self._rows.pop(key, None) is not None:
                self._index += 1
                self._changed.notify_all()
            return True

    def _is_current(self, key: str, cas: int | None) -> bool:
        if cas is None:
            return True
        return int(cas) == self._rows.get(key, {"ModifyIndex": 0})["ModifyIndex"]

    def sync(self, seconds: float = 10.0) -> None:
        """Wait until the store's thread has processed all writes until now."""
        with self._changed:
            now = self._index
            followed = self._changed.wait_for(lambda: self._seen >= now, seconds)
        assert followed, "the watcher did not follow"

    def close(self) -> None:
        """Answer waiting requests, so that the store's thread can end."""
        with self._changed:
            self._closing = True
            self._index += 1
            self._changed.notify_all()

    def raw(self) -> dict[str, bytes]:
        """Return what is stored, by key."""
        with self._changed:
            return {key: row["Value"] for key, row in self._rows.items()}


def _seconds(wait: str | None) -> float:
    if wait is None:
        return LONGEST_WAIT
    number, unit = wait[:-1], wait[-1]
    if wait.endswith("ms"):
        number, unit = wait[:-2], "ms"
    seconds = float(number) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[unit]
    return min(seconds, LONGEST_WAIT)


class ConsulClient:
    """A client with nothing but ``kv``."""

    def __init__(self) -> None:
        self.kv = ConsulKeyValue()
