# SPDX-License-Identifier: Apache-2.0
"""The application that a site adds to its `INSTALLED_APPS`."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register
from django.core.signals import setting_changed


class FlipperConfig(AppConfig):
    """The application `flipper.integrations.django`, with the label `flipper`."""

    name = "flipper.integrations.django"
    label = "flipper"
    verbose_name = "Feature flags"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks, and follow changes of the setting in tests."""
        from .checks import check_middleware, check_setting
        from .site_client import follow_setting

        register(check_setting, "flipper")
        register(check_middleware, "flipper")
        setting_changed.connect(follow_setting, dispatch_uid="flipper")
