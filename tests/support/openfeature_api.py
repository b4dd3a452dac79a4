# SPDX-License-Identifier: Apache-2.0
"""Sets providers with every release of OpenFeature's SDK."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from openfeature import api
from openfeature.exception import OpenFeatureError

if TYPE_CHECKING:
    from openfeature.provider import FeatureProvider


def set_provider(provider: FeatureProvider, domain: str | None = None) -> None:
    """Set a provider, and wait until it is initialised, or that has failed."""
    # Before version 0.10, `set_provider` has waited.
    set_and_wait = getattr(api, "set_provider_and_wait", api.set_provider)
    with suppress(OpenFeatureError):
        set_and_wait(provider, domain)


def begin_to_set_provider(provider: FeatureProvider, domain: str) -> None:
    """Set a provider without waiting."""
    arguments = (provider, domain)
    threading.Thread(target=set_provider, args=arguments, daemon=True).start()
