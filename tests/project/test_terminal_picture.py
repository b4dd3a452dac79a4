# SPDX-License-Identifier: Apache-2.0
"""docs/command-line.svg shows what the command prints in a terminal."""

from __future__ import annotations

import re

from record_terminal import COMMANDS, PICTURE, record, svg, text_of


def test_the_picture_is_up_to_date() -> None:
    """After a change of what commands print, the picture is drawn again."""
    drawn = text_of(svg(record()))
    message = "run `make terminal-picture`, which draws it from a real run"
    assert text_of(PICTURE.read_text(encoding="utf-8")) == drawn, message


def test_the_picture_has_all_commands() -> None:
    """Each command of the recording is in the picture, so texts are found in it."""
    lines = text_of(PICTURE.read_text(encoding="utf-8"))
    assert [line for line in lines if line.startswith("$ ")] == [
        f"$ {' '.join(command.split())}" for command in COMMANDS
    ]


def test_the_picture_needs_no_network() -> None:
    """A browser shows the picture without a request to any host."""
    addresses = re.findall(r"\w+://[^\s\"')&]+", PICTURE.read_text(encoding="utf-8"))
    # The name of the format, which nobody requests, and the store in a message.
    assert {*addresses} <= {"http://www.w3.org/2000/svg", "sqlite:///flipper.db"}


def test_another_output_is_another_picture() -> None:
    """The comparison of pictures sees a changed word, and ignores a changed date."""
    first, later, other = (
        text_of(svg(f"{word} since {date} UTC"))
        for word, date in (
            ("on", "2026-01-31 10:00:00"),
            ("on", "2027-02-28 11:30:00"),
            ("off", "2026-01-31 10:00:00"),
        )
    )
    assert first == later != other
