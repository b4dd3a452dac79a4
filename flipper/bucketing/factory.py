# SPDX-License-Identifier: Apache-2.0
"""Makes bucketers from plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from .consistent_hash_percentage_bucketer import ConsistentHashPercentageBucketer
from .noop_bucketer import NoOpBucketer
from .percentage_bucketer import PercentageBucketer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .base import AbstractBucketer

B = TypeVar("B", bound="type[AbstractBucketer]")


class BucketerFactory:
    """Finds the class of a bucketer by its type."""

    BUCKETER_MAP: dict[str, type[AbstractBucketer]] = {  # noqa: RUF012  (public, writable)
        bucketer.get_type(): bucketer
        for bucketer in (
            ConsistentHashPercentageBucketer,
            NoOpBucketer,
            PercentageBucketer,
        )
    }

    class InvalidBucketerTypeError(Exception):
        """No bucketer class has this type; `register` adds one."""

    @classmethod
    def register(cls, bucketer: B) -> B:
        """Register a bucketer class, so that stores can read it; a decorator, too."""
        cls.BUCKETER_MAP[bucketer.get_type()] = bucketer
        return bucketer

    @classmethod
    def create(cls, fields: Mapping[str, Any]) -> AbstractBucketer:
        """Make a bucketer from the result of its `to_dict`.

        Raises:
            BucketerFactory.InvalidBucketerTypeError: the type is missing or unknown.
        """
        kind = fields.get("type")
        try:
            bucketer = cls.BUCKETER_MAP[kind]  # type: ignore[index]  # None is no key
        except (KeyError, TypeError):
            message = f"Bucketer type not supported: {kind}"
            raise cls.InvalidBucketerTypeError(message) from None
        return bucketer.from_dict(fields)
