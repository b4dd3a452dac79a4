# SPDX-License-Identifier: Apache-2.0
"""Flags for applications that ask through OpenFeature; see docs/openfeature.md.

`provider` has the provider, and `resolving` its answers, whose types `typed_values`
checks. `events` tells OpenFeature what a synced store reports.
"""

from __future__ import annotations

from .. import require

require("openfeature", "openfeature")

from .provider import FlipperProvider as FlipperProvider  # noqa: E402
