# SPDX-License-Identifier: Apache-2.0
"""Flags as attributes of a class, so that a type checker finds a misspelt one.

    class Flags(FlagRegistry):
        new_checkout = Flag("NEW_CHECKOUT", default=False)
        colour = VariantFlag("COLOUR", default="blue")

    Flags.bind(client)
    Flags.new_checkout.is_enabled(user_id=1)
    Flags.colour.variant(user_id=1)

`declared_flags` has the attributes, `binding` the client that answers, and `deployment`
what a deployment checks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ..arguments import shortened
from ..contrib.interface import AbstractFeatureFlagStore
from ..exceptions import FlipperError, InvalidArgumentError
from .binding import Binding
from .declared_flags import DeclaredFlag as DeclaredFlag
from .declared_flags import Flag as Flag
from .declared_flags import VariantFlag as VariantFlag
from .deployment import create_flag, flag_exists, sync_client_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..async_client import AsyncFeatureFlagClient
    from ..client import FeatureFlagClient

    AnyClient = FeatureFlagClient | AsyncFeatureFlagClient


class FlagRegistry:
    """The base of classes that declare flags. Such a class is used without objects.

    Raises:
        InvalidArgumentError: a class declares a flag twice, derives from a class with
            flags, or gives a flag the name of a method. All that when it is defined.
    """

    _binding: ClassVar[Binding | None] = None
    _flags: ClassVar[dict[str, DeclaredFlag]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Find the flags of a new class."""
        super().__init_subclass__(**kwargs)
        if any(vars(base).get("_flags") for base in cls.__mro__[1:]):
            raise InvalidArgumentError(
                f"{cls.__name__} derives from a registry with flags; declare each flag "
                f"in one class, derived from FlagRegistry"
            )
        found: dict[str, DeclaredFlag] = {}
        for attribute, flag in vars(cls).items():
            if isinstance(flag, DeclaredFlag):
                place = f"{cls.__name__}.{attribute}"
                _refuse(attribute, flag, place, found.get(flag.feature_name))
                flag.declare(cls, attribute)
                found[flag.feature_name] = flag
        cls._flags = found

    def __new__(cls) -> FlagRegistry:  # noqa: PYI034  (there are no objects)
        """Refuse to make an object.

        Raises:
            TypeError: always.
        """
        message = (
            f"{cls.__name__} is used without objects: {cls.__name__}.bind(client), "
            f"then {cls.__name__}.my_flag.is_enabled()"
        )
        raise TypeError(message)

    @classmethod
    def bind(
        cls,
        client: AnyClient | None = None,
        *,
        make: Callable[[], AnyClient] | None = None,
    ) -> None:
        """Let a client answer for these flags from now on, instead of an earlier one.

        `FlagRegistry.bind` does so for all classes that have not been bound themselves.

        Args:
            client: the client.
            make: makes the client when it is first needed; for programs that cannot
                make it yet when they start. One thread calls it.

        Raises:
            InvalidArgumentError: not exactly one of them is given, or the client is
                none.
        """
        if (client is None) == (make is None):
            raise InvalidArgumentError(
                f"{cls.__name__}.bind() needs a client, or a function that makes one: "
                f"bind(client) or bind(make=function)"
            )
        if isinstance(client, (type, AbstractFeatureFlagStore)):
            raise InvalidArgumentError(
                f"{cls.__name__}.bind() needs a client, not {shortened(client)}; use "
                f"FeatureFlagClient(store)",
                value=client,
            )
        cls._binding = Binding(client, make)

    @classmethod
    def client(cls) -> AnyClient:
        """Return the client that answers for these flags.

        Raises:
            FlipperError: there is none yet.
            Exception: whatever the function that makes the client raises.
        """
        if cls._binding is None:
            raise FlipperError(
                f"{cls.__name__} has no client yet; call {cls.__name__}.bind(client) "
                f"when the program starts, or in the set-up of the test"
            )
        client: AnyClient = cls._binding.client()
        return client

    @classmethod
    def declared(cls) -> tuple[DeclaredFlag, ...]:
        """Return the flags of this class, in the order in which they are declared."""
        return tuple(cls._flags.values())

    @classmethod
    def missing(cls) -> list[str]:
        """Return the names of those flags that the store does not have.

        It asks the store itself, past every cache, and waits for it, also with an async
        client: it is meant for a check before or after a deployment.

        Raises:
            InvalidFlagDataError: the stored document of one is not a flag.
            Exception: any error of the store.
        """
        client = sync_client_of(cls.client())
        return [name for name in cls._flags if not flag_exists(client, name)]

    @classmethod
    def create_missing(cls) -> list[str]:
        """Create the missing flags, so that each answers as before; return their names.

        A `Flag` gets the state of its default, a `VariantFlag` is off. Flags that exist
        stay as they are, also if somebody else creates them at the same time.

        Raises:
            Exception: as for `missing`.
        """
        client = sync_client_of(cls.client())
        missing = cls.missing()
        return [name for name in missing if create_flag(client, cls._flags[name])]


def _refuse(
    attribute: str, flag: DeclaredFlag, place: str, other: DeclaredFlag | None
) -> None:
    """Refuse a flag that is declared twice, or hides a method."""
    problem = None
    if other is not None:
        problem = f"is declared twice, by {other!r} too; keep one of them"
    elif hasattr(FlagRegistry, attribute):
        problem = "has the name of a method of registries; use another name"
    if problem:
        raise InvalidArgumentError(
            f"{place} for feature {flag.feature_name!r} {problem}",
            feature_name=flag.feature_name,
        )
