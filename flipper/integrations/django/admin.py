# SPDX-License-Identifier: Apache-2.0
"""The flags in the admin of the site: a list, and actions that switch flags."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.utils.html import format_html

from ...client import store_of
from ...contrib.storage import FeatureFlagStoreItem
from ...exceptions import FlagDoesNotExistError, FlipperError, InvalidFlagDataError
from .models import Flag
from .site_client import features
from .store import DjangoFeatureFlagStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.db.models import QuerySet
    from django.http import HttpRequest


@admin.register(Flag)
class FlagAdmin(admin.ModelAdmin):
    """Shows flags, and switches, creates and deletes them by the client of the site.

    So events fire, and no document can be broken. It is there while the client of the
    site has its flags in a `DjangoFeatureFlagStore`.
    """

    list_display = ("feature_name", "state", "audience")
    search_fields = ("feature_name",)
    fields = ("feature_name", "state", "audience", "flag_data")
    readonly_fields = fields
    actions = ("enable", "disable")
    ordering = ("feature_name",)

    # -- what is shown -----------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Flag]:  # noqa: ARG002
        """Return the rows of the database that the client reads."""
        store = _store()
        alias = None if store is None else store.alias
        return Flag.objects.using(alias).order_by(*self.ordering)

    @admin.display(description="State")
    def state(self, flag: Flag) -> str:
        """Return "off", "on" for everybody, or "partly"."""
        item = _item(flag)
        return "broken" if item is None else _describe(item)[0]

    @admin.display(description="For whom")
    def audience(self, flag: Flag) -> str:
        """Return whom a flag is on for, or would be on for if it were enabled."""
        item = _item(flag)
        return "" if item is None else _describe(item)[1]

    @admin.display(description="Document")
    def flag_data(self, flag: Flag) -> str:
        """Return the stored document, to be read only."""
        text = flag.document
        with suppress(ValueError):  # a broken document is shown as it is
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
        return format_html("<pre>{}</pre>", text)

    # -- what is allowed ---------------------------------------------------------------

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show flags only where the client has them in this table."""
        return _store() is not None and super().has_module_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Refuse; `manage.py flipper create` and the client create flags."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Allow the actions, and no change of a document."""
        return obj is None and super().has_change_permission(request)

    # -- changes -----------------------------------------------------------------------

    @admin.action(description="Enable the selected flags", permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Flag]) -> None:
        """Switch flags on."""
        self._change(request, queryset, features.enable, "Enabled")

    @admin.action(description="Disable the selected flags", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Flag]) -> None:
        """Switch flags off."""
        self._change(request, queryset, features.disable, "Disabled")

    def delete_model(self, request: HttpRequest, obj: Flag) -> None:  # noqa: ARG002
        """Delete a flag."""
        _delete(obj)

    def delete_queryset(
        self,
        request: HttpRequest,  # noqa: ARG002
        queryset: QuerySet[Flag],
    ) -> None:
        """Delete flags."""
        for flag in queryset:
            _delete(flag)

    def _change(
        self,
        request: HttpRequest,
        flags: QuerySet[Flag],
        change: Callable[[str], object],
        done: str,
    ) -> None:
        changed = 0
        for flag in flags:
            try:
                change(flag.feature_name)
            except FlipperError as error:
                self.message_user(request, str(error), messages.ERROR)
                continue
            changed += 1
            self.log_change(request, flag, f"{done}.")
        if changed:
            flags_text = "1 flag" if changed == 1 else f"{changed} flags"
            self.message_user(request, f"{done} {flags_text}.", messages.SUCCESS)


def _store() -> DjangoFeatureFlagStore | None:
    """Return the store that the client reads, whatever is around it."""
    store: Any = store_of(features)
    while store is not None and not isinstance(store, DjangoFeatureFlagStore):
        store = getattr(store, "_store", None)
    return store


def _delete(flag: Flag) -> None:
    try:
        features.destroy(flag.feature_name)
    except InvalidFlagDataError:  # its document is broken, so it is no flag
        store_of(features).delete(flag.feature_name)
    except FlagDoesNotExistError:
        pass  # somebody else was faster


def _describe(item: FeatureFlagStoreItem) -> tuple[str, str]:
    """Return the state, and whom the flag is on for, as the command `flipper` does."""
    try:
        from ...cli.describe import describe_audience, state_word
    except ModuleNotFoundError:  # click is missing: the extra `cli` is not installed
        return ("on" if item.raw_is_enabled else "off"), ""
    return state_word(item), describe_audience(item)


def _item(flag: Flag) -> FeatureFlagStoreItem | None:
    try:
        return FeatureFlagStoreItem.deserialize(flag.document.encode())
    except ValueError:
        return None
