# SPDX-License-Identifier: Apache-2.0
"""Reads the flags of django-waffle from the database of the site."""

from __future__ import annotations

import json
from typing import Any, Final

from django.apps import apps
from django.core.management.base import CommandError
from django.core.serializers.json import DjangoJSONEncoder

_FIELDS: Final = {
    "flag": (
        *("name", "everyone", "percent", "testing", "superusers", "staff"),
        *("authenticated", "languages"),
    ),
    "switch": ("name", "active"),
    "sample": ("name", "percent"),
}


def dump() -> str:
    """Return the flags, switches and samples as JSON, as `manage.py dumpdata` does.

    Raises:
        CommandError: django-waffle is not an application of the site.
    """
    if not apps.is_installed("waffle"):
        message = (
            "django-waffle is not in INSTALLED_APPS, so its tables cannot be read; "
            "name a file that `manage.py dumpdata waffle auth.group` has written"
        )
        raise CommandError(message)
    found: list[dict[str, Any]] = []
    for name, fields in _FIELDS.items():
        model = apps.get_model("waffle", name)
        for row in model.objects.all():
            values = {field: getattr(row, field) for field in fields}
            if name == "flag":
                groups = row.groups.values_list("name", flat=True)
                values["groups"] = [[group] for group in groups]
                values["users"] = list(row.users.values_list("pk", flat=True))
            found.append({"model": f"waffle.{name}", "pk": row.pk, "fields": values})
    return json.dumps(found, cls=DjangoJSONEncoder)
