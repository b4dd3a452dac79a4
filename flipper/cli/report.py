# SPDX-License-Identifier: Apache-2.0
"""Reports what a command has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..exceptions import FlagDoesNotExistError
from .describe import describe_audience, plain_flag, state_word
from .output import note, print_json

if TYPE_CHECKING:
    from .session import Session


def report(session: Session, feature_name: str, done: str) -> None:
    """Print a flag after it was changed."""
    try:
        item = session.item(feature_name)
    except FlagDoesNotExistError:
        note(f"{done} {feature_name}. Somebody else has deleted it since.")
        return
    if session.as_json:
        print_json(plain_flag(item))
    else:
        state = state_word(item)
        detail = "" if state == "on" else f": {describe_audience(item)}"
        if state == "off":
            detail = f"; if enabled, on for {describe_audience(item)}"
        note(f"{done} {feature_name}. It is {_SENTENCE_STATES[state]}{detail}.")


_SENTENCE_STATES = {"on": "on for everybody", "off": "off", "partly": "on for some"}
