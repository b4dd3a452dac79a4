# SPDX-License-Identifier: Apache-2.0
"""`flipper.testing` without optional packages, and its errors and skips."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from broken import settings_without_shrinking
from broken.methods import SetForgetsMetadata

from flipper import MemoryFeatureFlagStore
from flipper.testing import StoreContract, stateful
from flipper.testing.contract import at_once, for_each
from flipper.testing.stateful import run_random_operations, store_machine

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]


def test_without_pytest_the_contract_raises_a_clear_error() -> None:
    """Only the contract needs pytest, and the error names pytest and the extra."""
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
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert "'pytest' is not installed" in done.stdout
    assert "flipper-client[" in done.stdout


def test_an_unknown_name_raises_an_attribute_error() -> None:
    """`flipper.testing` raises `AttributeError` as every module does."""
    import flipper.testing

    assert "StoreContract" in dir(flipper.testing)
    with pytest.raises(AttributeError, match="nothing"):
        flipper.testing.nothing  # noqa: B018


def test_without_hypothesis_the_random_rule_is_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other rules of the contract do not need hypothesis."""
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
def test_a_rule_that_lacks_a_method_is_skipped_with_the_reason(
    missing: str, call: Callable[[Any], object]
) -> None:
    """A rule that needs a method the subclass does not give is skipped."""
    with pytest.raises(pytest.skip.Exception, match=f"{missing} is not given"):
        call(StoreContract())


def test_make_store_is_required() -> None:
    """A subclass of the contract without `make_store` raises."""
    with pytest.raises(NotImplementedError):
        StoreContract().make_store()


def test_a_failure_of_random_operations_shows_seed_and_operations(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A random failure can be repeated with its seed."""
    monkeypatch.setattr(stateful, "settings", settings_without_shrinking)
    machine = store_machine(lambda: SetForgetsMetadata({}))
    with pytest.raises(AssertionError) as caught:
        run_random_operations(machine, seed=1, examples=20)
    output = "\n".join(
        [capsys.readouterr().out, *getattr(caught.value, "__notes__", [])]
    )
    assert "seed = 1" in output
    assert "state.begin(" in output


def test_the_same_seed_makes_the_same_operations(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same seed makes the same operations, and CI uses seed 0."""

    def operations(seed: int | None) -> list[Any]:
        made: list[Any] = []

        class RecordingStore(MemoryFeatureFlagStore):
            def create(self, *args: Any, **kwargs: Any) -> Any:
                made.append((args, kwargs))
                return super().create(*args, **kwargs)

        run_random_operations(store_machine(RecordingStore), seed=seed, examples=3)
        return made

    assert operations(5) == operations(5)
    assert operations(5) != operations(6)
    monkeypatch.setenv("CI", "true")
    assert operations(None) == operations(0)
    assert capsys.readouterr().out.count("seed = 0") == 2


def test_at_once_raises_what_a_thread_raised() -> None:
    """An error in a thread of `at_once` fails the test."""

    def fail() -> None:
        raise KeyError("in a thread")

    with pytest.raises(KeyError, match="in a thread"):
        at_once(lambda: None, fail)


def test_for_each_reports_every_case_that_fails() -> None:
    """`for_each` goes on after a failure, and names all cases that failed."""

    def check(_: str, number: int) -> None:
        assert number > 1

    with pytest.raises(AssertionError, match=r"(?s)^a: .*\n\nb: ") as caught:
        for_each({"a": 0, "b": 1, "c": 2}, check)
    assert "c:" not in str(caught.value)
