# SPDX-License-Identifier: Apache-2.0
"""Flags in the key-value store of Consul, followed as they change.

A store keeps a copy of all its flags, which a thread replaces whenever something has
changed on the server: reading takes no request, and goes on while the agent is away.
"""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import MutableMapping
from math import inf
from random import uniform
from secrets import randbits
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple
from weakref import finalize

from ..exceptions import InvalidArgumentError
from .atomic import ABSENT, ANY
from .document import DocumentFeatureFlagStore
from .interface import AbstractFeatureFlagStore as AbstractFeatureFlagStore
from .interface import FlagDoesNotExistError as FlagDoesNotExistError
from .storage import FeatureFlagStoreItem as FeatureFlagStoreItem  # noqa: TC001
from .storage import FeatureFlagStoreMeta as FeatureFlagStoreMeta
from .util.date import now
from .util.fork import renew_after_fork

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from typing_extensions import Self

logger = logging.getLogger(__name__)

# All in seconds.
_FIRST_PAUSE: Final = 0.1  # between two requests, doubled each time
_LONGEST_PAUSE_AFTER_ERROR: Final = 2.0
_LONGEST_PAUSE_WITHOUT_NEWS: Final = 10.0
_PATIENCE: Final = 5.0  # with the first answer, before going on without it
_SLACK: Final = 10.0  # for an answer on its way, until it is taken to be lost
# A request whose answer is lost may wait for ever, since python-consul has no timeouts.
_MOST_THREADS: Final = 3


class ConsulFeatureFlagStore(DocumentFeatureFlagStore):
    """Keeps each flag under the key `<base_key>/<feature_name>`. Safe for threads.

    `get` and `list` answer from the copy, which holds this store's own writes at once
    and those of others a moment later. Writes are requests, check-and-set ones; their
    errors are those of the Consul client. Errors of following are logged.

    Names with characters that cannot be printed, and with `.`, `..` or nothing between
    slashes, are refused with an `InvalidArgumentError`: Consul cannot keep them.

    In a forked child the copy is followed anew as soon as a flag is asked for.

    Args:
        consul: a client of python-consul or py-consul, of which `kv` is used.
        base_key: the folder of the flags.
    """

    wait: ClassVar[int] = 30
    """For how many seconds Consul holds a request back while nothing changes."""

    def __init__(self, consul: Any, base_key: str = "features") -> None:
        super().__init__()
        self.base_key = base_key
        self._consul = consul
        self._prefix = base_key.rstrip("/") + "/"
        self._copy = _Copy(consul, self._prefix, self.wait)
        finalize(self, self._copy.close)
        self._copy.be_followed()

    def last_known(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Return the flag as the copy has it, or `None`."""
        row = self._copy.rows.get(feature_name)
        return None if row is None else self._decode(feature_name, row.document)

    def close(self) -> None:
        """Stop following; `get` and `list` answer as of now from then on.

        Returns at once. The thread ends when Consul answers what it has asked last, at
        most `wait` seconds later, and never keeps a program from ending.
        """
        self._copy.close()

    def __enter__(self) -> Self:
        """Give the store."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the store."""
        self.close()

    def _read(self, feature_name: str) -> tuple[bytes, Any] | None:
        self._copy.be_followed()
        return self._copy.rows.get(feature_name)

    def _replace(self, feature_name: str, document: bytes, expected: Any) -> bool:
        fault = _fault(feature_name)
        if fault:
            raise InvalidArgumentError(
                f"Feature {feature_name!r} cannot be stored in Consul: its name "
                f"{fault}; use another name",
                feature_name=feature_name,
                value=feature_name,
            )
        key = self._prefix + feature_name
        if expected is ANY:
            self._consul.kv.put(key, document)
            self._look(feature_name, document, is_done=True)
            return True
        # A number of its own for each write, which Consul keeps beside the value.
        mark = randbits(63)
        revision = 0 if expected is ABSENT else expected
        written = self._consul.kv.put(key, document, cas=revision, flags=mark)
        # What comes too late begins again with what is there now.
        row = self._look(feature_name, document, is_done=written)
        if written or row is None:
            return bool(written)
        if expected is ABSENT and not row["Value"]:  # no flag, but a key all the same
            return self._replace(feature_name, document, row["ModifyIndex"])
        # An HTTP client that repeats requests whose answer was lost: the write took
        # effect, and it is its repetition that comes too late.
        return bool(row.get("Flags") == mark)

    def _remove(self, feature_name: str) -> None:
        if not _fault(feature_name):
            self._consul.kv.delete(self._prefix + feature_name)
            self._look(feature_name, None, is_done=True)

    def _documents(self, offset: int, limit: int | None) -> Iterator[tuple[str, bytes]]:
        self._copy.be_followed()
        end = None if limit is None else offset + limit
        for feature_name in sorted(self._copy.rows)[offset:end]:
            row = self._copy.rows.get(feature_name)
            if row is not None:  # deleted since the names were read
                yield feature_name, row.document

    def _now(self) -> int:
        return now()

    def _look(self, feature_name: str, document: bytes | None, *, is_done: bool) -> Any:
        """Put into the copy what is there after a write, and return Consul's row."""
        # Race: what the thread is being told right now may be older than the write. The
        # index tells, and only reading gives the index of the write.
        try:
            index, found = self._consul.kv.get(self._prefix + feature_name)
        except Exception:
            if not is_done:
                raise
            logger.debug("A write could not be read again", exc_info=True)
            row = None if document is None else _Row(document, _UNKNOWN)
            self._copy.learn(feature_name, row, self._copy.index + 1)
            return None
        if found and found["Value"]:
            row = _Row.of(found)
            self._copy.learn(feature_name, row, row.revision)
        else:
            self._copy.learn(feature_name, None, int(index))
        return found


class _Row(NamedTuple):
    """A document, and what tells this version of it from others."""

    document: bytes
    revision: int

    @classmethod
    def of(cls, found: Any) -> _Row:
        """Make it of what a client gives."""
        value = found["Value"]
        document = value.encode() if isinstance(value, str) else bytes(value)
        return cls(document, int(found["ModifyIndex"]))


# Larger than any, so that a write in vain finds out the true one.
_UNKNOWN: Final = 2**62


class _Fact(NamedTuple):
    """What is known of one flag from a request of its own.

    Attributes:
        row: its document, or `None` for no flag.
        since: the index at which it was so.
        asked: how many requests for all flags had been sent when this became known.
    """

    row: _Row | None
    since: int
    asked: int


class _Copy:
    """A copy of all documents, and the thread that follows the server. Thread-safe.

    It knows nothing of the store, so that a store nobody holds is free to go.

    Attributes:
        rows: the documents by feature name; to be read only.
        index: the index of the last change that is in it.
    """

    def __init__(self, consul: Any, prefix: str, wait: int) -> None:
        self._consul = consul
        self._prefix = prefix
        self._wait = wait
        self.rows: dict[str, _Row] = {}
        self.index = 0
        self._closed = threading.Event()
        self._due = -inf  # when the thread is taken to hang
        self._begin()
        renew_after_fork(self)

    def _begin(self) -> None:
        # Reentrant: the garbage collector may close a copy whose thread holds it.
        self._lock = threading.RLock()
        self._threads: list[threading.Thread] = []
        self._current: threading.Event | None = None  # of the thread that counts
        self._asked = 0
        self._facts: dict[str, _Fact] = {}

    def after_fork(self) -> None:
        """Be followed by a thread of this process, over connections of its own."""
        self._begin()
        if not self._closed.is_set():
            self._closed = threading.Event()
            self._due = -inf
        _renew_connections(self._consul)

    def be_followed(self) -> None:
        """Start a thread if there is none, or if the one there is seems to hang.

        The first one is waited for until it has its first answer, or an error.
        """
        if monotonic() > self._due:
            self._start()

    def close(self) -> None:
        """Follow no more."""
        with self._lock:
            self._closed.set()
            self._current = None
            self._due = inf

    def learn(self, feature_name: str, row: _Row | None, since: int) -> None:
        """Take in what is known of one flag, unless something newer is known."""
        with self._lock:
            known = self._facts.get(feature_name)
            if since <= self.index or (known is not None and since < known.since):
                return
            self._facts[feature_name] = _Fact(row, since, self._asked)
            _put(self.rows, feature_name, row)

    def _start(self) -> None:
        with self._lock:
            if monotonic() <= self._due:
                return  # another caller has done it
            self._due = self._deadline()
            self._threads = [one for one in self._threads if one.is_alive()]
            if len(self._threads) >= _MOST_THREADS:
                return
            is_first = self._current is None
            answered = self._current = threading.Event()
            thread = threading.Thread(
                target=self._follow,
                args=(answered,),
                name="flipper-consul",
                daemon=True,
            )
            try:
                thread.start()
            except RuntimeError:  # no more threads at the very end of a program
                return
            self._threads.append(thread)
        if is_first and not answered.wait(_PATIENCE):
            logger.warning("Consul has not answered yet; its flags are missing so far")

    def _deadline(self) -> float:
        # Consul adds up to a sixteenth by itself.
        return monotonic() + self._wait * 17 / 16 + _SLACK

    def _follow(self, answered: threading.Event) -> None:
        """Ask for what has changed, again and again; runs in a thread."""
        index = failures = unchanged = 0
        while True:
            with self._lock:
                if self._current is not answered:
                    return
                self._due = self._deadline()
                self._asked += 1
            began = monotonic()
            try:
                found, rows = self._ask(index)
            except Exception as error:  # noqa: BLE001  (logged, tried again)
                failures += 1
                self._log_failure(error, failures, answered)
                index = 0
                pause = uniform(0.5, 1) * _growing(failures, _LONGEST_PAUSE_AFTER_ERROR)  # noqa: S311
            else:
                if not self._take(found, rows, answered):
                    return
                if failures:
                    logger.info("Consul answers again")
                failures = 0
                took = monotonic() - began
                # No news, and not waited for any: a server, or a double, that cannot.
                unchanged = unchanged + 1 if found == index and took < 1 else 0
                pause = _growing(unchanged, _LONGEST_PAUSE_WITHOUT_NEWS) - took
                # An index that goes backwards belongs to another history: begin anew.
                index = found if found >= index else 0
            answered.set()
            if pause > 0:
                self._closed.wait(pause)

    def _take(
        self, index: int, rows: dict[str, _Row], answered: threading.Event
    ) -> bool:
        """Replace the copy, unless another thread does that by now; tell if so."""
        with self._lock:
            if self._current is not answered:
                return False
            # Race: the answer may be older than what has become known since it was
            # asked for. A request sent later has it, whatever its index.
            self._facts = {
                feature_name: fact
                for feature_name, fact in self._facts.items()
                if fact.asked == self._asked and fact.since > index
            }
            for feature_name, fact in self._facts.items():
                _put(rows, feature_name, fact.row)
            self.rows = rows
            self.index = index
            return True

    def _ask(self, index: int) -> tuple[int, dict[str, _Row]]:
        """Wait for what comes after an index; without one be answered at once."""
        found, answer = self._consul.kv.get(
            self._prefix,
            index=str(index) if index > 0 else None,
            recurse=True,
            wait=f"{self._wait}s",
        )
        rows = {}
        for row in answer or ():
            key = row["Key"]
            # Without a value it is a folder, and the base key itself is one.
            if row["Value"] and key.startswith(self._prefix) and key != self._prefix:
                rows[key[len(self._prefix) :]] = _Row.of(row)
        return int(found), rows

    def _log_failure(
        self, error: Exception, failures: int, answered: threading.Event
    ) -> None:
        if self._current is not answered:
            return
        logger.log(
            logging.WARNING if failures == 1 else logging.DEBUG,
            "Consul cannot be asked (%s: %s); flags stay as last known until it can",
            type(error).__name__,
            error,
        )


def _put(rows: dict[str, _Row], feature_name: str, row: _Row | None) -> None:
    if row is None:
        rows.pop(feature_name, None)
    else:
        rows[feature_name] = row


def _growing(times: int, longest: float) -> float:
    """Return a pause in seconds that doubles from the second time on."""
    return min(longest, _FIRST_PAUSE * 2.0 ** max(0, min(times - 1, 10)))


def _fault(feature_name: str) -> str | None:
    """Say why Consul would refuse a name, or write to another key; `None` if not."""
    segments = feature_name.split("/")
    if not {".", ".."}.isdisjoint(segments):
        return "contains '.' or '..' between slashes"
    if "" in segments[:-1]:
        return "has a slash at its beginning, or two in a row"
    if not feature_name.isprintable():
        return "contains characters that cannot be printed"
    return None


# Sockets of the parent: to close them, or to let them go, is up to the parent.
_parents: list[Any] = []


def _renew_connections(consul: Any) -> None:
    """Let a client that keeps connections, as it does by a session, make new ones.

    A request on a connection that the parent uses too would get the parent's answers.
    """
    adapters: Any = consul
    for name in ("http", "session", "adapters"):
        adapters = getattr(adapters, name, None)
    if not isinstance(adapters, MutableMapping):
        return
    for address, adapter in list(adapters.items()):
        made = copy.copy(adapter)  # with all of its settings and a pool of its own
        made.__dict__ = {**vars(adapter), **vars(made)}
        _parents.append(adapter)
        adapters[address] = made
