# SPDX-License-Identifier: Apache-2.0
"""Flags in Django: put `flipper.integrations.django` into `INSTALLED_APPS`.

`features` is the client of the site. `configuration` reads the setting `FLIPPER`, and
`checks` reports its mistakes. `middleware` gives each request one answer per flag, and
`views` protects views. `store` keeps flags in the database of the site.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .. import require

if TYPE_CHECKING:
    from .site_client import features
    from .store import DjangoFeatureFlagStore
    from .testing import override_flags
    from .views import FlagRequiredMixin, flag_required

__all__ = [
    "DjangoFeatureFlagStore",
    "FlagRequiredMixin",
    "features",
    "flag_required",
    "override_flags",
]

require("django", "django")

# Django imports this package before it has loaded the models of the site.
_MODULES = {
    "DjangoFeatureFlagStore": "store",
    "FlagRequiredMixin": "views",
    "features": "site_client",
    "flag_required": "views",
    "override_flags": "testing",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
