# SPDX-License-Identifier: Apache-2.0
"""Stores in the database of a Django site: `django://`, or `django://alias`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .ownership import make_owner

if TYPE_CHECKING:
    from .address import StoreURL


def build(url: StoreURL) -> Any:
    """Make the store of `django://default?in_transaction=1`.

    Outside of `manage.py`, it sets Django up, if `DJANGO_SETTINGS_MODULE` is set.
    """
    from ..integrations import django as integration

    url.refuse_path("write django:// or django://alias")
    host = url.hosts[0]
    if url.username is not None or url.password is not None or host.port is not None:
        url.refuse(
            "has more than the alias of a database; write django:// or django://alias"
        )
    in_transaction = url.options.switch("in_transaction")
    url.options.refuse_unknown()
    _set_up(url)
    return make_owner(
        integration.DjangoFeatureFlagStore,
        release=_nothing,
        using=host.name or None,
        in_transaction=in_transaction,
    )


def _set_up(url: StoreURL) -> None:
    import django
    from django.apps import apps
    from django.conf import settings

    if not settings.configured and "DJANGO_SETTINGS_MODULE" not in os.environ:
        url.refuse(
            "is that of a Django site; use `python manage.py flipper`, or name the "
            "settings of the site in the environment variable DJANGO_SETTINGS_MODULE"
        )
    if not apps.ready:
        django.setup()
    if not apps.is_installed("flipper.integrations.django"):
        url.refuse(
            "needs the table of the flags; add 'flipper.integrations.django' to the "
            "setting INSTALLED_APPS, and run `python manage.py migrate`"
        )


def _nothing() -> None:
    """Release nothing: the site closes its connections."""
