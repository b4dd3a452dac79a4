# SPDX-License-Identifier: Apache-2.0
"""Runs commands in a terminal, and draws what it shows as docs/command-line.svg.

`make terminal-picture` runs it.
"""

from __future__ import annotations

import io
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text
from terminal_session import COLUMNS, ROOT, Session, environment_of_checkout

if TYPE_CHECKING:
    from collections.abc import Sequence

PICTURE = ROOT / "docs" / "command-line.svg"
FLAGS = """\
version = 1

[flags.NEW_CHECKOUT]
enabled = true
conditions = [{ country__in = ["SE", "NO", "DK"] }]

[flags.NEW_SEARCH.bucketer]
type = "ConsistentHashPercentageBucketer"
key_whitelist = ["user_id"]
percentage = 0.5

[flags.NEW_SEARCH]
enabled = true
"""
COMMANDS = (
    "flipper create NEW_CHECKOUT",
    "flipper condition add NEW_CHECKOUT 'country in SE,NO' 'age >= 18'",
    "flipper enable NEW_CHECKOUT",
    "flipper check NEW_CHECKOUT country=SE age=17",
    "flipper create NEW_SEARCH",
    "flipper bucket set NEW_SEARCH 10% --by user_id",
    "flipper enable NEW_SEARCH",
    "flipper check NEW_SEARCH --sample user_id=1..1000",
    "flipper create OLD_PRICES --enabled",
    "flipper list",
    "flipper plan flags.toml --prune",
)
_ANSWERS = ("y",)
# As that of rich, without a font that a browser would have to fetch.
_TEMPLATE = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>The command flipper in a terminal</title>
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
    font-size: {char_height}px;
    line-height: {line_height}px;
}}
.{unique_id}-title {{ font: bold 18px system-ui, sans-serif }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})"
clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
_DATE = re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d)?")


def record() -> str:
    """Run the commands, and return what the terminal shows, with its colours."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "folder"
        folder.mkdir()
        (folder / "flags.toml").write_text(FLAGS, encoding="utf-8")
        environment = environment_of_checkout(Path(name))
        with Session(COMMANDS, folder, environment, _ANSWERS) as session:
            outputs = session.read()
    return "".join(
        f"\x1b[1;32m$\x1b[0m \x1b[1m{command}\x1b[0m\n{output}"
        for command, output in zip(COMMANDS, outputs, strict=True)
    )


def svg(shown: str) -> str:
    """Return the picture of what a terminal shows."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    for line in Text.from_ansi(shown).split("\n"):
        # As a terminal does, which breaks lines anywhere.
        for part in line.divide(range(COLUMNS, len(line), COLUMNS)):
            console.print(part, soft_wrap=True, highlight=False)
    picture = console.export_svg(
        title="flipper", theme=MONOKAI, code_format=_TEMPLATE, unique_id="terminal"
    )
    return "".join(f"{line.rstrip()}\n" for line in picture.splitlines())


def text_of(picture: str) -> Sequence[str]:
    """Return the words that a picture shows, line by line, with all dates replaced."""
    lines: dict[float, list[str]] = {}
    for element in ET.fromstring(picture).iter():  # noqa: S314  (made here)
        if element.tag.endswith("}text"):
            words = "".join(element.itertext()).split()
            lines.setdefault(float(element.get("y", "0")), []).extend(words)
    return [_DATE.sub("(date)", " ".join(lines[y])) for y in sorted(lines)]


if __name__ == "__main__":
    PICTURE.write_text(svg(record()), encoding="utf-8")
