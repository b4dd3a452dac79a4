# SPDX-License-Identifier: Apache-2.0
"""Reads the flags, switches and samples of django-waffle.

The file is what `manage.py dumpdata waffle auth.group` writes. The user is the argument
`user_id`, and the names of the user's groups are the argument `groups`, a list. The
other arguments are `is_authenticated`, `is_staff`, `is_superuser` and `language`.
`flipper.integrations.django.context.user_and_language` gives all of them.

Source: the documentation of django-waffle: any attribute of a flag turns it on, and
"everyone" overrides all others.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from ..bucketing import Percentage, PercentageBucketer
from ..exceptions import InvalidArgumentError
from ..rules.rollout import Rollout
from ..rules.rule import Rule
from ..rules.rules import Rules
from . import ImportedFlag
from .translation import Problems, UntranslatableError, check, translate

if TYPE_CHECKING:
    from collections.abc import Iterator

_USERS: Final = {
    "superusers": "is_superuser",
    "staff": "is_staff",
    "authenticated": "is_authenticated",
}
_PERCENT: Final = (
    "it was on for {share:%} of the visitors, drawn for each of them and kept in a "
    "cookie; now it is on for this share of the users by user_id, and for nobody "
    "without one"
)
_TESTING: Final = "the testing mode, by a parameter of the address, is left out"


def read_flags(data: Any) -> Iterator[ImportedFlag]:
    """Yield the flags, then the switches, then the samples.

    Raises:
        InvalidArgumentError: the data is something else.
    """
    rows = _rows(data)
    groups = {
        row["pk"]: row["fields"].get("name")
        for row in rows
        if row["model"] == "auth.group" and isinstance(row.get("pk"), (int, str))
    }
    seen: dict[Any, str] = {}
    for kind, read in (("flag", None), ("switch", _switch), ("sample", _sample)):
        for row in rows:
            if row["model"] != f"waffle.{kind}":
                continue
            fields = row["fields"]
            made = _flag(fields, groups) if read is None else read(fields)
            other = seen.setdefault(made.feature_name, kind)
            if other != kind:
                problem = (
                    f"a {other} has the same name; rename one of them in django-waffle"
                )
                made = ImportedFlag(made.feature_name, False, Rules(), (problem,))
            yield made


def _rows(data: Any) -> list[dict[str, Any]]:
    if not isinstance(data, list) or not all(
        isinstance(row, dict)
        and isinstance(row.get("model"), str)
        and isinstance(row.get("fields"), dict)
        and _has_name(row)
        for row in data
    ):
        raise InvalidArgumentError(
            "This is not a dump of django-waffle; write one by `python manage.py "
            "dumpdata waffle auth.group`",
            value=data,
        )
    return data


def _has_name(row: dict[str, Any]) -> bool:
    is_ours = row["model"].startswith("waffle.")
    return not is_ours or isinstance(row["fields"].get("name"), str)


def _switch(fields: dict[str, Any]) -> ImportedFlag:
    return ImportedFlag(fields["name"], fields.get("active") is True)


def _sample(fields: dict[str, Any]) -> ImportedFlag:
    """Return a flag that is on for a share of the calls, at random."""
    problems = Problems()
    name, share = fields["name"], 0.0
    with problems.collected("percent"):
        share = _share(fields.get("percent"))
    if problems:
        return ImportedFlag(name, False, None, tuple(problems))
    if share in (0, 1):
        return ImportedFlag(name, share == 1)
    bucketer = PercentageBucketer(Percentage(share))
    return ImportedFlag(name, True, bucketer=bucketer)


def _flag(fields: dict[str, Any], groups: dict[Any, Any]) -> ImportedFlag:
    name, notes = fields["name"], []
    if fields.get("everyone") is None:
        if fields.get("testing"):
            notes.append(_TESTING)
        if fields.get("percent"):
            problems = Problems()
            with problems.collected():
                share = _share(fields["percent"])
                if 0 < share < 1:
                    notes.append(_PERCENT.format(share=Decimal(str(share)).normalize()))
    made = translate(name, lambda problems: _translated(fields, groups, problems))
    return made if made.problems else made._replace(notes=tuple(notes))


def _translated(
    fields: dict[str, Any], groups: dict[Any, Any], problems: Problems
) -> tuple[bool, Rules | None]:
    """Return whether the flag is enabled, and its rules."""
    everyone = fields.get("everyone")
    if everyone is not None:
        if not isinstance(everyone, bool):
            problems.append(f"everyone is {everyone!r}, and not true, false or null")
        return everyone is True, None
    rules = []
    for field, argument in _USERS.items():
        if fields.get(field):
            rules.append(Rule(check(argument, None, True), name=field))
    if languages := _languages(fields.get("languages")):
        rules.append(Rule(check("language", "in", languages), name="languages"))
    if users := fields.get("users"):
        with problems.collected("users"):
            rules.append(Rule(check("user_id", "in", _user_ids(users)), name="users"))
    if members := fields.get("groups"):
        with problems.collected("groups"):
            names = sorted(_group_name(each, groups) for each in members)
            rules.append(Rule(check("groups", "any_of", names), name="groups"))
    with problems.collected("percent"):
        share = _share(fields.get("percent") or 0)
        if share == 1:
            return True, None
        if share:
            rules.append(Rule(None, Rollout(share, "user_id"), name="percent"))
    return (True, Rules(rules)) if rules else (False, None)


def _share(percent: Any) -> float:
    """Return a fraction for a percentage, which a dump has as text.

    Raises:
        UntranslatableError: it is not one.
    """
    try:
        share = Decimal(str(percent)) / 100
    except InvalidOperation:
        share = Decimal(-1)
    if not 0 <= share <= 1:
        message = f"{percent!r} is not a percentage from 0 to 100"
        raise UntranslatableError(message)
    return float(share)


def _languages(text: Any) -> list[str]:
    return [each.strip() for each in str(text or "").split(",") if each.strip()]


def _user_ids(users: list[Any]) -> list[Any]:
    if not all(isinstance(user, (int, str)) for user in users):
        message = (
            "the users are named, and not given by their keys; write the dump without "
            "--natural-foreign"
        )
        raise UntranslatableError(message)
    return users


def _group_name(group: Any, names: dict[Any, Any]) -> str:
    """Return the name of a group, which a dump has as its key or its natural key."""
    if isinstance(group, list) and len(group) == 1:
        group = group[0]
    name = group if isinstance(group, str) else names.get(group)
    if not isinstance(name, str):
        message = (
            f"the name of the group {group!r} is not in the dump; write it by "
            f"`manage.py dumpdata waffle auth.group`"
        )
        raise UntranslatableError(message)
    return name
