# SPDX-License-Identifier: Apache-2.0
"""The system checks: `manage.py check` reports what is wrong with the setting."""

from __future__ import annotations

from typing import Any, Final

from django.conf import settings
from django.core import checks

from .configuration import NAME, find_mistakes

MIDDLEWARE: Final = "flipper.integrations.django.middleware.FlipperMiddleware"
_AUTHENTICATION: Final = "django.contrib.auth.middleware.AuthenticationMiddleware"


def check_setting(**_: Any) -> list[checks.CheckMessage]:
    """Return an error for each mistake in the setting `FLIPPER`."""
    return [
        checks.Error(mistake.text, mistake.hint, id=f"flipper.E{mistake.number:03}")
        for mistake in find_mistakes()
    ]


def check_middleware(**_: Any) -> list[checks.CheckMessage]:
    """Return a warning if the setting needs the middleware, and it is not in place."""
    setting = getattr(settings, NAME, None)
    installed = list(settings.MIDDLEWARE or ())
    if not isinstance(setting, dict):
        return []
    needs = [key for key in ("CONTEXT", "PRELOAD") if setting.get(key)]
    if not needs:
        return []
    if MIDDLEWARE not in installed:
        return [
            checks.Warning(
                f"{' and '.join(needs)} of the setting FLIPPER have no effect without "
                f"the middleware.",
                f"Add {MIDDLEWARE!r} to MIDDLEWARE, after the authentication.",
                id="flipper.W001",
            )
        ]
    is_first = _AUTHENTICATION in installed[installed.index(MIDDLEWARE) :]
    if "CONTEXT" in needs and is_first:
        return [
            checks.Warning(
                "The middleware of flipper stands before that of the authentication, "
                "so CONTEXT may get a request without its user.",
                f"Put {MIDDLEWARE!r} after {_AUTHENTICATION!r} in MIDDLEWARE.",
                id="flipper.W002",
            )
        ]
    return []
