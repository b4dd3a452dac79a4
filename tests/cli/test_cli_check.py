# SPDX-License-Identifier: Apache-2.0
"""The command that asks whether a flag is on, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flipper import Condition
from flipper.bucketing import ConsistentHashPercentageBucketer, Percentage

if TYPE_CHECKING:
    from flipper import FeatureFlagClient


@pytest.fixture
def adults(client: FeatureFlagClient) -> FeatureFlagClient:
    """Give a flag for adults in two countries."""
    client.create("adults", is_enabled=True)
    condition = Condition(age__gte=18, country__in=["SE", "NO"])
    client.add_condition("adults", condition)
    return client


@pytest.mark.usefixtures("adults")
def test_the_exit_code_is_the_answer(flipper: Any) -> None:
    """A shell can ask `if flipper check ...`."""
    on = flipper("check", "adults", "age=18", "country=SE")
    assert on.code == 0
    assert on.out.startswith("Feature 'adults' is on: every check")
    off = flipper("check", "adults", "age=17", "country=SE")
    assert off.code == 1
    assert off.out.startswith("Feature 'adults' is off")
    data = flipper("check", "adults", "age=17", "--json").data
    assert (data["enabled"], data["feature_name"]) == (False, "adults")
    assert {"reason", "bucket", "percentage", "explanation"} < {*data}


@pytest.mark.parametrize(
    ("argument", "warning"),
    [
        (
            'age="18"',
            'age="18" is a text, but the check age__gte compares it with a nu',
        ),
        ("age=true", "age=true is a truth value, but"),
        (
            "country=1",
            "country=1 is a number, but the check country__in compares it wi",
        ),
        ("country=null", "country=null is null, but"),
    ],
)
@pytest.mark.usefixtures("adults")
def test_a_value_of_another_type_gets_a_warning(
    flipper: Any, argument: str, warning: str
) -> None:
    """The number 18 and the text 18 are different, which is easily overlooked."""
    result = flipper("check", "adults", argument)
    assert f"Warning: {warning}" in result.err
    assert result.out.startswith("Feature 'adults' is ")


@pytest.mark.usefixtures("adults")
def test_a_value_of_the_right_type_gets_no_warning(flipper: Any) -> None:
    """Nor does an argument that no check looks at."""
    for arguments in (["age=18", "country=SE"], ["age=1.5"], ["other=x"]):
        assert flipper("check", "adults", *arguments).err == ""


@pytest.mark.usefixtures("adults")
def test_an_answer_that_is_an_error_is_off(flipper: Any) -> None:
    """Also for an enabled flag: an application would get its default."""
    result = flipper("check", "adults", "age=x")
    assert result.code == 1
    assert "TypeError" in result.out
    assert "Traceback" not in result.err


def test_a_sample_prints_the_share_that_is_in(
    flipper: Any, client: FeatureFlagClient
) -> None:
    """By the same answers that an application gets."""
    client.create("some", is_enabled=True)
    client.set_bucketer(
        "some",
        ConsistentHashPercentageBucketer(
            key_whitelist=["user_id"], percentage=Percentage(0.25)
        ),
    )
    for sample, values in (
        ("user_id=1..400", range(1, 401)),
        ("user_id=u1..u400", [f"u{n}" for n in range(1, 401)]),
        ("user_id=user-1..user-400", [f"user-{n}" for n in range(1, 401)]),
        ('user_id="1..400"', [str(n) for n in range(1, 401)]),
        ("user_id=-5..5", range(-5, 6)),
    ):
        count = sum(client.is_enabled("some", user_id=value) for value in values)
        result = flipper("check", "some", "--sample", sample, "--json")
        assert result.code == 0
        assert result.data["sampled"] == len(values)
        assert result.data["enabled"] == count
    text = flipper("check", "some", "--sample", "user_id=1..1").out
    assert text in {"1 of 1 are in (100%).\n", "0 of 1 are in (0%).\n"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sample", "user_id"], "not a range"),
        (["--sample", "=1..2"], "not a range"),
        (["--sample", "a=1.."], "not a range"),
        (["--sample", "a=01..10"], "not a range"),
        (["--sample", "a=u1..v2"], "not a range"),
        (["--sample", "a=1.." + "9" * 30], "not a range"),
        (["--sample", "a=2..1"], "has 0 values"),
        (["--sample", "a=1..99999999"], "99,999,999 values"),
        (["a=1", "--sample", "a=1..2"], "given as a value, too"),
        (["--sample", "default=1..2"], "used by is_enabled"),
        (["default=1"], "cannot be called default"),
        (["a"], "write name=value"),
        (["a=1", "a=2"], "given twice"),
    ],
)
@pytest.mark.usefixtures("adults")
def test_arguments_that_cannot_be_asked_are_wrong_usage(
    flipper: Any, arguments: list[str], message: str
) -> None:
    """Exit code 1 would mean that the flag is off."""
    result = flipper("check", "adults", *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err


@pytest.mark.usefixtures("adults")
def test_a_sample_of_another_type_gets_one_warning(flipper: Any) -> None:
    """One for all of its values."""
    result = flipper("check", "adults", "--sample", "country=1..50")
    assert result.err.count("Warning:") == 1
