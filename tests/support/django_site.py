# SPDX-License-Identifier: Apache-2.0
"""The settings of Django for all tests: a process can have only one set of them.

A test changes them by `override_settings`.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import django
from django.conf import settings

_folder = TemporaryDirectory(prefix="flipper-django-")
FOLDER = Path(_folder.name)

DATABASES = ("default", "other", "memory")
_DATABASE: dict[str, Any] = {"ENGINE": "django.db.backends.sqlite3"}

settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={
        "default": {**_DATABASE, "NAME": FOLDER / "default.sqlite3"},
        "other": {**_DATABASE, "NAME": FOLDER / "other.sqlite3"},
        "memory": {**_DATABASE, "NAME": ":memory:"},
    },
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "flipper.integrations.django",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "flipper.integrations.django.middleware.FlipperMiddleware",
    ],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    SECRET_KEY="for tests only",  # noqa: S106
    STATIC_URL="/static/",
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    USE_TZ=True,
)
django.setup()
