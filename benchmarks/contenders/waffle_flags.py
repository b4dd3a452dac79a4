# SPDX-License-Identifier: Apache-2.0
"""django-waffle: flags and switches in SQLite, cached in memory, as Django does both.

Its flags know users and percentages, but no arguments of a call; who is in a percentage
is drawn once, and then told by a cookie.
"""

from __future__ import annotations

import zlib
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import django
from django.conf import settings
from django.core.management import call_command
from django.http import HttpRequest

settings.configure(
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "waffle",
    ],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    CACHES={
        "default": {
            "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
            "OPTIONS": {"MAX_ENTRIES": 100_000},
        }
    },
    USE_TZ=True,
)
django.setup()
call_command("migrate", verbosity=0)

from django.contrib.auth.models import AnonymousUser, User  # noqa: E402
from waffle import flag_is_active, switch_is_active  # noqa: E402
from waffle.models import Flag as WaffleFlag  # noqa: E402
from waffle.models import Switch  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workloads import Flag


class Contender:
    """Switches for what is on or off, flags for the rest."""

    draws = True
    keeps_in = "database"

    def __init__(self, flags: Iterable[Flag]) -> None:
        # One database for all: the same names may come again.
        switches, others = [], []
        for flag in flags:
            if flag.share is None:
                switches.append(Switch(name=flag.name, active=flag.on))
            else:
                # Nobody is staff, but where that is asked.
                percent = Decimal(flag.share * 100)
                others.append(
                    WaffleFlag(
                        name=flag.name, percent=percent, staff=True, superusers=False
                    )
                )
        Switch.objects.bulk_create(switches, ignore_conflicts=True)
        WaffleFlag.objects.bulk_create(others, ignore_conflicts=True)
        self._users = {True: User(is_staff=True), False: AnonymousUser()}

    def on_off(self, calls: list[Any]) -> list[Any]:
        return [switch_is_active(name) for name in calls]

    missing = on_off

    def new_user(self, calls: list[Any]) -> list[Any]:
        nobody = self._users[False]
        return [flag_is_active(_request(nobody), name) for name, _ in calls]

    salted = new_user

    def user(self, user_id: str) -> Any:
        """Make the request of somebody who was told the answer, for every flag."""
        answer = str(zlib.crc32(user_id.encode()) % 2 == 0)
        request = _request(self._users[False])
        request.COOKIES = _Always(answer)
        return request

    def seen_user(self, calls: list[Any]) -> list[Any]:
        return [flag_is_active(request, name) for name, request in calls]

    def ruled(self, calls: list[Any]) -> list[Any]:
        users = self._users
        return [
            flag_is_active(_request(users[staff]), name) for name, _, staff in calls
        ]


def _request(user: Any) -> HttpRequest:
    request = HttpRequest()
    request.user = user
    return request


class _Always(dict[str, str]):
    """Cookies that give one answer for every flag."""

    def __init__(self, answer: str) -> None:
        super().__init__()
        self._answer = answer

    def __contains__(self, key: object) -> bool:
        return True

    def __getitem__(self, key: str) -> str:
        return self._answer

    def get(self, key: str, default: Any = None) -> Any:
        del key, default
        return self._answer
