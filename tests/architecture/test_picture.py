# SPDX-License-Identifier: Apache-2.0
"""docs/architecture.svg shows the imports between the rooms of the code."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from draw import PICTURE, imported_rooms, svg
from imports import FLOORS, ROOT

if TYPE_CHECKING:
    from pathlib import Path


def test_the_picture_is_up_to_date() -> None:
    """After a change of the imports between rooms, the picture is drawn again."""
    drawn = svg(imported_rooms(ROOT))
    message = "run `make architecture`, which draws it from the code, and commit it"
    assert PICTURE.read_text(encoding="utf-8") == drawn, message


def test_the_picture_shows_what_a_room_imports(tmp_path: Path) -> None:
    """The picture is made from the code, so another import changes it."""
    (tmp_path / "flipper").mkdir()
    for name in ("evaluation", "exceptions", "client"):
        (tmp_path / "flipper" / f"{name}.py").touch()
    evaluation = tmp_path / "flipper" / "evaluation.py"
    before = svg(imported_rooms(tmp_path))
    evaluation.write_text("from .exceptions import FlipperError", encoding="utf-8")
    assert imported_rooms(tmp_path)["flipper.evaluation"] == {"flipper.exceptions"}
    assert svg(imported_rooms(tmp_path)) != before


def test_the_picture_names_every_room() -> None:
    """No room is left out of the picture."""
    imports = imported_rooms(ROOT)
    picture = ET.fromstring(svg(imports))  # noqa: S314  (made here)
    texts = {"".join(element.itertext()) for element in picture.iter()}
    assert imports.keys() <= FLOORS.keys()
    assert {name.removeprefix("flipper.") for name in imports} <= texts
