# SPDX-License-Identifier: Apache-2.0
"""A subscriber that logs each write; the log records have attributes to search by.

Run it by `python examples/logging_subscriber.py`. It logs no client data and no values
of conditions, because they can be personal data.
"""

import json
import logging
from collections.abc import Iterable
from typing import Any

from flipper import Condition, FeatureFlagClient, MemoryFeatureFlagStore
from flipper.bucketing import Percentage, PercentageBucketer
from flipper.bucketing.base import AbstractBucketer
from flipper.events import FlipperEventSubscriber


class LoggingSubscriber(FlipperEventSubscriber):
    """Logs one record for each write.

    Args:
        logger: the logger to use.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def on_post_create(
        self, flag_name: str, is_enabled: bool, client_data: dict[str, Any] | None
    ) -> None:
        """Log that a flag was created."""
        self._log("created", flag_name, is_enabled=is_enabled)

    def on_post_enable(self, flag_name: str) -> None:
        """Log that a flag was switched on."""
        self._log("enabled", flag_name)

    def on_post_disable(self, flag_name: str) -> None:
        """Log that a flag was switched off."""
        self._log("disabled", flag_name)

    def on_post_destroy(self, flag_name: str) -> None:
        """Log that a flag was destroyed."""
        self._log("destroyed", flag_name)

    def on_post_add_condition(self, flag_name: str, condition: Condition) -> None:
        """Log which arguments the new condition checks."""
        self._log("condition added", flag_name, variables=sorted(condition.checks))

    def on_post_set_conditions(
        self, flag_name: str, conditions: Iterable[Condition]
    ) -> None:
        """Log which arguments the new conditions check."""
        variables = {name for condition in conditions for name in condition.checks}
        self._log("conditions set", flag_name, variables=sorted(variables))

    def on_post_set_client_data(
        self, flag_name: str, client_data: dict[str, Any]
    ) -> None:
        """Log the keys of the client data, without the values."""
        self._log("client data set", flag_name, keys=sorted(client_data))

    def on_post_set_bucketer(self, flag_name: str, bucketer: AbstractBucketer) -> None:
        """Log the class of the new bucketer."""
        self._log("bucketer set", flag_name, bucketer=type(bucketer).__name__)

    def _log(self, write: str, feature_name: str, **facts: Any) -> None:
        extra = {"feature_name": feature_name, "write": write, "facts": facts}
        self._logger.info("Feature %r: %s", feature_name, write, extra=extra)


class JsonFormatter(logging.Formatter):
    """Writes a record with its attributes as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        names = ("levelname", "name", "feature_name", "write", "facts")
        return json.dumps({name: getattr(record, name) for name in names})


def main() -> None:
    """Write a flag, and log the writes."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("flags")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)

    features = FeatureFlagClient(MemoryFeatureFlagStore())
    features.events.register_subscriber(LoggingSubscriber(logger))
    flag = features.create("NEW_SEARCH", client_data={"owner": "search@example.org"})
    flag.set_bucketer(PercentageBucketer(Percentage(0.1)))
    flag.add_condition(Condition(is_admin=True))
    flag.enable()


if __name__ == "__main__":
    main()
