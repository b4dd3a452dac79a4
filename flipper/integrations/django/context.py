# SPDX-License-Identifier: Apache-2.0
"""Functions for `CONTEXT` of the setting `FLIPPER`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils.translation import get_language

if TYPE_CHECKING:
    from django.http import HttpRequest


def user_and_language(request: HttpRequest) -> dict[str, Any]:
    """Return who asks, as the arguments of flags that were imported from django-waffle.

    They are `user_id`, `groups` (a list of names), `is_authenticated`, `is_staff`,
    `is_superuser` and `language`. For an anonymous user, there is no `user_id`.
    """
    found: dict[str, Any] = {
        "is_authenticated": False,
        "is_staff": False,
        "is_superuser": False,
        "groups": [],
        "language": get_language() or "",
    }
    user: Any = getattr(request, "user", None)
    if user is not None and user.is_authenticated:
        found["user_id"] = user.pk
        found["is_authenticated"] = True
        for name in ("is_staff", "is_superuser"):
            found[name] = bool(getattr(user, name, False))
        if hasattr(user, "groups"):
            found["groups"] = sorted(user.groups.values_list("name", flat=True))
    return found
