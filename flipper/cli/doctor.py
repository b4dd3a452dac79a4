# SPDX-License-Identifier: Apache-2.0
"""The command that examines a store: is it reached, quick, writable, and sound?"""

from __future__ import annotations

import platform
import time
import uuid
from statistics import median
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from .. import __version__
from ..arguments import check_feature_name
from ..bucketing import LinearRampPercentage, PercentageBucketer
from ..contracts.update import get_uncached
from ..contracts.watch import SupportsWatch
from ..exceptions import FlipperError, ReadOnlyStoreError
from ..rules.rules_bucketer import RulesBucketer
from ..runtime.clock import monotonic
from .changes import flags_of
from .errors import message_of
from .exit_codes import DONE, FAILED, UNREACHABLE
from .options import command
from .output import note, print_json, printable, some_of
from .percentages import format_time

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..contrib.storage import FeatureFlagStoreItem
    from .session import Session

OK, NOTE, BAD = "ok", "note", "failed"
_COLOURS: Final = {OK: "green", NOTE: "yellow", BAD: "red"}
_READS: Final = 20
_SLOW: Final = 0.05  # seconds for one read
_SIGNAL_TIMEOUT: Final = 10.0  # seconds


class Finding(NamedTuple):
    """What one examination has found.

    Attributes:
        subject: what was examined.
        result: "ok", "note" for what deserves a look, or "failed".
        text: what was found, and the remedy.
    """

    subject: str
    result: str
    text: str


class Examination:
    """Examines one store. A flag is written and deleted again, unless that is refused.

    Args:
        session: has the store.
        writes: whether the flag may be written.
    """

    def __init__(self, session: Session, *, writes: bool) -> None:
        self._session = session
        self._store = session.store
        self._writes = writes
        self._name = f"flipper-doctor-{uuid.uuid4().hex[:12]}"

    def findings(self) -> Iterator[Finding]:
        """Yield what is found, one by one; end after the first read if that fails."""
        yield self._versions()
        reading = self._latency()
        yield reading
        if reading.result == BAD:
            return
        yield from self._flags()
        if not self._writes:
            yield Finding("writing", NOTE, "not tried, because of --read-only")
            yield Finding("change signal", NOTE, "not tried, because of --read-only")
            return
        writing = self._writing()
        yield writing
        if writing.result == OK:
            yield self._change_signal()

    def _versions(self) -> Finding:
        kind = type(self._store).__name__
        python = platform.python_version()
        return Finding(
            "versions", OK, f"flipper {__version__}, Python {python}, {kind}"
        )

    def _latency(self) -> Finding:
        """Read a flag that does not exist, some times."""
        durations = []
        try:
            get_uncached(self._store, self._name)  # past every copy and cache
            for _ in range(_READS):
                began = monotonic()
                self._store.get(self._name)
                durations.append(monotonic() - began)
        except Exception as error:  # noqa: BLE001  (the finding is the error)
            return Finding("reading", BAD, message_of(error))
        typical, slowest = median(durations), max(durations)
        text = f"{1000 * typical:.2f} ms for a flag, at most {1000 * slowest:.2f} ms"
        if typical > _SLOW:
            remedy = "is the server far away? ?sync=1 answers from a copy in memory"
            return Finding("reading", NOTE, f"{text}; {remedy}")
        return Finding("reading", OK, text)

    def _flags(self) -> Iterator[Finding]:
        """Read all flags, and look at each."""
        began = monotonic()
        try:
            items = list(flags_of(self._store).values())
        except Exception as error:  # noqa: BLE001  (the finding is the error)
            yield Finding("flags", BAD, message_of(error))
            return
        seconds = monotonic() - began
        yield Finding("flags", OK, f"{len(items):,}, read in {1000 * seconds:.0f} ms")
        yield _broken_documents(sorted({*self._session.left_out}))
        yield _unusable_names(items)
        yield from _rules(items)
        yield _clock(items)

    def _writing(self) -> Finding:
        """Create, change and delete a flag."""
        store, name = self._store, self._name
        try:
            store.create(name, is_enabled=False)
            try:
                found = store.get(name)
                if found is None or found.raw_is_enabled:
                    return Finding(
                        "writing", BAD, "a flag that was written is not read"
                    )
            finally:
                store.delete(name)
        except ReadOnlyStoreError:
            return Finding("writing", NOTE, "the store is read-only")
        except Exception as error:  # noqa: BLE001  (the finding is the error)
            text = f"{message_of(error)}; does the user of the store have the right?"
            return Finding("writing", BAD, text)
        return Finding("writing", OK, "a flag was created, read and deleted")

    def _change_signal(self) -> Finding:
        """Write a flag, and wait until the change signal reports it."""
        store, name = self._store, self._name
        subject = "change signal"
        if not issubclass(type(store), SupportsWatch):
            return Finding(subject, NOTE, "the store has none; copies of it poll")
        try:
            watch = store.watch()
            try:
                began = monotonic()
                store.create(name, is_enabled=False)
                reported = self._is_reported(watch)
                seconds = monotonic() - began
            finally:
                store.delete(name)
                watch.close()
        except FlipperError as error:
            return Finding(subject, NOTE, f"{message_of(error)}; copies poll")
        except Exception as error:  # noqa: BLE001  (the finding is the error)
            return Finding(subject, BAD, message_of(error))
        if not reported:
            text = f"a change was not reported within {_SIGNAL_TIMEOUT:.0f} s"
            return Finding(subject, BAD, text)
        return Finding(
            subject, OK, f"a change was reported after {1000 * seconds:.0f} ms"
        )

    def _is_reported(self, watch: Any) -> bool:
        limit = monotonic() + _SIGNAL_TIMEOUT
        while monotonic() < limit:
            names = watch.wait(1.0)
            if names is None or self._name in names:
                return True
        return False


def _broken_documents(names: list[str]) -> Finding:
    if not names:
        return Finding("documents", OK, "each can be read")
    text = (
        f"{len(names):,} cannot be read as flags: {some_of(names)}. They are off for "
        f"everybody; remove them with `flipper delete`, or use --app if an application "
        f"registers their operators or bucketers"
    )
    return Finding("documents", BAD, text)


def _unusable_names(items: list[FeatureFlagStoreItem]) -> Finding:
    unusable = []
    for item in items:
        try:
            check_feature_name(item.feature_name)
        except FlipperError:
            unusable.append(repr(item.feature_name))
    if unusable:
        text = f"{len(unusable):,} cannot be written: {some_of(unusable)}"
        return Finding("names", BAD, text)
    return Finding("names", OK, "each can be used")


def _rules(items: list[FeatureFlagStoreItem]) -> Iterator[Finding]:
    """Yield which flags with rules flipper-client 1.x has written."""
    bucketers = {item.feature_name: item.raw_meta.bucketer for item in items}
    marks = {
        name: bucketer.lost_mark
        for name, bucketer in bucketers.items()
        if isinstance(bucketer, RulesBucketer)
    }
    lost = sorted(name for name, is_lost in marks.items() if is_lost)
    if lost:
        states = {i.feature_name: "on" if i.raw_is_enabled else "off" for i in items}
        shown = some_of(f"{name!r}, which counts as {states[name]}" for name in lost)
        text = (
            f"{len(lost):,} were last written by flipper-client 1.x: {shown}; "
            f"`flipper enable` or `flipper disable` writes the state that is meant"
        )
        yield Finding("rules", NOTE, text)
    elif marks:
        yield Finding("rules", OK, f"{len(marks):,} flags, each in its state")


def _clock(items: list[FeatureFlagStoreItem]) -> Finding:
    """Compare this machine's clock with the dates in the flags."""
    now = time.time()
    future, ramps = [], []
    for item in items:
        meta = item.raw_meta
        if isinstance(meta.created_date, (int, float)) and meta.created_date > now + 60:
            future.append(item.feature_name)
        bucketer = meta.bucketer
        if isinstance(bucketer, PercentageBucketer) and isinstance(
            bucketer.own_percentage, LinearRampPercentage
        ):
            ramp = bucketer.own_percentage
            if ramp.dt < 0:
                begins = format_time(ramp.initial_time)
                ramps.append(f"{item.feature_name} begins at {begins}")
    if future:
        text = f"{some_of(future)} were created in the future: is a clock wrong?"
        return Finding("clock", BAD, text)
    if ramps:
        return Finding("clock", NOTE, f"ramps that have not begun: {some_of(ramps)}")
    return Finding("clock", OK, f"{format_time(now)}, and no flag is from the future")


@command("doctor")
@click.option(
    "--read-only", is_flag=True, help="Write nothing: no test of writes and signals."
)
def doctor(session: Session, read_only: bool) -> int:
    """Examine the store: reach, latency, flags, clock, writes, change signal.

    A flag named flipper-doctor-... is created, switched off, and deleted again.
    The exit code is 0 if nothing failed, 4 if the store cannot be read, else 1.
    """
    session.asks_server = False  # this is examined
    session.makes_file = not read_only
    examination = Examination(session, writes=not read_only)
    findings = []
    for finding in examination.findings():
        findings.append(finding)
        if not session.as_json:
            _print(finding)
    if session.as_json:
        print_json([finding._asdict() for finding in findings])
    failed = {each.subject for each in findings if each.result == BAD}
    if not failed:
        return DONE
    note(f"Failed: {', '.join(sorted(failed))}.")
    return UNREACHABLE if "reading" in failed else FAILED


def _print(finding: Finding) -> None:
    result = click.style(finding.result.ljust(6), fg=_COLOURS[finding.result])
    text = printable(" ".join(finding.text.split()))
    click.echo(f"{result}  {finding.subject.ljust(13)}  {text}")
