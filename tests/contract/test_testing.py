# SPDX-License-Identifier: Apache-2.0
"""`flipper.testing` as others use it: what it needs, what it says, what it skips."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from broken_stores import SetForgetsMetadata

from flipper import MemoryFeatureFlagStore
from flipper.testing import StoreContract
from flipper.testing.contract import at_once, for_each
from flipper.testing.stateful import run_random_operations, store_machine

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]


def test_without_pytest_it_says_what_is_missing() -> None:
    """The contract needs pytest, and nothing else of the library does."""
    code = (
        "import sys\n"
        "sys.modules['pytest'] = None\n"
        "import flipper.testing\n"
        "from flipper.exceptions import MissingDependencyError\n"
        "try:\n"
        "    from flipper.testing import StoreContract\n"
        "except MissingDependencyError as error:\n"
        "    print(error)\n"
    )
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert "'pytest' is not installed" in said.stdout
    assert "flipper-client[" in said.stdout


def test_a_name_that_it_has_not_is_an_attribute_error() -> None:
    """As of every module."""
    import flipper.testing

    assert "StoreContract" in dir(flipper.testing)
    with pytest.raises(AttributeError, match="nothing"):
        flipper.testing.nothing  # noqa: B018


def test_without_hypothesis_the_random_rule_is_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One rule less is better than none at all."""
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(pytest.skip.Exception, match="need hypothesis"):
        StoreContract().test_random_operations_agree_with_a_plain_dict()


@pytest.mark.parametrize(
    ("missing", "call"),
    [
        ("write_document", lambda contract: contract.write_document(None, "f", b"")),
        ("read_document", lambda contract: contract.read_document(None, "f")),
        ("open_again", lambda contract: contract.open_again(None)),
    ],
)
def test_what_is_not_given_is_skipped_with_the_reason(
    missing: str, call: Callable[[Any], object]
) -> None:
    """A rule that did not run must not look like one that passed."""
    with pytest.raises(pytest.skip.Exception, match=f"{missing} is not given"):
        call(StoreContract())


def test_make_store_has_to_be_given() -> None:
    """There is no contract without a store."""
    with pytest.raises(NotImplementedError):
        StoreContract().make_store()


def test_a_failure_of_random_operations_shows_seed_and_operations(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What happened by chance has to be repeated to be understood."""
    machine = store_machine(lambda: SetForgetsMetadata({}))
    with pytest.raises(AssertionError) as caught:
        run_random_operations(machine, seed=1, examples=20)
    said = "\n".join([capsys.readouterr().out, *getattr(caught.value, "__notes__", [])])
    assert "seed = 1" in said
    assert "state.begin(" in said


def test_the_same_seed_makes_the_same_operations(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And a build, which says nothing of a seed, always makes the same ones."""

    def operations(seed: int | None) -> list[Any]:
        made: list[Any] = []

        class Watched(MemoryFeatureFlagStore):
            def create(self, *args: Any, **kwargs: Any) -> Any:
                made.append((args, kwargs))
                return super().create(*args, **kwargs)

        run_random_operations(store_machine(Watched), seed=seed, examples=3)
        return made

    assert operations(5) == operations(5)
    assert operations(5) != operations(6)
    monkeypatch.setenv("CI", "true")
    assert operations(None) == operations(0)
    assert capsys.readouterr().out.count("seed = 0") == 2


def test_at_once_raises_what_a_thread_raised() -> None:
    """A failure in a thread is a failure of the test."""

    def fail() -> None:
        raise KeyError("in a thread")

    with pytest.raises(KeyError, match="in a thread"):
        at_once(lambda: None, fail)


def test_for_each_tells_all_that_fail() -> None:
    """Who mends a store wants to see all names that it does not bear."""

    def check(_: str, number: int) -> None:
        assert number > 1

    with pytest.raises(AssertionError, match=r"(?s)^a: .*\n\nb: ") as caught:
        for_each({"a": 0, "b": 1, "c": 2}, check)
    assert "c:" not in str(caught.value)
