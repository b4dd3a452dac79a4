# SPDX-License-Identifier: Apache-2.0
"""Asks a flag in every way that a client and a handle offer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flipper import FeatureFlagClient

DEFAULT = object()
"""The default that `answer_of` passes: it returns this where no flag answered."""


def answer_of(client: FeatureFlagClient, feature_name: Any, /, **context: Any) -> Any:
    """Return the answer of a flag, or `DEFAULT`; all ways to ask must agree on it."""
    flag = client.get(feature_name)
    given = [
        client.is_enabled(feature_name, DEFAULT, **context),
        flag.is_enabled(DEFAULT, **context),
        client.explain(feature_name, DEFAULT, **context).enabled,
        flag.explain(DEFAULT, **context).enabled,
    ]
    assert all(answer is given[0] for answer in given)
    without_default = client.is_enabled(feature_name, **context)
    assert without_default is (False if given[0] is DEFAULT else given[0])
    return given[0]
