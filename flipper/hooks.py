# SPDX-License-Identifier: Apache-2.0
"""`add_hook`: functions that are called after each question.

This module is loaded when a client first uses it.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NoReturn

from .conditions.operators.interface import OtherFlagsNeededError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .explanation import Evaluation
    from .runtime.log_throttle import LogThrottle

    Hook = Callable[[Evaluation, dict[str, Any]], object]

# Whether a hook is being called. A hook may ask questions, which call no hooks.
_is_calling: Final[ContextVar[bool]] = ContextVar("flipper_hooks", default=False)


class Hooks:
    """The hooks of a client, and what `is_enabled` reads instead of a flag.

    It never changes, and threads may share it.

    Args:
        hooks: the functions, in the order in which they are called.
        log: logs their errors.
    """

    def __init__(self, hooks: tuple[Hook, ...], log: LogThrottle) -> None:
        self.hooks = hooks
        self._log = log

    def call(self, evaluation: Evaluation, arguments: Any) -> None:
        """Call the hooks; log their errors."""
        if _is_calling.get():
            return
        if type(arguments) is not dict:  # those of a request that could not be found
            arguments = {}
        token = _is_calling.set(True)
        try:
            for hook in self.hooks:
                try:
                    hook(evaluation, dict(arguments))
                except Exception as error:  # noqa: BLE001  (a question never raises)
                    self._log_error(hook, evaluation.feature_name, error)
        finally:
            _is_calling.reset(token)

    def _log_error(self, hook: Hook, feature_name: str, error: Exception) -> None:
        self._log.warning(
            ("hook", id(hook), type(error)),
            "The hook %r has raised an error for feature %r (%s); the answer is right",
            hook,
            feature_name,
            type(error).__name__,
            cause=error,
            feature_name=feature_name,
        )

    def get(self, _: object) -> Hooks:
        """Return an object that stands for any flag."""
        return self

    def is_enabled(self, /, **_: Any) -> NoReturn:
        """Let the client answer by `explain`, which calls the hooks.

        Raises:
            OtherFlagsNeededError: always.
        """
        raise OtherFlagsNeededError
