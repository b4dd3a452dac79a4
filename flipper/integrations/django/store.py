# SPDX-License-Identifier: Apache-2.0
"""`DjangoFeatureFlagStore`: flags in the database of the site, by Django's ORM."""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4
from weakref import WeakMethod, finalize

from django.db import (
    IntegrityError,
    InterfaceError,
    OperationalError,
    connections,
    transaction,
)

from ...arguments import check_feature_name
from ...contracts.atomic import ABSENT, ANY
from ...contracts.document import DocumentFeatureFlagStore
from ...contracts.transactions import SupportsTransactions
from ...contrib.util.date import now
from ...contrib.util.iter import batchify
from ...exceptions import InvalidArgumentError, StoreUnavailableError
from ...runtime.closing import Closeable
from .database import FlagDatabase
from .models import Flag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_MOST_NAMES: Final = 500  # in one statement; some databases allow 999 parameters


class DjangoFeatureFlagStore(Closeable, SupportsTransactions, DocumentFeatureFlagStore):
    """Keeps each flag in a row of the site's database. Safe for threads and forks.

    It works with every database of Django. The table is made by `manage.py migrate`,
    with `flipper.integrations.django` in `INSTALLED_APPS`.

    A write compares and sets in one statement. By default, flags take no part in the
    transactions of the site: a write is committed when it returns, also within
    `transaction.atomic()`, and questions see what is committed. A second connection is
    opened for that. Two exceptions take part in the transaction: tests in Django's
    `TestCase`, so that their writes are rolled back; and SQLite, which has one writer,
    so that a second connection would wait for the first one.

    A write in a transaction is seen by the thread that makes it. It is kept in no cache
    before it is committed, and forgotten if it is rolled back.

    Within an event loop, statements run in a thread, and the loop waits for them.

    Args:
        using: the alias of the database. By default, the routers of the site choose it
            as they do for writes.
        in_transaction: whether flags take part in the transactions of the site.

    Raises:
        InvalidArgumentError: there is no such database.
    """

    def __init__(
        self, *, using: str | None = None, in_transaction: bool = False
    ) -> None:
        if using is not None and using not in connections:
            known = ", ".join(map(repr, connections))
            raise InvalidArgumentError(
                f"There is no database {using!r} in the setting DATABASES; use one of "
                f"{known}",
                value=using,
            )
        super().__init__()
        self._database = FlagDatabase(using, in_transaction=in_transaction)
        # By feature name: a mark for each write that is not committed yet.
        self._uncommitted: dict[str, set[object]] = {}
        self._after_transaction: dict[str, list[Callable[[], object]]] = {}

    @property
    def alias(self) -> str:
        """The alias of the database with the flags."""
        return self._database.alias

    @property
    def outage_errors(self) -> tuple[type[Exception], ...]:
        """The errors of a database that does not answer."""
        return (OperationalError, InterfaceError, StoreUnavailableError)

    def close(self) -> None:
        """Close the connection of the store's own, if it has one. Idempotent."""
        self._database.close()

    # -- transactions ------------------------------------------------------------------

    @property
    def joins_transactions(self) -> bool:
        """Whether the store was made with `in_transaction=True`."""
        return self._database.in_transaction

    def is_uncommitted(self, feature_name: str) -> bool:
        """Return whether a write of this process is neither committed nor undone."""
        return bool(self._uncommitted.get(feature_name))

    def after_transaction(self, feature_name: str, call: Callable[[], object]) -> None:
        """Call a function at the end of the transaction with the last write."""
        if self.is_uncommitted(feature_name):
            self._after_transaction.setdefault(feature_name, []).append(call)

    def last_known(self, feature_name: str) -> Any:
        """Return the flag as last read or written, unless that may be rolled back."""
        if self.is_uncommitted(feature_name):
            return None
        return super().last_known(feature_name)

    def _note_write(self, feature_name: str, alias: str) -> None:
        """Remember that a write is not committed, if it is part of a transaction."""
        connection: Any = connections[alias]
        if not connection.in_atomic_block:
            return
        mark = _UncommittedWrite(connection)
        self._uncommitted.setdefault(feature_name, set()).add(id(mark))
        end = partial(_call, WeakMethod(self._end_write), feature_name, id(mark))
        mark.at_end = finalize(mark, end)
        mark.at_end.atexit = False
        transaction.on_commit(mark, using=alias)

    def _end_write(self, feature_name: str, mark: int) -> None:
        marks = self._uncommitted.get(feature_name, set())
        marks.discard(mark)
        # What was decoded may have been rolled back.
        self._last_write = object()
        self._decoded.pop(feature_name, None)
        calls = self._after_transaction.get(feature_name, [])
        if not marks:
            self._after_transaction.pop(feature_name, None)
        for call in [*calls]:
            call()

    # -- documents ---------------------------------------------------------------------

    def _read(self, feature_name: str) -> tuple[bytes, Any] | None:
        key = _key(feature_name)

        def read(alias: str) -> Any:
            rows = Flag.objects.using(alias).filter(key=key)
            return rows.values_list("document", "revision").first()

        found = self._database.read(read)
        return None if found is None else (found[0].encode(), found[1])

    def _read_many(self, feature_names: Sequence[str]) -> dict[str, bytes]:
        names = {_key(name): name for name in feature_names}

        def read(alias: str) -> list[Any]:
            found = []
            for batch in batchify([*names], _MOST_NAMES):
                rows = Flag.objects.using(alias).filter(key__in=batch).order_by()
                found += rows.values_list("key", "document")
            return found

        return {names[key]: text.encode() for key, text in self._database.read(read)}

    def _replace(self, feature_name: str, document: bytes, expected: Any) -> bool:
        key = _key(feature_name)
        columns = {
            "feature_name": feature_name,
            "document": document.decode(),
            "revision": uuid4().hex,
        }

        def write(alias: str) -> bool:
            rows = Flag.objects.using(alias).filter(key=key)
            if expected is ABSENT:
                is_done = _insert(alias, key, columns)
            elif expected is ANY:
                # Race: others may insert or delete the row between two statements.
                while not (rows.update(**columns) or _insert(alias, key, columns)):
                    pass
                is_done = True
            else:
                is_done = bool(rows.filter(revision=expected).update(**columns))
            if is_done:
                self._note_write(feature_name, alias)
            return is_done

        return self._database.write(write)

    def _remove(self, feature_name: str) -> bool:
        key = _key(feature_name)

        def remove(alias: str) -> bool:
            is_done = Flag.objects.using(alias).filter(key=key).delete()[0] > 0
            if is_done:
                self._note_write(feature_name, alias)
            return is_done

        return self._database.write(remove)

    def _documents(self, offset: int, limit: int | None) -> Iterator[tuple[str, bytes]]:
        if limit == 0:
            return
        end = None if limit is None else offset + limit

        # All at once, since a statement gives the flags of one moment.
        def read(alias: str) -> list[Any]:
            rows = Flag.objects.using(alias).order_by("feature_name", "key")
            return list(rows.values_list("feature_name", "document")[offset:end])

        for feature_name, document in self._database.read(read):
            yield feature_name, document.encode()

    def _now(self) -> int:
        return now()


class _UncommittedWrite:
    """Stands for a write in a transaction. Django frees it when that has ended.

    Django forgets the functions of `transaction.on_commit` at a rollback, also at one
    to a savepoint, and has no function for that itself.
    """

    at_end: Any = None

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __call__(self) -> None:
        # A test may call the functions of its transaction, which it rolls back later.
        if not self._connection.in_atomic_block:
            self.at_end()


def _call(method: WeakMethod[Callable[..., Any]], *arguments: Any) -> None:
    bound = method()
    if bound is not None:
        bound(*arguments)


def _key(feature_name: str) -> str:
    check_feature_name(feature_name)
    return sha256(feature_name.encode()).hexdigest()


def _insert(alias: str, key: str, columns: dict[str, str]) -> bool:
    """Insert a row, and return whether there was none with this key."""
    try:
        # In a transaction of the site, an error undoes this statement only.
        with transaction.atomic(using=alias):
            Flag(key=key, **columns).save(using=alias, force_insert=True)
    except IntegrityError:
        return False
    return True
