# SPDX-License-Identifier: Apache-2.0
"""Commands for editors, shells and services: schema, completion, serve-thrift."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .options import command
from .output import note, print_json

if TYPE_CHECKING:
    from .session import Session


@command("schema", has_store=False)
def schema(_: Session) -> None:
    """Print the JSON Schema of flag files, for editors and for checks in CI."""
    from ..flag_files import schema as make

    print_json(make())


@command("completion", has_store=False)
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(session: Session, shell: str) -> None:
    """Print what completes commands, options and names of flags in a SHELL.

    \b
    For bash, put this line into ~/.bashrc:
        eval "$(flipper completion bash)"
    For zsh, into ~/.zshrc:
        eval "$(flipper completion zsh)"
    For fish, into ~/.config/fish/config.fish:
        flipper completion fish | source
    """  # noqa: D301  (click takes the backspace for "do not wrap")
    from click.shell_completion import get_completion_class

    from .program import program

    kind = get_completion_class(shell)
    if kind is None:  # click always knows these three
        message = f"click cannot complete for {shell}"
        raise click.ClickException(message)
    script = kind(program, {}, "flipper", "_FLIPPER_COMPLETE").source()
    if session.as_json:
        print_json({"shell": shell, "script": script})
    else:
        click.echo(script)


@command("serve-thrift")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="The address to listen on."
)
@click.option(
    "--port",
    default=9090,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="The port to listen on; 0 is any free one.",
)
def serve_thrift(session: Session, host: str, port: int) -> None:
    """Serve the flags of the store to clients that speak Thrift, until Ctrl-C.

    Whoever can connect can change flags: the service does not ask for a password.
    """
    from ..contrib.thrift.server import serve

    session.makes_file = True

    def ready(host: str, port: int) -> None:
        note(f"Serving on {host}:{port}; Ctrl-C ends.")
        if session.as_json:
            print_json({"host": host, "port": port}, indent=None)

    store = session.store
    try:
        serve(store, host, port, ready)
    except KeyboardInterrupt:
        note("Stopped.")
    except OSError as error:
        message = f"{host}:{port} cannot be listened on: {error.strerror or error}"
        raise click.ClickException(message) from None
