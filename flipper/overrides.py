# SPDX-License-Identifier: Apache-2.0
"""What is put before the store of a client, such as the overrides of tests.

`flipper.testing.override_flags` and the pytest plugin use it. While neither is active,
a client reads its store as if this module did not exist.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from .arguments import check_feature_name
from .exceptions import InvalidArgumentError
from .runtime.containers import copy_containers
from .runtime.fork import at_fork
from .runtime.patching import refresh_readers

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from .argument_context import ArgumentContext
    from .hooks import Hooks
    from .memoizing.memoization import Memoization

# What JSON can express, as the values of variants; without None, which does not say
# whether the flag is on.
_VALUES: Final = (bool, str, int, float, list, dict)

_missing_flag_listener: Callable[[Any, Any], object] | None = None


class OverriddenFlag:
    """A flag whose answer is fixed for the time of a test. It never changes.

    Args:
        feature_name: the flag.
        value: `True` or `False` switches the flag; any other value is that of its
            variant, and the flag is on.

    Raises:
        InvalidArgumentError: no flag can have this name, or no variant this value.
    """

    __slots__ = ("_value", "feature_name")

    def __init__(self, feature_name: str, value: Any) -> None:
        check_feature_name(feature_name)
        if not isinstance(value, _VALUES):
            raise InvalidArgumentError(
                f"Feature {feature_name!r} cannot be overridden by {value!r}; use True "
                f"or False, or the value of a variant (text, a number, a list, a dict)",
                feature_name=feature_name,
                value=value,
            )
        self.feature_name = feature_name
        self._value = copy_containers(value)

    @property
    def value(self) -> Any:
        """A copy of the value that the test has given."""
        return copy_containers(self._value)

    def is_enabled(self, /, **_: Any) -> bool:
        """Return whether the flag is on, for any arguments."""
        return self._value is not False

    def variant(self, default: Any) -> Any:
        """Return the answer of `client.variant`."""
        return default if self._value is False else self.value


class OverridingReader:
    """Reads overridden flags from the overrides, and all others from the store.

    Args:
        reader: the object whose `get` reads the store.
        overrides: the flags of each override; the last override takes precedence.
    """

    def __init__(
        self, reader: Any, overrides: tuple[dict[str, OverriddenFlag], ...]
    ) -> None:
        self._reader = reader
        self._overrides = overrides[::-1]

    def get(self, feature_name: Any) -> Any:
        """Return the flag as overridden, else what the store has."""
        # A name that cannot be hashed is a matter for the store.
        if isinstance(feature_name, str):
            for flags in self._overrides:
                found = flags.get(feature_name)
                if found is not None:
                    return found
        return self._reader.get(feature_name)


class MissingFlagReader:
    """Reads the store, and calls the listener for each flag that it does not have.

    Args:
        reader: the object whose `get` reads the store.
        client: a weak reference to the client that asks.
        listener: is called with the client and the feature name.
    """

    def __init__(
        self, reader: Any, client: ref[Any], listener: Callable[[Any, Any], object]
    ) -> None:
        self._reader = reader
        self._client = client
        self._listener = listener

    def get(self, feature_name: Any) -> Any:
        """Return what the store has."""
        item = self._reader.get(feature_name)
        if item is None:
            self._listener(self._client(), feature_name)
        return item


class OverridableReader:
    """The part of a client that reads flags, and which tests may override.

    Its `_reader` is the object whose `get` the questions of the client call. It is the
    `_fast_reader` until something is put before the store. Threads may share it.
    """

    _reader: Any
    _item_reader: Any
    """Reads flags for questions that have all their arguments, and without hooks."""
    _store_reader: Any
    _fast_reader: Any
    """Reads the store, too, but may lack flags that are not decoded yet."""
    _local_copy: Any = None
    """What has all flags (`LocalCopy`) if `_fast_reader` lacks some of them."""
    _overrides: tuple[dict[str, OverriddenFlag], ...] = ()
    # These are set when they are first used; see `per_request`.
    _memoization: Memoization | None = None
    _context: ArgumentContext | None = None
    _hooks: Hooks | None = None

    def _use_reader(self, store_reader: Any, fast_reader: Any = None) -> None:
        """Read the store by these objects from now on, or only by the first."""
        # Race: another thread may begin an override, which must not get lost.
        with _lock:
            self._store_reader = store_reader
            self._fast_reader = store_reader if fast_reader is None else fast_reader
            self._put_before_store()

    def _is_undecoded(self, feature_name: Any) -> bool:
        """Return whether the store has a flag that `_fast_reader` may lack."""
        if self._local_copy is None:
            return False
        try:
            return feature_name in self._local_copy.flags
        except TypeError:  # a name that cannot be hashed
            return False

    def _begin_override(self, flags: dict[str, OverriddenFlag]) -> None:
        """Answer these flags by their overrides, before all earlier overrides.

        `flags` may be changed later, and each change takes effect at once.
        `flipper.testing.override_flags` calls this.
        """
        with _lock:
            self._overrides = (*self._overrides, flags)
            self._put_before_store()

    def _end_override(self, flags: dict[str, OverriddenFlag]) -> None:
        """End the override with this very dict; overrides may end in any order."""
        with _lock:
            self._overrides = tuple(one for one in self._overrides if one is not flags)
            self._put_before_store()

    def _put_before_store(self) -> None:
        self._item_reader, reader = self._readers(self._store_reader)
        self._reader = self._fast_reader if reader is self._store_reader else reader

    def _readers(self, reader: Any) -> tuple[Any, Any]:
        """Return what `_item_reader` and `_reader` are if this one reads the store."""
        if self._memoization is not None:
            reader = self._memoization.reader(reader)
        listener = _missing_flag_listener
        if listener is not None:
            reader = MissingFlagReader(reader, ref(self), listener)
        item_reader = self._with_overrides(reader)
        if self._context is not None:
            reader = self._context.reader(reader)
        reader = self._with_overrides(reader)  # their answers need no arguments
        if self._hooks is not None:
            reader = self._hooks
        return item_reader, reader

    def _with_overrides(self, reader: Any) -> Any:
        return OverridingReader(reader, self._overrides) if self._overrides else reader


def listen_to_missing_flags(listener: Callable[[Any, Any], object] | None) -> None:
    """Call a function for each question about a flag that does not exist.

    It concerns all clients of the process. The function gets the client and the feature
    name, in the thread that asks, and must not raise. `None` ends it.
    """
    global _missing_flag_listener  # noqa: PLW0603  (one for the whole process)
    _missing_flag_listener = listener
    refresh_readers()


def changing_readers() -> AbstractContextManager[Any]:
    """Return the lock under which something is put before the store of a client."""
    lock: AbstractContextManager[Any] = _lock
    return lock


def _renew_lock() -> None:
    global _lock  # noqa: PLW0603  (one for all clients)
    # Reentrant: a signal handler may change a reader while its thread holds this.
    _lock = threading.RLock()


_lock: Any
_renew_lock()
at_fork(after_in_child=_renew_lock)
