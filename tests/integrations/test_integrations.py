# SPDX-License-Identifier: Apache-2.0
"""What all integrations do if their framework is not installed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from flipper.exceptions import MissingDependencyError
from flipper.integrations import require

if TYPE_CHECKING:
    from pathlib import Path


def test_a_missing_framework_is_an_import_error_that_names_the_extra() -> None:
    """The error says which package is missing, and the command that installs it."""
    with pytest.raises(MissingDependencyError) as raised:
        require("no_such_framework.web", "flask")
    assert isinstance(raised.value, ImportError)
    assert str(raised.value) == (
        "The package 'no_such_framework.web' is not installed; "
        "install it with pip install 'flipper-client[flask]'"
    )


@pytest.mark.parametrize("name", ["django", "flask", "starlette", "fastapi"])
def test_an_integration_without_its_framework_names_the_extra(name: str) -> None:
    """The integration cannot be imported; the library can."""
    program = (
        f"import sys\n"
        f"sys.modules[{name!r}] = None\n"
        f"import flipper\n"
        f"try:\n"
        f"    import flipper.integrations.{name}\n"
        f"except ImportError as error:\n"
        f"    print(error)\n"
    )
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout == (
        f"The package {name!r} is not installed; "
        f"install it with pip install 'flipper-client[{name}]'\n"
    )


def test_an_installed_framework_is_imported() -> None:
    """What is installed raises nothing."""
    require("json.tool", "flask")
    assert "json.tool" in sys.modules


def test_the_error_of_a_broken_framework_is_raised_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installing the extra again would not help, so the message does not say it."""
    (tmp_path / "broken_framework.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency") as raised:
        require("broken_framework", "flask")
    assert not isinstance(raised.value, MissingDependencyError)
