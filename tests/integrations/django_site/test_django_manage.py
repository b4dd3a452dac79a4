# SPDX-License-Identifier: Apache-2.0
"""`manage.py flipper`, the admin, and the import from django-waffle."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command, get_commands
from django.core.management.base import BaseCommand
from django.test import Client, override_settings
from django.urls import reverse

from flipper import Condition
from flipper.events import EventType
from flipper.integrations.django import DjangoFeatureFlagStore, features
from flipper.integrations.django.context import user_and_language
from flipper.integrations.django.management.commands.flipper import Command
from flipper.integrations.django.models import Flag

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def run(*arguments: str) -> str:
    """Return what the command prints."""
    out = io.StringIO()
    call_command("flipper", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_has_the_client_of_the_site() -> None:
    """Events fire, and the flags are where the site reads them."""
    heard: list[str] = []

    def listen(name: str, *_: Any, **__: Any) -> None:
        heard.append(name)

    features.events.on(EventType.POST_ENABLE, listen)
    try:
        run("create", "NEW")
        run("enable", "NEW", "--yes")
    finally:
        features.events.remove_listener(EventType.POST_ENABLE, listen)
    assert heard == ["NEW"]
    assert features.is_enabled("NEW")
    assert run("list").split() == ["Name", "State", "For", "NEW", "on", "everybody"]
    assert json.loads(run("list", "--json"))[0]["feature_name"] == "NEW"
    assert get_commands()["flipper"] == "flipper.integrations.django"
    assert issubclass(Command, BaseCommand)


def test_another_store_can_be_named() -> None:
    """`--url` takes precedence over the store of the site."""
    features.create("NEW")
    assert "NEW" in run("list", "--url", "django://default")
    assert "NEW" not in run("list", "--url", "django://other")


def test_a_command_that_fails_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """`call_command` raises, and the shell gets the exit code of `flipper`."""
    with pytest.raises(CommandError) as error:
        run("enable", "MISSING")
    assert error.value.returncode == 3
    with pytest.raises(SystemExit) as exit_code:
        Command().run_from_argv(
            ["manage.py", "flipper", "--settings", "x", "enable", "MISSING"]
        )
    assert exit_code.value.code == 3
    Command().run_from_argv(["manage.py", "flipper", "list", "--pythonpath=."])
    with pytest.raises(SystemExit):
        Command().run_from_argv(["manage.py", "flipper", "enabel", "NEW"])
    assert "manage.py flipper" in capsys.readouterr().err


# -- the admin -------------------------------------------------------------------------


@pytest.fixture
def admin() -> Iterator[Client]:
    """Give the client of somebody who may do everything in the admin."""
    user = get_user_model().objects.create_superuser("admin")
    client = Client()
    client.force_login(user)
    with override_settings(ROOT_URLCONF="pages"):
        yield client
    user.delete()


def key_of(feature_name: str) -> str:
    """Return the key of a flag's row."""
    return Flag.objects.get(feature_name=feature_name).pk


def act(admin: Client, action: str, *names: str, **more: str) -> Any:
    """Perform an action of the list on some flags."""
    keys = [key_of(name) for name in names]
    fields = {"action": action, "_selected_action": keys, **more}
    return admin.post(reverse("admin:flipper_flag_changelist"), fields, follow=True)


def test_the_admin_lists_and_finds_flags(admin: Client) -> None:
    """It shows the state, and for whom a flag is on."""
    features.create("NEW_SEARCH")
    features.create("DARK_MODE", is_enabled=True)
    features.add_condition("DARK_MODE", Condition(country="SE"))
    page = admin.get(reverse("admin:flipper_flag_changelist")).content.decode()
    assert "NEW_SEARCH" in page
    assert "partly" in page
    assert "country == SE" in page
    page = admin.get(reverse("admin:flipper_flag_changelist"), {"q": "search"})
    assert "NEW_SEARCH" in page.content.decode()
    assert "DARK_MODE" not in page.content.decode()


def test_the_actions_of_the_admin_go_through_the_client(admin: Client) -> None:
    """So events fire, and what is not selected stays."""
    for name in ("ONE", "TWO", "THREE"):
        features.create(name)
    heard: list[str] = []

    def listen(name: str, *_: Any, **__: Any) -> None:
        heard.append(name)

    features.events.on(EventType.POST_ENABLE, listen)
    try:
        page = act(admin, "enable", "ONE", "TWO")
    finally:
        features.events.remove_listener(EventType.POST_ENABLE, listen)
    assert "Enabled 2 flags." in page.content.decode()
    assert sorted(heard) == ["ONE", "TWO"]
    states = [features.is_enabled(name) for name in ("ONE", "TWO", "THREE")]
    assert states == [True, True, False]
    assert "Disabled 1 flag." in act(admin, "disable", "ONE").content.decode()
    assert not features.is_enabled("ONE")
    act(admin, "delete_selected", "TWO", post="yes")
    assert not features.exists("TWO")


def test_a_document_cannot_be_edited(admin: Client) -> None:
    """The admin shows it, escaped, and has no field for it."""
    features.create("NEW", client_data={"note": "<script>"})
    place = reverse("admin:flipper_flag_change", args=[key_of("NEW")])
    page = admin.get(place).content.decode()
    assert "&lt;script&gt;" in page
    assert "<script>&quot;" not in page
    assert 'name="document"' not in page
    assert 'name="_save"' not in page
    assert admin.post(place, {"document": "{}"}).status_code == 403
    assert admin.get(reverse("admin:flipper_flag_add")).status_code == 403
    assert features.get_client_data("NEW") == {"note": "<script>"}
    delete = reverse("admin:flipper_flag_delete", args=[key_of("NEW")])
    admin.post(delete, {"post": "yes"})
    assert not features.exists("NEW")


def test_a_broken_document_can_be_seen_and_deleted(admin: Client) -> None:
    """It hides no other flag, and an action on it reports its error."""
    features.create("NEW")
    features.create("BROKEN")
    Flag.objects.filter(feature_name="BROKEN").update(document="{")
    page = admin.get(reverse("admin:flipper_flag_changelist")).content.decode()
    assert "broken" in page
    page = act(admin, "enable", "NEW", "BROKEN").content.decode()
    assert "Enabled 1 flag." in page
    assert "cannot be read" in page
    place = reverse("admin:flipper_flag_change", args=[key_of("BROKEN")])
    assert "<pre>{</pre>" in admin.get(place).content.decode()
    act(admin, "delete_selected", "BROKEN", post="yes")
    assert not Flag.objects.filter(feature_name="BROKEN").exists()


def test_flags_of_another_store_are_not_in_the_admin(admin: Client) -> None:
    """The table would be empty, and changes in it without effect."""
    with override_settings(FLIPPER={"URL": "memory://"}):
        assert "flipper" not in admin.get(reverse("admin:index")).content.decode()
    with override_settings(FLIPPER={"URL": "django://other?ttl=9"}):
        features.create("IN_OTHER")
        place = reverse("admin:flipper_flag_changelist")
        assert "IN_OTHER" in admin.get(place).content.decode()


def test_somebody_who_may_only_look_changes_nothing(admin: Client) -> None:
    """The actions need the permission to change flags."""
    from django.contrib.auth.models import Permission

    user = get_user_model().objects.create_user("reader", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_flag"))
    client = Client()
    client.force_login(user)
    features.create("NEW")
    try:
        page = client.get(reverse("admin:flipper_flag_changelist")).content.decode()
        assert "NEW" in page
        assert "Enable the selected flags" not in page
        act(client, "enable", "NEW")
        assert not features.is_enabled("NEW")
    finally:
        user.delete()


# -- django-waffle ---------------------------------------------------------------------


def test_flags_of_waffle_are_imported_from_a_dump(tmp_path: Path) -> None:
    """The arguments of `user_and_language` are those of its flags."""
    from django.contrib.auth.models import AnonymousUser, Group
    from django.http import HttpRequest

    fields = {"name": "BETA", "everyone": None, "groups": [["testers"]], "staff": True}
    rows = [{"model": "waffle.flag", "pk": 1, "fields": fields}]
    (tmp_path / "waffle.json").write_text(json.dumps(rows))
    run("import", "--from", "waffle", str(tmp_path / "waffle.json"), "--yes")
    request = HttpRequest()
    assert user_and_language(request)["is_authenticated"] is False
    request.user = AnonymousUser()
    assert not features.is_enabled("BETA", **user_and_language(request))
    user = get_user_model().objects.create_user("somebody")
    group = Group.objects.create(name="testers")
    try:
        request.user = user
        assert not features.is_enabled("BETA", **user_and_language(request))
        user.groups.add(group)
        assert features.is_enabled("BETA", **user_and_language(request))
        assert user_and_language(request)["user_id"] == user.pk
    finally:
        user.delete()
        group.delete()


def test_without_waffle_the_import_needs_a_file() -> None:
    """The error says how to write one."""
    with pytest.raises(CommandError, match="dumpdata waffle"):
        run("import", "--from", "waffle")
    assert DjangoFeatureFlagStore().get("BETA") is None
