# SPDX-License-Identifier: Apache-2.0
"""Spares a store whose server is away, and notices in the background that it is back.

A circuit breaker is *closed* as long as questions go to the store, which costs nothing:
it does not exist then. It *opens* when a question fails because the server is away; all
others fail at once from then on, without asking. A background thread tries one read
now and then (*half-open*), and closes it as soon as the store answers.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from ..exceptions import StoreTimeoutError
from .deadline import within
from .util.background import start_thread
from .util.clock import monotonic
from .util.fork import detect_fork, renew_after_fork
from .util.jitter import uniform
from .util.patching import look_again

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from weakref import WeakMethod

    from .storage import FeatureFlagStoreItem
    from .util.log_throttle import OutageLog

# Seconds between two tries, each shortened at random by up to a half, so that not all
# processes come at once when a server is back.
_FIRST_PAUSE: Final = 0.1
_GROWTH: Final = 1.5
_LONGEST_PAUSE: Final = 1.0
# Seconds until a try that has no answer is left to itself and the next one begins: a
# client without a time limit waits for ever where a connection was lost in silence.
# Doubled each time, so that few of them wait at once.
_PATIENCE: Final = 5.0
_LONGEST_PATIENCE: Final = 300.0
# Seconds, where no thread runs and a question has to try.
_QUESTIONS_APART: Final = 0.5

_THREAD: Final = "flipper-circuit-breaker"

# By the id of the store. It is removed when it closes, or when the store goes.
_open: dict[int, CircuitBreaker] = {}
_MARK: Final = "_flipper_open_circuit"  # attribute of errors: the key of `_open`


def reader_of(store: Any) -> Any:
    """Return what to ask instead of a store: its open circuit breaker, or itself."""
    return _open.get(id(store), store)


def open_circuit(
    store: Any, feature_name: str, error: Exception, outage: OutageLog
) -> bool:
    """Open the circuit breaker of a store if an error means that its server is away.

    There is one for each store, for all clients and wrappers that ask it. They are told
    by `patching.look_again`.

    Args:
        store: one that has `away_errors`.
        feature_name: the flag that was asked for.
        error: what `store.get` has raised.
        outage: where this is logged; of whoever opens it first.

    Returns:
        Whether the server is away.
    """
    if not isinstance(error, store.away_errors):
        return False
    breaker = _open.get(id(store))
    if breaker is None:
        breaker = CircuitBreaker(store, feature_name, error, outage)
        # Race: of several that fail at the same moment, one begins.
        breaker = _open.setdefault(id(store), breaker)
    breaker.opened_by(error)
    return True


def has_opened_circuit(error: Exception) -> bool:
    """Tell whether an error has opened a circuit breaker, or was raised by an open one.

    Stores may raise one error object again and again, so it has to be open still.
    Whoever hears of such an error need not do anything about the outage.
    """
    return vars(error).get(_MARK) in _open


class CircuitBreaker:
    """Stands in for a store while its server is away. Safe for threads and forks.

    It does not keep the store alive: without the store, its thread ends.

    Where background threads do not run, one question in half a second tries the store;
    in longer, if that took longer to fail.

    Args:
        store: the store.
        feature_name: the flag to try with: one for which the server was asked.
        error: why it is thought to be away.
        outage: where it is logged.
    """

    def __init__(
        self, store: Any, feature_name: str, error: Exception, outage: OutageLog
    ) -> None:
        self._key = id(store)
        self._store = ref(store, partial(_forget, self._key))
        self._feature_name = feature_name
        self._error = self._copied(error)
        self._outage = outage
        self._is_open = True
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Let the next question start a thread: the parent's is not in this process."""
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._try_at = monotonic()

    def opened_by(self, error: Exception) -> None:
        """Hear of an error that means that the server is away."""
        if self._thread is None and self._starting.acquire(blocking=False):
            try:
                if self._thread is None:
                    self._start()
            finally:
                self._starting.release()
        look_again()
        # Race: last, since whoever sees the mark takes it that all others are told; and
        # logging takes long.
        vars(error)[_MARK] = self._key
        self._outage.failed(error, feature_name=self._feature_name)

    def get(self, feature_name: str) -> FeatureFlagStoreItem | None:
        """Raise the store's last error, without asking it.

        Raises:
            Exception: one like the store's; each question gets an error of its own,
                since errors hold on to the frames that they come through.
        """
        detect_fork()
        if not self._is_open or (self._thread is None and self._try_in_question()):
            # Race: somebody has taken this for the reader when it was closed already.
            look_again()
            return self._store().get(feature_name)  # type: ignore[no-any-return, union-attr]  # the caller holds the store
        error = self._error
        self._outage.failed(error)
        raise self._copied(error)

    def _copied(self, error: Exception) -> Exception:
        """Make an error like this one, without the frames that it holds on to.

        They hold whoever asked, and the store.
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

    # -- trying ------------------------------------------------------------------------

    def _try(self) -> bool:
        """Ask the store, close if it answers, and tell whether it did."""
        store: Any = self._store()
        if store is None:
            return True
        try:
            store.get(self._feature_name)
        except store.away_errors as error:
            # A store may raise one object each time, which would hold all the frames.
            error.with_traceback(None)
            self._error = self._copied(error)
            return False
        except Exception:  # noqa: BLE001, S110  (an answer after all; who asks hears it)
            pass
        # Race: it may be closed by a later try, and another breaker be open by now.
        if self._is_open:
            self._is_open = False
            _forget(self._key)
            self._outage.ended()
            look_again()
        return True

    def _start(self) -> bool:
        """Start the background thread; tell whether it runs."""
        self._try_at = monotonic() + _QUESTIONS_APART
        self._thread = start_thread(_THREAD, self._run)
        return self._thread is not None

    def _run(self) -> None:
        """Try until the store answers, or is gone."""
        waiting = threading.Event()  # tests tend to replace `time.sleep`
        patience = _PATIENCE
        for pause in _pauses():
            waiting.wait(pause)
            # Whatever it is (a pytest.fail, a time limit of gevent's), it is no answer.
            with suppress(BaseException):
                try:
                    if within(patience, self._try, name=_THREAD):
                        return
                except StoreTimeoutError:
                    patience = min(2 * patience, _LONGEST_PATIENCE)

    def _try_in_question(self) -> bool:
        """Try here if it is time and no thread can; tell whether the store answers."""
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
                self._try_at = now + max(_QUESTIONS_APART, now - began)
        finally:
            self._starting.release()


class AskedEachTime:
    """Stands in for a store that has failed, but may not be spared.

    Drop-in: nothing is known of the errors of a store of one's own. One may be about a
    single flag, and be over at the next question; so each question asks the store, and
    the first answer is reported.

    Args:
        store: the store.
        answers_again: called when it has answered.
    """

    def __init__(
        self, store: Any, answers_again: WeakMethod[Callable[[], None]]
    ) -> None:
        self._store = store
        self._answers_again = answers_again

    def get(self, feature_name: str) -> Any:
        """Ask the store."""
        item = self._store.get(feature_name)
        report = self._answers_again()
        if report is not None:
            report()
        return item


def _pauses() -> Iterator[float]:
    """Give the pauses between two tries, in seconds."""
    longest = _FIRST_PAUSE
    while True:
        yield uniform(longest / 2, longest)
        longest = min(longest * _GROWTH, _LONGEST_PAUSE)


def _forget(key: int, _: object = None) -> None:
    _open.pop(key, None)
