# SPDX-License-Identifier: Apache-2.0
"""The example of a subscriber that logs each write, without personal data."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from logging_subscriber import JsonFormatter, LoggingSubscriber
from run_example import run_example

from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore
from flipper.bucketing import NoOpBucketer

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def client(caplog: pytest.LogCaptureFixture) -> FeatureFlagClient:
    """Give a client whose writes are logged."""
    caplog.set_level(logging.INFO)
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    subscriber = LoggingSubscriber(logging.getLogger("flags"))
    client.events.register_subscriber(subscriber)
    return client


@pytest.mark.parametrize(
    ("write", "kind", "facts"),
    [
        (lambda flag: flag.enable(), "enabled", {}),
        (lambda flag: flag.disable(), "disabled", {}),
        (lambda flag: flag.destroy(), "destroyed", {}),
        (
            lambda flag: flag.add_condition(Condition(b=1, a__gt=2)),
            "condition added",
            {"variables": ["a", "b"]},
        ),
        (
            lambda flag: flag.set_conditions(Condition(**{n: 1}) for n in "ba"),
            "conditions set",
            {"variables": ["a", "b"]},
        ),
        (
            lambda flag: flag.set_client_data({"b": 1}),
            "client data set",
            {"keys": ["a", "b"]},
        ),
        (
            lambda flag: flag.set_bucketer(NoOpBucketer()),
            "bucketer set",
            {"bucketer": "NoOpBucketer"},
        ),
    ],
)
def test_each_write_is_one_record(
    client: FeatureFlagClient,
    caplog: pytest.LogCaptureFixture,
    write: Callable[[Any], None],
    kind: str,
    facts: dict[str, Any],
) -> None:
    """Feature name, kind of write and facts are attributes of the record."""
    flag = client.create("x", client_data={"a": "private"})
    write(flag)
    created, record = caplog.records
    assert created.write == "created"
    assert created.facts == {"is_enabled": False}
    assert (record.feature_name, record.write, record.facts) == ("x", kind, facts)
    assert record.getMessage() == f"Feature 'x': {kind}"
    assert "private" not in JsonFormatter().format(created)


def test_a_failed_write_is_not_logged(
    client: FeatureFlagClient, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has only writes that took effect."""
    with pytest.raises(Exception, match="Feature x does not exist"):
        client.enable("x")
    assert not caplog.records


def test_the_example_runs_as_a_script() -> None:
    """Each line that the script prints is JSON, with the facts of one write."""
    run = run_example("examples/logging_subscriber.py")
    lines = [json.loads(line) for line in run.stderr.splitlines()]
    writes = ["created", "bucketer set", "condition added", "enabled"]
    assert [line["write"] for line in lines] == writes
    assert {line["feature_name"] for line in lines} == {"NEW_SEARCH"}
    assert "search@example.org" not in run.stderr
