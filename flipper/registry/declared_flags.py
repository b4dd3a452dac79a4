# SPDX-License-Identifier: Apache-2.0
"""`Flag` and `VariantFlag`: the attributes of a `FlagRegistry`."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from ..arguments import check_feature_name, shortened
from ..exceptions import FlipperError, InvalidArgumentError
from ..runtime.containers import copy_containers
from ..runtime.log_throttle import LogThrottle

if TYPE_CHECKING:
    from ..explanation import Evaluation

T = TypeVar("T", bound="bool | int | float | str | list[Any] | dict[str, Any]")

_TYPES: Final = (bool, int, float, str, list, dict)
_log: Final = LogThrottle("flipper.registry")


class DeclaredFlag:
    """A flag that is declared in a `FlagRegistry`: a `Flag` or a `VariantFlag`.

    Threads and event loops may share it.

    Attributes:
        feature_name: the name of the flag in the store.
        default: the answer while the flag is missing or cannot be evaluated.
    """

    state_if_missing = False
    """Whether it counts as on while it is missing."""
    _registry: Any = None
    _attribute = ""

    def __init__(self, feature_name: str, default: Any) -> None:
        check_feature_name(feature_name)
        self.feature_name = feature_name
        self.default = default

    def explain(self, /, **conditions: Any) -> Evaluation:
        """Return whether the flag is on for these arguments, with the reason.

        Raises:
            FlipperError: the registry has no client, or one that has to be awaited.
        """
        answer = self._client().explain(
            self.feature_name, self.state_if_missing, **conditions
        )
        return self._not_awaitable(answer)  # type: ignore[no-any-return]

    async def aexplain(self, /, **conditions: Any) -> Evaluation:
        """Do as `explain`, with a client of either kind."""
        answer: Any = self._client().explain(
            self.feature_name, self.state_if_missing, **conditions
        )
        return await answer if inspect.isawaitable(answer) else answer  # type: ignore[no-any-return]

    def declare(self, registry: Any, attribute: str) -> None:
        """Become an attribute of a registry, which calls this when it is defined.

        Raises:
            InvalidArgumentError: it is one already.
        """
        if self._registry is not None:
            raise InvalidArgumentError(
                f"{registry.__name__}.{attribute} is the object {self!r}; make a new "
                f"one for each attribute",
                feature_name=self.feature_name,
            )
        self._registry, self._attribute = registry, attribute

    def __repr__(self) -> str:
        """Show where it is declared, and the name in the store."""
        registry = self._registry
        place = "" if registry is None else f" {registry.__name__}.{self._attribute}"
        return f"<{type(self).__name__}{place} {self.feature_name!r}>"

    def _client(self) -> Any:
        if self._registry is None:
            raise FlipperError(
                f"{self!r} is not declared in a registry; make it an attribute of a "
                f"class that derives from FlagRegistry",
                feature_name=self.feature_name,
            )
        return self._registry.client()

    def _not_awaitable(self, answer: Any) -> Any:
        """Return an answer; an object to await is true, but the flag may be off."""
        if not inspect.isawaitable(answer):
            return answer
        if inspect.iscoroutine(answer):
            answer.close()
        raise FlipperError(
            f"{self!r} has a client that must be awaited; use the methods whose names "
            f"begin with `a`, as in `await flag.ais_enabled()` or `flag.avariant()`",
            feature_name=self.feature_name,
        )


class Flag(DeclaredFlag):
    """A flag that is on or off.

    Args:
        feature_name: the name of the flag in the store.
        default: the answer while the flag is missing or cannot be evaluated.

    Raises:
        InvalidArgumentError: no flag can have this name, or the default is neither
            `True` nor `False`.
    """

    default: bool

    def __init__(self, feature_name: str, *, default: bool = False) -> None:
        super().__init__(feature_name, default)
        if type(default) is not bool:
            raise InvalidArgumentError(
                f"The default {shortened(default)} of feature {feature_name!r} is "
                f"neither True nor False; for other values use a VariantFlag",
                feature_name=feature_name,
                value=default,
            )
        self.state_if_missing = default

    def is_enabled(self, /, **conditions: Any) -> bool:
        """Return whether the flag is on for these arguments.

        Raises:
            FlipperError: the registry has no client, or one that has to be awaited.
        """
        answer: Any = self._client().is_enabled(
            self.feature_name, self.default, **conditions
        )
        # A store of the application may have flags with other answers.
        return answer if type(answer) is bool else bool(self._not_awaitable(answer))

    async def ais_enabled(self, /, **conditions: Any) -> bool:
        """Do as `is_enabled`, with a client of either kind."""
        answer: Any = self._client().is_enabled(
            self.feature_name, self.default, **conditions
        )
        if type(answer) is not bool and inspect.isawaitable(answer):
            answer = await answer
        return bool(answer)


class VariantFlag(DeclaredFlag, Generic[T]):
    """A flag that serves values of the type of its default.

    A value of another type is not returned: the default is, and a warning is logged.
    Of lists and dicts, what is in them is not checked.

    Args:
        feature_name: the name of the flag in the store.
        default: the answer while the flag is off without a variant, missing or cannot
            be evaluated, and in place of a value of another type. A number with a point
            also accepts whole numbers.

    Raises:
        InvalidArgumentError: no flag can have this name, or no variant this default.
    """

    default: T

    def __init__(self, feature_name: str, *, default: T) -> None:
        super().__init__(feature_name, copy_containers(default))
        if type(default) not in _TYPES:
            raise InvalidArgumentError(
                f"The default {shortened(default)} of feature {feature_name!r} says "
                f"the type of its variants; use text, a number, True, False, a list or "
                f"a dict",
                feature_name=feature_name,
                value=default,
            )

    def variant(self, /, **conditions: Any) -> T:
        """Return the value of the variant that the flag serves for these arguments.

        Raises:
            FlipperError: the registry has no client, or one that has to be awaited.
        """
        value = self._client().variant(self.feature_name, self.default, **conditions)
        return self._checked(self._not_awaitable(value))

    async def avariant(self, /, **conditions: Any) -> T:
        """Do as `variant`, with a client of either kind."""
        value: Any = self._client().variant(
            self.feature_name, self.default, **conditions
        )
        return self._checked(await value if inspect.isawaitable(value) else value)

    def _checked(self, value: Any) -> T:
        kind: type = type(self.default)
        if value is self.default:
            return copy_containers(self.default)
        found: type = type(value)
        if found is kind or (kind is float and found is int):
            return value  # type: ignore[no-any-return]  # it has the type
        _log.warning(
            (self.feature_name, kind, found),
            "Feature %r serves a value of the type %s, and %r expects %s; the default "
            "answers",
            *(self.feature_name, found.__name__, self, kind.__name__),
            feature_name=self.feature_name,
        )
        return copy_containers(self.default)
