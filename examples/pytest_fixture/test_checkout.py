# SPDX-License-Identifier: Apache-2.0
"""Tests of code behind a flag, without a server.

Run them by `python -m pytest examples/pytest_fixture`.
"""

import checkout
import pytest

from flipper import Condition, FeatureFlagClient


def test_shipping_costs_without_the_flag(features: FeatureFlagClient) -> None:
    """Without the flag, orders pay for shipping as before."""
    assert not features.exists("FREE_SHIPPING")
    assert checkout.shipping(total=100) == 9


@pytest.mark.parametrize("enabled", [True, False])
def test_shipping_follows_the_flag(features: FeatureFlagClient, enabled: bool) -> None:
    """Shipping is free if and only if the flag is on."""
    features.create("FREE_SHIPPING", is_enabled=enabled)
    assert checkout.shipping(total=100) == (0 if enabled else 9)


def test_small_orders_pay_for_shipping(features: FeatureFlagClient) -> None:
    """The condition of the flag makes shipping free for large orders only."""
    flag = features.create("FREE_SHIPPING", is_enabled=True)
    flag.add_condition(Condition(total__gte=50))
    assert checkout.shipping(total=50) == 0
    assert checkout.shipping(total=49) == 9
