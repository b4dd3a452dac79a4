# SPDX-License-Identifier: Apache-2.0
"""The bucketer of a flag that has rules, and how a document carries rules.

A flag with rules must be safe beside flipper-client 1.x, which reads and writes the
same documents and knows nothing of rules:

- The rules are in the client data, under `RESERVED_KEY`. That is the only field that
  the original, stores of applications and the Thrift service keep through all their
  writes.
- The state of the document is off, so the original answers off for everybody. The real
  state is beside the rules.
- The bucketer has a mark, which the original drops whenever it writes the flag. A flag
  without the mark was written by the original since. If the original has switched it
  on, the rules decide; if not, the flag counts as off, because the original may have
  switched it off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..arguments import RESERVED_KEY
from ..bucketing.noop_bucketer import NoOpBucketer
from ..exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .rules import Rules

VERSION = 1
"""The version of the form of rules that this library writes, the only one it reads."""


class RulesBucketer(NoOpBucketer):
    """Stands in the metadata of a flag for its rules, which decide instead of it.

    It never changes, and threads may share it.

    Args:
        rules: the rules.
        is_enabled: the state of the flag.
        is_marked: whether the document had the mark, that is, whether nobody but this
            library has written it.

    Attributes:
        lost_mark: whether the document from which the flag was read had no mark.
        server: a flag with this bucketer, and its function that gives the variant; for
            use by that flag. Both are `None` until they are needed.
    """

    def __init__(
        self, rules: Rules, is_enabled: bool, *, is_marked: bool = True
    ) -> None:
        self.rules = rules
        self.is_enabled = is_enabled
        self.marks_rules = is_marked
        self.lost_mark = not is_marked
        self.server: tuple[Any, Any] = (None, None)

    @classmethod
    def get_type(cls) -> str:
        """Return the type of `NoOpBucketer`, which every version can read."""
        return NoOpBucketer.__name__

    def to_dict(self) -> dict[str, Any]:
        """Return the plain data of a `NoOpBucketer`, with the mark."""
        return {**super().to_dict(), "rules": VERSION}

    def state_of(self, feature_name: object, document_state: Any) -> bool:
        """Return the state of the flag, given the one in its document.

        It logs a warning if the flag counts as disabled although nobody may have meant
        to disable it.
        """
        state = bool(document_state)
        if self.marks_rules:
            # A store that keeps state and metadata apart may have switched the flag on
            # without a change of the metadata.
            return self.is_enabled or state
        if self.is_enabled and not state:
            from logging import getLogger

            getLogger(__name__).warning(
                "Feature %r has rules, but flipper-client 1.x has written it since and "
                "may have disabled it, so it counts as disabled; enable it again with "
                "this version of flipper if nobody has meant to disable it",
                feature_name,
                extra={"feature_name": feature_name},
            )
        return state

    def with_state(self, is_enabled: bool) -> RulesBucketer:
        """Return the bucketer of the same flag with this state, with the mark."""
        if self.marks_rules and self.is_enabled is is_enabled:
            return self
        made = RulesBucketer(self.rules, is_enabled)
        made.lost_mark = self.lost_mark
        return made

    def envelope(self) -> dict[str, Any]:
        """Return what a document has under `RESERVED_KEY`."""
        return {
            "version": VERSION,
            "is_enabled": self.is_enabled,
            **self.rules.to_dict(),
        }

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a copy or a pickle, without the compiled function."""
        return {**vars(self), "server": (None, None)}


def without_rules(client_data: dict[str, Any]) -> dict[str, Any]:
    """Return the application's own data in the client data of a document."""
    if RESERVED_KEY not in client_data:
        return client_data
    return {key: each for key, each in client_data.items() if key != RESERVED_KEY}


def take_rules(
    client_data: Mapping[str, Any], bucketer: Any
) -> tuple[dict[str, Any] | None, RulesBucketer]:
    """Split the client data of a document into the application's data and the rules.

    Args:
        client_data: it has `RESERVED_KEY`.
        bucketer: the bucketer of the document, which may have the mark.

    Raises:
        InvalidArgumentError: the rules have another form.
    """
    own = dict(client_data)
    rules, is_enabled = _read_envelope(own.pop(RESERVED_KEY))
    is_marked = bool(getattr(bucketer, "marks_rules", False))
    return own or None, RulesBucketer(rules, is_enabled, is_marked=is_marked)


def _read_envelope(envelope: Any) -> tuple[Rules, bool]:
    """Return the rules, and the state of the flag."""
    from .rules import Rules

    if not isinstance(envelope, dict):
        message = f"its rules are {type(envelope).__name__}, not an object"
        raise InvalidArgumentError(message, value=envelope)
    fields = dict(envelope)
    version, is_enabled = fields.pop("version", None), fields.pop("is_enabled", None)
    if version != VERSION or type(version) is not int:
        raise InvalidArgumentError(
            f"its rules are of version {version!r}, and this version of flipper reads "
            f"version {VERSION}; update flipper",
            value=version,
        )
    if type(is_enabled) is not bool:
        raise InvalidArgumentError(
            f"the state beside its rules is {is_enabled!r}, not true or false",
            value=is_enabled,
        )
    return Rules.from_dict(fields), is_enabled
