# SPDX-License-Identifier: Apache-2.0
"""The files in docs/testing.md, which pytest runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from document_examples import ROOT, fences

# Loaded before any run in this process: pytester unloads what a run has loaded, but the
# package would keep the classes.
from flipper import FeatureFlagClient, MemoryFeatureFlagStore  # noqa: F401

if TYPE_CHECKING:
    import pytest

pytest_plugins = ["pytester"]


def test_the_tests_of_the_page_pass(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each Python block that begins with the name of a file is that file."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    files = [
        block
        for block in fences(ROOT / "docs" / "testing.md")
        if "no-run" in block.markers
    ]
    for block in files:
        name = block.text.partition("\n")[0].removeprefix("# ")
        path = pytester.path / name
        assert not path.exists(), f"{block.where}: two files {name}"
        path.write_text(block.text, encoding="utf-8")
    result = pytester.runpytest_inprocess(
        *("-p", "flipper.integrations.pytest_plugin"),
        *("--strict-markers", "-W", "error", "-rA"),
    )
    assert result.ret == 0
    names = {
        line.removeprefix("def ").partition("(")[0]
        for block in files
        for line in block.text.splitlines()
        if line.startswith("def test_")
    }
    assert names
    for name in names:
        result.stdout.fnmatch_lines_random([f"PASSED test_*.py::{name}*"])
