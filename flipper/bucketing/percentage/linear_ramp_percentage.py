# SPDX-License-Identifier: Apache-2.0
"""The percentage that changes evenly from one value to another."""

from __future__ import annotations

# Drop-in: existing tests replace this name by a mock with `now` and `fromtimestamp`. So
# this module reads no other clock, and does not use the name as a type.
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .base import AbstractPercentage

if TYPE_CHECKING:
    from collections.abc import Mapping

_MICROSECONDS = 6  # digits after the point


class LinearRampPercentage(AbstractPercentage):
    """A share that changes evenly for some time, and is constant before and after.

    Args:
        initial_value: the fraction (0 to 1) before the ramp begins.
        final_value: the fraction after its end.
        ramp_duration: how long the ramp takes, in seconds. With 0 or less, it ends at
            once.
        initial_time: when the ramp begins, in seconds since the epoch; `None` is now.
            Stores keep whole seconds.

    Raises:
        ValueError: `initial_time` is not a date, for example if it is in milliseconds.
    """

    def __init__(
        self,
        initial_value: Any = 0.0,
        final_value: Any = 1.0,
        ramp_duration: Any = 3600,
        initial_time: float | None = None,
    ) -> None:
        self._initial_value = initial_value
        self._final_value = final_value
        self._ramp_duration = ramp_duration
        if initial_time is None:
            self._initial_time = _timestamp()
        else:
            datetime.fromtimestamp(initial_time)  # noqa: DTZ006  (only to raise)
            self._initial_time = initial_time

    @property
    def initial_value(self) -> Any:
        """The fraction before the ramp begins."""
        return self._initial_value

    @property
    def final_value(self) -> Any:
        """The fraction after the end of the ramp."""
        return self._final_value

    @property
    def ramp_duration(self) -> Any:
        """How long the ramp takes, in seconds."""
        return self._ramp_duration

    @property
    def initial_time(self) -> float:
        """When the ramp begins, in seconds since the epoch."""
        return self._initial_time

    @property
    def dt(self) -> float:
        """The seconds since the ramp began; negative before that."""
        # Rounded to the precision of the clock: further digits of the difference of two
        # such large floats are noise.
        return round(float(_timestamp() - self._initial_time), _MICROSECONDS)

    @property
    def slope(self) -> Any:
        """The change per second.

        Raises:
            ZeroDivisionError: the duration is 0.
        """
        return (self._final_value - self._initial_value) / self._ramp_duration

    @property
    def value(self) -> Any:
        """The current fraction."""
        initial, final = self._initial_value, self._final_value
        if self._ramp_duration <= 0:
            return final
        value = self.slope * self.dt + initial
        return max(min(value, max(initial, final)), min(initial, final))

    def parts(self) -> dict[str, Any]:
        """Return the two fractions, by their names."""
        return {"initial_value": self._initial_value, "final_value": self._final_value}

    @classmethod
    def get_type(cls) -> str:
        """Return the name by which `PercentageFactory` finds this class."""
        return cls.__name__

    def to_dict(self) -> dict[str, Any]:
        """Return the ramp as plain data, with its beginning in whole seconds."""
        return {
            **super().to_dict(),
            "initial_value": self._initial_value,
            "final_value": self._final_value,
            "ramp_duration": self._ramp_duration,
            "initial_time": int(self._initial_time),
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> LinearRampPercentage:
        """Make a ramp from the result of `to_dict`; missing fields get defaults."""
        names = ("initial_value", "final_value", "ramp_duration", "initial_time")
        return cls(**{name: fields[name] for name in names if name in fields})


def _timestamp() -> float:
    return datetime.now().timestamp()  # noqa: DTZ005  (what existing tests replace)
