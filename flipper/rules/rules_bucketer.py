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
from ..runtime.log_throttle import LogThrottle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .rules import Rules

VERSION = 1
"""The version of the form of rules that this library writes, the only one it reads."""

_log = LogThrottle(__name__)


class RulesBucketer(NoOpBucketer):
    """Stands in the metadata of a flag for its rules, which decide instead of it.

    It never changes, and threads may share it.

    Args:
        rules: the rules.
        is_enabled: the state of the flag.
        decides_state: whether a flag that gets this bucketer has the state
            `is_enabled`, whatever state it had or is given. It is so in a document
            with the mark, and while a client changes the state.
        document_state: the state in the document from which the flag was read, `None`
            until that is known; off if it was not read from a document.

    Attributes:
        lost_mark: whether the document from which the flag was read had no mark.
        server: a flag with this bucketer, and its function that gives the variant; for
            use by that flag. Both are `None` until they are needed.
    """

    lost_mark = False

    def __init__(
        self,
        rules: Rules,
        is_enabled: bool,
        *,
        decides_state: bool = False,
        document_state: bool | None = False,
    ) -> None:
        self.rules = rules
        self.is_enabled = is_enabled
        self.decides_state = decides_state
        self.document_state = document_state
        self.server: tuple[Any, Any] = (None, None)

    @classmethod
    def get_type(cls) -> str:
        """Return the type of `NoOpBucketer`, which every version can read."""
        return NoOpBucketer.__name__

    def to_dict(self) -> dict[str, Any]:
        """Return the plain data of a `NoOpBucketer`, with the mark."""
        return {**super().to_dict(), "rules": VERSION}

    def for_flag(self, feature_name: object, state: Any) -> RulesBucketer:
        """Return the bucketer of a flag, whose `is_enabled` is the state of the flag.

        It logs a warning, at most once a minute for a flag, if the flag counts as
        disabled although nobody may have meant to disable it.

        Args:
            feature_name: the flag.
            state: the state in its document, or the one that the flag has had so far.
        """
        is_enabled = self.is_enabled if self.decides_state else bool(state)
        if self.document_state is not None:
            is_same = not self.decides_state and self.is_enabled is is_enabled
            return self if is_same else RulesBucketer(self.rules, is_enabled)
        if self.is_enabled and not is_enabled:
            _log.warning(
                hash(repr(feature_name)),
                "Feature %r has rules, but flipper-client 1.x has written it since and "
                "may have disabled it, so it counts as disabled; enable it again with "
                "this version of flipper if nobody has meant to disable it",
                feature_name,
                feature_name=feature_name,
            )
        made = RulesBucketer(self.rules, is_enabled, document_state=bool(state))
        made.lost_mark = not self.decides_state
        return made

    def deciding_state(self) -> RulesBucketer:
        """Return a bucketer that gives its state to the flag that gets it."""
        return RulesBucketer(self.rules, self.is_enabled, decides_state=True)

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


def without_mark(meta: dict[str, Any]) -> dict[str, Any]:
    """Take the mark and the state out of the plain metadata of a flag with rules.

    A store of an application makes a new flag of such metadata and of a state, when it
    changes the state. That state counts then, as for a document without the mark.
    """
    meta["client_data"][RESERVED_KEY]["is_enabled"] = False
    del meta["bucketer"]["rules"]
    return meta


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
    return own or None, RulesBucketer(
        rules, is_enabled, decides_state=is_marked, document_state=None
    )


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
    if "rules" not in fields:
        message = "it has lost its rules; set them again"
        raise InvalidArgumentError(message, value=fields)
    return Rules.from_dict(fields), is_enabled
