# SPDX-License-Identifier: Apache-2.0
"""The options that all commands have, and the completion of flag names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .session import Session, set_option
from .values import utf8_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem


def common_options(*, has_store: bool = True) -> list[click.Parameter]:
    """Return `--url`, `--app` and `--json`, which are kept in the session."""
    store_options: list[click.Parameter] = [
        click.Option(
            ["--url"],
            metavar="URL",
            expose_value=False,
            callback=set_option("url"),
            help="The store, such as redis://localhost:6379/0. [env: FLIPPER_URL]",
        ),
        click.Option(
            ["--app"],
            metavar="MODULE:CLIENT",
            expose_value=False,
            callback=set_option("app"),
            help="Use the client of an application, so that its events fire.",
        ),
    ]
    as_json = click.Option(
        ["--json", "as_json"],
        is_flag=True,
        expose_value=False,
        callback=set_option("as_json"),
        help="Print the result as JSON.",
    )
    return [*(store_options if has_store else ()), as_json]


class FlagCommand(click.Command):
    """A command with `--json`, and, if it has a store, with `--url` and `--app`."""

    def __init__(self, *args: Any, has_store: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += common_options(has_store=has_store)


def command(
    name: str, *, has_store: bool = True
) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a function, which gets the `Session` first, a command with these options."""

    def make(function: Callable[..., Any]) -> click.Command:
        made = click.command(name, cls=FlagCommand, has_store=has_store)
        return made(click.make_pass_decorator(Session)(function))

    return make


def complete_feature_name(
    ctx: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the names of flags that begin so; none if the store cannot be read."""
    from click.shell_completion import CompletionItem

    session = ctx.ensure_object(Session)
    if not session.names_existing_store():
        return []
    try:
        names = [item.feature_name for item in session.store.list() if item is not None]
    except Exception:  # noqa: BLE001  (a shell cannot show an error at this point)
        return []
    # A shell reads one name from each line.
    return [
        CompletionItem(name)
        for name in sorted(names)
        if name.startswith(incomplete) and name.isprintable()
    ]


feature_name = click.argument(
    "feature_name",
    metavar="NAME",
    type=utf8_text,
    shell_complete=complete_feature_name,
)
existing_file = click.argument(
    "file", type=click.Path(exists=True, dir_okay=False, allow_dash=True)
)
yes = click.option(
    *("--yes", "-y"),
    is_flag=True,
    expose_value=False,
    callback=set_option("yes"),
    help="Do not ask for confirmation.",
)
