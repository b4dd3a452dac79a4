# SPDX-License-Identifier: Apache-2.0
"""The circuit breaker of a store whose server is down.

While a circuit breaker is *closed*, questions go to the store. It costs nothing then,
because the object does not exist. It *opens* when a question fails because the server
is down: from then on all questions fail at once, without a request. A background thread
tries one read from time to time (*half-open*), and closes it when the store answers.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn
from weakref import ref

from ..exceptions import StoreTimeoutError
from ..runtime.background import start_thread
from ..runtime.clock import monotonic
from ..runtime.deadline import call_with_timeout
from ..runtime.fork import detect_fork, renew_after_fork
from ..runtime.jitter import uniform
from ..runtime.patching import refresh_readers
from .in_memory import NotInMemoryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from weakref import WeakMethod

    from ..contrib.storage import FeatureFlagStoreItem
    from ..runtime.log_throttle import OutageLog

# Seconds between two tries. Each pause is shortened at random by up to a half, so that
# not all processes send requests at the same moment when the server is back.
_FIRST_PAUSE: Final = 0.1
_GROWTH: Final = 1.5
_LONGEST_PAUSE: Final = 1.0
# Seconds after which a try without an answer is left alone, and the next one begins: a
# client without a time limit waits for ever if its connection was lost in silence.
# The limit is doubled each time, so that few of them wait at once.
_TRY_TIMEOUT: Final = 5.0
_LONGEST_TRY_TIMEOUT: Final = 300.0
# Seconds between two tries by questions, where no background thread can run.
_PAUSE_WITHOUT_THREAD: Final = 0.5

_THREAD_NAME: Final = "flipper-circuit-breaker"

# By the id of the store. An entry is removed when the breaker closes, or when the store
# is garbage-collected.
_open: dict[int, CircuitBreaker] = {}
_MARK: Final = "_flipper_open_circuit"  # attribute of errors: a key of `_open`


def current_reader(store: Any) -> Any:
    """Return the open circuit breaker of a store, or the store itself."""
    return _open.get(id(store), store)


def open_circuit(
    store: Any, feature_name: str, error: Exception, outage: OutageLog
) -> bool:
    """Open the circuit breaker of a store if an error means that its server is down.

    All clients and wrappers of a store share one circuit breaker. They find it when
    `patching.refresh_readers` is called.

    Args:
        store: a store with `outage_errors`.
        feature_name: the flag that was read.
        error: the error that `store.get` raised.
        outage: the log of the outage. Only that of the first caller is used.

    Returns:
        Whether the server is down.
    """
    if not isinstance(error, store.outage_errors):
        return False
    breaker = _open.get(id(store))
    if breaker is None:
        breaker = CircuitBreaker(store, feature_name, error, outage)
        # Race: several threads may fail at the same moment; all use the same breaker.
        breaker = _open.setdefault(id(store), breaker)
    breaker.record_failure(error)
    return True


def comes_from_open_circuit(error: Exception) -> bool:
    """Return whether an error comes from a circuit breaker that is open now.

    It does if it has opened the breaker, or if the breaker raised it. Then nothing is
    left to do about the outage. The breaker must still be open, because a store may
    raise the same error object again later.
    """
    return vars(error).get(_MARK) in _open


class CircuitBreaker:
    """Replaces a store as the reader while its server is down. Thread- and fork-safe.

    It holds the store by a weak reference. Its background thread ends when the store is
    gone.

    Where background threads cannot run, a question tries the store instead, at most one
    in half a second. After a try that took longer, the pause is as long as the try.

    Args:
        store: the store.
        feature_name: the flag to try to read, one for which the store needs its server.
        error: the error which means that the server is down.
        outage: the log of the outage.
    """

    def __init__(
        self, store: Any, feature_name: str, error: Exception, outage: OutageLog
    ) -> None:
        self._key = id(store)
        # Not by a function of this module, whose globals are gone when Python exits.
        self._store = ref(store, partial(_open.pop, self._key))
        self._feature_name = feature_name
        self._error = self._copied(error)
        self._outage = outage
        self._is_open = True
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Forget the thread: a fork copies none. The next question starts one."""
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._try_at = monotonic()

    def record_failure(self, error: Exception) -> None:
        """Record an error that means that the server is down, and start the thread."""
        if self._thread is None and self._starting.acquire(blocking=False):
            try:
                if self._thread is None:
                    self._start()
            finally:
                self._starting.release()
        refresh_readers()
        # Race: not before `refresh_readers`, because the mark means that all clients
        # use this breaker. Before the log, because that takes long.
        vars(error)[_MARK] = self._key
        self._outage.failed(error, feature_name=self._feature_name)

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Raise the last error of the store again, without a request to the server.

        While it is open, the circuit breaker is what clients read instead of the store.

        Raises:
            Exception: a copy of that error. Each question gets its own, because an
                error keeps the frames alive that it was raised through.
        """
        detect_fork()
        if not self._is_open or (self._thread is None and self._try_in_question()):
            # Race: a client chose this breaker as its reader just before it closed.
            refresh_readers()
            return self._store().get(feature_name)  # type: ignore[no-any-return, union-attr]  # the caller holds the store
        raise self._next_error()

    get_in_memory_bypasses = get

    def get_in_memory(self, _: str) -> NoReturn:
        """Do as `get`, unless this question may have to try the store.

        Raises:
            NotInMemoryError: it may.
            Exception: a copy of the last error of the store.
        """
        detect_fork()
        if not self._is_open or self._thread is None:
            raise NotInMemoryError
        raise self._next_error()

    def _next_error(self) -> Exception:
        """Return the error of one question, and count the question."""
        error = self._error
        # Race: this may be logged before the failure that has opened the breaker.
        self._outage.failed(error, feature_name=self._feature_name)
        return self._copied(error)

    def _copied(self, error: Exception) -> Exception:
        """Return a copy of an error without its traceback.

        The frames of a traceback would keep the caller and the store alive.
        """
        kind: Any = type(error)
        try:
            copy: Exception = kind.__new__(kind, *error.args)
            copy.args = error.args
            vars(copy).update(vars(error))
        except Exception:  # noqa: BLE001  (a class that cannot be copied so)
            copy = error.with_traceback(None)
        vars(copy)[_MARK] = self._key
        return copy

    # -- half-open ---------------------------------------------------------------------

    def _try(self) -> bool:
        """Try to read the store, close if it answers, and return whether it did."""
        store: Any = self._store()
        if store is None:
            return True
        try:
            store.get(self._feature_name)
        except store.outage_errors as error:
            # A store may raise the same object each time, with ever more frames.
            error.with_traceback(None)
            self._error = self._copied(error)
            return False
        except Exception:  # noqa: BLE001, S110  (not an outage; questions get it)
            pass
        # Race: a later try may have closed it, and another breaker may be open now.
        if self._is_open:
            self._is_open = False
            _open.pop(self._key, None)
            self._outage.ended()
            refresh_readers()
        return True

    def _start(self) -> bool:
        """Start the background thread; return whether it runs."""
        self._try_at = monotonic() + _PAUSE_WITHOUT_THREAD
        self._thread = start_thread(_THREAD_NAME, self._run)
        return self._thread is not None

    def _run(self) -> None:
        """Try until the store answers or is gone."""
        waiting = threading.Event()  # tests tend to replace `time.sleep`
        timeout = _TRY_TIMEOUT
        for pause in _pauses():
            waiting.wait(pause)
            # Also errors that are not an `Exception`, such as a timeout of gevent: the
            # thread has to go on.
            with suppress(BaseException):
                try:
                    if call_with_timeout(timeout, self._try, name=_THREAD_NAME):
                        return
                except StoreTimeoutError:
                    timeout = min(2 * timeout, _LONGEST_TRY_TIMEOUT)

    def _try_in_question(self) -> bool:
        """Try to read the store if no thread can and it is time; return the success."""
        if monotonic() < self._try_at or not self._starting.acquire(blocking=False):
            return False
        try:
            if self._thread is not None or self._start():
                return False
            began = monotonic()
            try:
                return self._try()
            finally:
                now = monotonic()
                self._try_at = now + max(_PAUSE_WITHOUT_THREAD, now - began)
        finally:
            self._starting.release()


class RecoveryReporter:
    """Reads a store that fails, and reports when it answers again.

    It is used instead of a circuit breaker for errors that are not in the store's
    `outage_errors`. Drop-in: such an error may concern one flag only, or be over at the
    next question. So each question goes to the store.

    Args:
        store: the store.
        answers_again: a reference to the function to call when the store has answered.
    """

    def __init__(
        self, store: Any, answers_again: WeakMethod[Callable[[], None]]
    ) -> None:
        self._store = store
        self._answers_again = answers_again

    def get(self, feature_name: str) -> Any:
        """Read a flag from the store; call `answers_again` if that does not raise."""
        item = self._store.get(feature_name)
        report = self._answers_again()
        if report is not None:
            report()
        return item


def _pauses() -> Iterator[float]:
    """Yield the pauses between two tries, in seconds, without end."""
    longest = _FIRST_PAUSE
    while True:
        yield uniform(longest / 2, longest)
        longest = min(longest * _GROWTH, _LONGEST_PAUSE)
