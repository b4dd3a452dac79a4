# SPDX-License-Identifier: Apache-2.0
"""The factories find the class of a bucketer or a percentage by its type."""

from __future__ import annotations

from typing import Any

import pytest

from flipper.bucketing import (
    BucketerFactory,
    ConsistentHashPercentageBucketer,
    LinearRampPercentage,
    NoOpBucketer,
    Percentage,
    PercentageBucketer,
    PercentageFactory,
)

BUCKETERS = [ConsistentHashPercentageBucketer, NoOpBucketer, PercentageBucketer]
PERCENTAGES = [LinearRampPercentage, Percentage]


@pytest.mark.parametrize(
    ("factory", "classes"),
    [(BucketerFactory, BUCKETERS), (PercentageFactory, PERCENTAGES)],
)
def test_the_type_is_the_name_of_the_class(factory: Any, classes: Any) -> None:
    """Plain data of each class makes an object of that class."""
    for kind in classes:
        assert kind.get_type() == kind.__name__
        made = factory.create(kind().to_dict())
        assert type(made) is kind
        assert made.to_dict() == kind().to_dict()


def test_the_mark_of_a_flag_with_rules_survives_as_plain_data() -> None:
    """It is a field of the bucketer; see `flipper.rules.rules_bucketer`."""
    for fields in ({"type": "NoOpBucketer"}, {"type": "NoOpBucketer", "rules": 1}):
        made = BucketerFactory.create(fields)
        assert isinstance(made, NoOpBucketer)
        assert made.to_dict() == fields
        assert made.marks_rules is ("rules" in fields)
        assert made.check(a=1) is True


@pytest.mark.parametrize("fields", [{}, {"type": "Other"}, {"type": ["list"]}])
def test_an_unknown_type_is_an_error_that_shows_it(fields: dict[str, Any]) -> None:
    """Also if it is missing, or cannot be a key."""
    kind = fields.get("type")
    with pytest.raises(BucketerFactory.InvalidBucketerTypeError) as bucketer:
        BucketerFactory.create(fields)
    assert str(bucketer.value) == f"Bucketer type not supported: {kind}"
    with pytest.raises(PercentageFactory.InvalidPercentageTypeError) as percentage:
        PercentageFactory.create(fields)
    assert str(percentage.value) == f"Percentage type not supported: {kind}"


def test_a_registered_bucketer_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """`register` is a decorator, which returns the class."""
    monkeypatch.setattr(BucketerFactory, "BUCKETER_MAP", {})

    @BucketerFactory.register
    class Mine(NoOpBucketer):
        pass

    assert BucketerFactory.BUCKETER_MAP["Mine"] is Mine
    assert type(BucketerFactory.create({"type": "Mine"})) is Mine


def test_a_registered_percentage_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """`register` is a decorator, which returns the class."""
    monkeypatch.setattr(PercentageFactory, "PERCENTAGE_MAP", {})

    @PercentageFactory.register
    class Mine(Percentage):
        pass

    assert PercentageFactory.PERCENTAGE_MAP["Mine"] is Mine
    made = PercentageFactory.create({"type": "Mine", "value": 0.5})
    assert (type(made), made.value) == (Mine, 0.5)


def test_all_flags_without_a_bucketer_share_one() -> None:
    """A `NoOpBucketer` that is read takes no memory; one of a subclass is its own."""

    class Mine(NoOpBucketer):
        pass

    assert NoOpBucketer.from_dict({}) is NoOpBucketer.from_dict({})
    assert type(Mine.from_dict({})) is Mine
    assert NoOpBucketer().check(a=1) is True
    assert NoOpBucketer().to_dict() == {"type": "NoOpBucketer"}
