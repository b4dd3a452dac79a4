# SPDX-License-Identifier: Apache-2.0
"""`flask flipper`: the command line with the client of a Flask app."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("flask")

if TYPE_CHECKING:
    from pathlib import Path

APP = """\
import sys
from flask import Flask, current_app
from flipper.events import EventType
from flipper.integrations.flask import Flipper

if {without_rich!r}:
    sys.modules["rich"] = None
app = Flask("shop")
app.config["FLIPPER_URL"] = "sqlite:///{folder}/flags.db"
app.config["BETA_URL"] = "sqlite:///{folder}/beta.db"
Flipper(app)
Flipper(app, name="beta")
events = app.extensions["flipper"].client.events
events.on(
    EventType.POST_ENABLE,
    f=lambda name, *_: print("enabled", name, current_app.name, file=sys.stderr),
)
"""


class Shop:
    """A Flask app in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.without_rich = False

    def flask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command `flask`."""
        app = self._folder / "shop.py"
        names = {"folder": self._folder, "without_rich": self.without_rich}
        app.write_text(APP.format(**names), encoding="utf-8")
        return subprocess.run(
            [sys.executable, "-m", "flask", "--app", "shop", *arguments],
            cwd=self._folder,
            env={**os.environ, "FLIPPER_URL": "redis://127.0.0.1:1/0"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Return an app."""
    return Shop(tmp_path)


def test_it_changes_the_flags_of_the_app(shop: Shop) -> None:
    """Events of its client are emitted in the application context."""
    assert shop.flask("flipper", "create", "NEW_UI").returncode == 0
    run = shop.flask("flipper", "enable", "NEW_UI", "--yes")
    assert run.returncode == 0
    assert run.stderr.startswith("enabled NEW_UI shop")
    run = shop.flask("flipper", "--json", "list")
    assert '"NEW_UI"' in run.stdout
    assert shop.flask("flipper", "check", "NEW_UI").returncode == 0
    assert shop.flask("beta", "check", "NEW_UI").returncode == 3


def test_its_help_and_errors_are_those_of_the_command_flipper(shop: Shop) -> None:
    """They name the program that people typed."""
    run = shop.flask("flipper", "--help")
    assert "Usage: flask flipper" in run.stdout
    assert "enable" in run.stdout
    assert "Show and change feature flags." in shop.flask("--help").stdout
    run = shop.flask("flipper", "check", "MISSING", "--json", "user_id=1")
    assert run.returncode == 3
    run = shop.flask("flipper", "--url", "memory://", "list")
    assert (run.returncode, run.stderr) == (0, "No flags.\n")


def test_a_missing_package_names_the_extra(shop: Shop) -> None:
    """The app itself works without it."""
    shop.without_rich = True
    assert shop.flask("routes").returncode == 0
    run = shop.flask("flipper", "list")
    assert run.returncode == 1
    assert "pip install 'flipper-client[cli]'" in run.stderr
    assert "Traceback" not in run.stderr
