# SPDX-License-Identifier: Apache-2.0
"""`manage.py flipper ...`: the command `flipper` with the client of the site."""

from __future__ import annotations

import sys
from argparse import REMAINDER
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ... import features

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROGRAM: Final = "manage.py flipper"


class Command(BaseCommand):
    """Shows and changes the flags of the site."""

    help = "Show and change feature flags. `manage.py flipper --help` lists commands."

    def run_from_argv(self, argv: list[str]) -> None:
        """Run the command, and exit with its code."""
        # `manage.py` reads these two, and leaves them there.
        parser = CommandParser(add_help=False, allow_abbrev=False)
        parser.add_argument("--settings")
        parser.add_argument("--pythonpath")
        _, arguments = parser.parse_known_args(argv[2:])
        code = run(arguments)
        if code:
            sys.exit(code)

    def add_arguments(self, parser: CommandParser) -> None:
        """Take all arguments, for `call_command`."""
        parser.add_argument("args", nargs=REMAINDER)

    def handle(self, *args: str, **_: Any) -> None:
        """Run the command for `call_command("flipper", "enable", "NAME")`.

        Raises:
            CommandError: it has failed.
        """
        # The streams of Django end each piece of a line as if it were a whole one.
        out, err = self.stdout._out, self.stderr._out  # noqa: SLF001
        with redirect_stdout(out), redirect_stderr(err):
            code = run(args)
        if code:
            message = f"`{_PROGRAM} {' '.join(args)}` has failed; see above"
            raise CommandError(message, returncode=code)


def run(arguments: Sequence[str]) -> int:
    """Run the command `flipper` with the client of the site; return its exit code."""
    try:
        from .....cli.program import run as run_program
    except ModuleNotFoundError as error:
        from .....exceptions import MissingDependencyError

        missing = MissingDependencyError.for_extra(str(error.name), "cli")
        raise CommandError(str(missing)) from None
    with TemporaryDirectory() as folder:
        if _reads_waffle(arguments):
            from ...waffle import dump

            file = Path(folder, "waffle.json")
            file.write_text(dump(), encoding="utf-8")
            arguments = [*arguments, str(file)]
        return run_program(arguments, client=features, prog_name=_PROGRAM)


def _reads_waffle(arguments: Sequence[str]) -> bool:
    """Return whether this is `import --from waffle` without a file."""
    if "import" not in arguments[:1]:
        return False
    from click import UsageError

    from .....cli.transfer import import_flags

    try:
        context = import_flags.make_context(
            "import", [*arguments[1:]], resilient_parsing=True
        )
    except UsageError:
        return False  # the command says what is wrong
    return context.params["origin"] == "waffle" and context.params["file"] is None
