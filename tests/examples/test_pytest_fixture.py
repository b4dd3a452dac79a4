# SPDX-License-Identifier: Apache-2.0
"""The example of a pytest fixture for an application's tests."""

from __future__ import annotations

from run_example import run_example


def test_the_tests_of_the_example_pass() -> None:
    """The four tests of an application on Redis pass without a Redis."""
    run = run_example(
        *("-m", "pytest", "-p", "no:cacheprovider", "examples/pytest_fixture")
    )
    assert " 4 passed" in run.stdout


def test_every_test_begins_without_flags() -> None:
    """The tests pass in another order, since none leaves flags behind."""
    module = "examples/pytest_fixture/test_checkout.py"
    run = run_example(
        *("-m", "pytest", "-p", "no:cacheprovider"),
        f"{module}::test_small_orders_pay_for_shipping",
        f"{module}::test_shipping_costs_without_the_flag",
    )
    assert " 2 passed" in run.stdout
