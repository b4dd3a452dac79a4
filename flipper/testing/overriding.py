# SPDX-License-Identifier: Apache-2.0
"""Overrides: answers of a client that are fixed for the time of a test."""

from __future__ import annotations

import inspect
from collections.abc import MutableMapping
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..exceptions import InvalidArgumentError
from ..overrides import OverriddenFlag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from ..async_client import AsyncFeatureFlagClient
    from ..client import FeatureFlagClient

F = TypeVar("F", bound="Callable[..., Any]")

_CLASS: Final = (
    "the class",
    "decorate its methods, or mark it by @pytest.mark.flipper(NAME=True)",
)
_ASYNC_GENERATOR: Final = (
    "the async generator function",
    "write `with override_flags(...):` in it",
)


class FlagOverrides(MutableMapping[str, Any]):
    """The flags that a test overrides, as a dict from feature names to values.

    A change takes effect at once, in all threads. `del` ends the override of a flag.
    """

    def __init__(self) -> None:
        self._flags: dict[str, OverriddenFlag] = {}

    def __getitem__(self, feature_name: str) -> Any:
        return self._flags[feature_name].value

    def __setitem__(self, feature_name: str, value: Any) -> None:
        self._flags[feature_name] = OverriddenFlag(feature_name, value)

    def __delitem__(self, feature_name: str) -> None:
        del self._flags[feature_name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._flags)

    def __len__(self) -> int:
        return len(self._flags)

    def __repr__(self) -> str:
        """Show the names and values."""
        return f"<{type(self).__name__} {dict(self)!r}>"


class override_flags:  # noqa: N801  (named as the functions that it is used like)
    """Answer some flags of a client by fixed values, in a `with` block or a function.

    The override concerns the client, so all threads and tasks see it. `is_enabled` and
    `explain` answer by it, for any arguments. The flags need not exist. Nothing is
    written and no event is emitted; `exists`, `get_meta` and `list` still tell what the
    store has. All other flags are answered as before.

    As a context manager it returns the `FlagOverrides`, which the block may change. As
    a decorator it accepts functions, coroutine functions and generator functions.
    Overrides may be nested: the one that began last takes precedence. Each ends for
    itself, also after an error.

    Args:
        client: the `FeatureFlagClient` or `AsyncFeatureFlagClient` of the application.
        **flags: `True` or `False` for each flag, or the value of its variant; then the
            flag counts as on. Names that are no Python names can be passed by `**`.

    Raises:
        InvalidArgumentError: the client is no client, no flag can have this name, or no
            variant this value.
        TypeError: a class or an async generator function is decorated.
    """

    def __init__(
        self, client: FeatureFlagClient | AsyncFeatureFlagClient, /, **flags: Any
    ) -> None:
        self._client = client
        self._values = flags
        self._active: list[FlagOverrides] = []
        self._make()  # so that a wrong value is refused before a test begins

    def __enter__(self) -> FlagOverrides:
        """Begin the override."""
        overrides = self._make()
        begin = getattr(self._client, "_begin_override", None)
        if begin is None:
            kind = type(self._client).__name__
            raise InvalidArgumentError(
                f"override_flags() needs a FeatureFlagClient, and {kind} is none",
                value=self._client,
            )
        begin(overrides._flags)  # noqa: SLF001  (of this module)
        self._active.append(overrides)
        return overrides

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the override."""
        overrides = self._active.pop()
        self._client._end_override(overrides._flags)  # noqa: SLF001  (only for tests)

    def __call__(self, function: F) -> F:
        """Return the function with the override during each of its calls."""
        decorated: Any = function
        if isinstance(decorated, (classmethod, staticmethod)):
            return type(decorated)(self(decorated.__func__))  # type: ignore[return-value]
        if isinstance(decorated, type) or inspect.isasyncgenfunction(decorated):
            is_class = isinstance(decorated, type)
            what, remedy = _CLASS if is_class else _ASYNC_GENERATOR
            message = f"override_flags() cannot decorate {what} {decorated.__name__}; "
            raise TypeError(message + remedy)
        return wraps(decorated)(self._wrapper_of(decorated))  # type: ignore[return-value]

    def _make(self) -> FlagOverrides:
        overrides = FlagOverrides()
        overrides.update(self._values)
        return overrides

    def _again(self) -> override_flags:
        """Return an override of its own for one call, since calls may overlap."""
        return type(self)(self._client, **self._values)

    def _wrapper_of(self, function: Any) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(function):

            async def call_coroutine(*args: Any, **kwargs: Any) -> Any:
                with self._again():
                    return await function(*args, **kwargs)

            return call_coroutine
        if inspect.isgeneratorfunction(function):

            def call_generator(*args: Any, **kwargs: Any) -> Any:
                with self._again():
                    return (yield from function(*args, **kwargs))

            return call_generator

        def call(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                return function(*args, **kwargs)

        return call
