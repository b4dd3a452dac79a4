# SPDX-License-Identifier: Apache-2.0
"""OpenFeature's scenarios, run with the provider.

A scenario is run, or listed in `NOT_RUN` with the reason. A scenario that is neither,
such as a new one with steps that nothing here knows, fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from gherkin.parser import Parser
from gherkin.pickles.compiler import Compiler
from openfeature import api
from openfeature_steps import STEPS, Scenario, StepMissingError

from suites import names_of_files, read_suite, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator

# By a tag of theirs.
NOT_RUN = {
    "@reason-codes-cached": (
        "a client keeps no answers, so none can come from a cache; a flag that comes "
        "from a copy in memory is decided for each question"
    ),
    "@immutability": (
        "the evaluation details are an object of OpenFeature's SDK for Python, which "
        "can be changed; each question gets its own"
    ),
}


def pickles() -> list[Any]:
    """Return all scenarios, with the examples of outlines filled in."""
    found = []
    for name in names_of_files("openfeature", "feature"):
        if name == "none":
            return [pytest.param(None, id="none")]
        document: Any = Parser().parse(read_text(f"openfeature/{name}"))
        compiled = Compiler().compile({**document, "uri": name})
        found += [
            pytest.param(pickle, id=f"{name}-{number}")
            for number, pickle in enumerate(compiled)
        ]
    return found


def reasons(pickle: dict[str, Any]) -> list[str]:
    """Return why a scenario is not run."""
    tags = [tag["name"] for tag in pickle["tags"]]
    return [NOT_RUN[tag] for tag in tags if tag in NOT_RUN]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave OpenFeature as it was."""
    yield
    api.shutdown()


PICKLES = pickles()


@pytest.mark.parametrize("pickle", PICKLES)
def test_a_scenario_passes(pickle: dict[str, Any]) -> None:
    """The provider does what OpenFeature's scenario says."""
    flags = read_suite("openfeature/test-flags.json")
    for reason in reasons(pickle):
        pytest.skip(reason)
    Scenario(flags).run(pickle)


def test_each_reason_is_needed() -> None:
    """A scenario is listed only while the suite has it."""
    read_suite("openfeature/test-flags.json")
    tags = {tag["name"] for param in PICKLES for tag in param.values[0]["tags"]}
    assert tags >= NOT_RUN.keys()


def test_each_step_runs() -> None:
    """A step that no scenario has any more is deleted here."""
    read_suite("openfeature/test-flags.json")
    texts = [step["text"] for param in PICKLES for step in param.values[0]["steps"]]
    assert [form for form, _ in STEPS if not any(map(form.fullmatch, texts))] == []


def test_an_unknown_step_fails() -> None:
    """A scenario with a step that nothing here knows cannot pass."""
    with pytest.raises(StepMissingError):
        Scenario({}).run({"steps": [{"text": "a provider on the moon"}]})
