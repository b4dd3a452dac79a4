# SPDX-License-Identifier: Apache-2.0
"""Runs the examples as `make example-...` does, and asks them over HTTP."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from run_example import ROOT, TIMEOUT

from flipper.testing.contract import eventually
from servers.process import Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from flipper import FeatureFlagClient

NOT_MEMOIZED = ROOT / "tests" / "examples" / "not_memoized"


class Page(NamedTuple):
    """A page of an example, read in each of its parts.

    Attributes:
        process: the number of the process that has answered.
        titles: what NEW_CHECKOUT was in each place: "new" or "old".
        colours: what BUTTON_COLOUR was in each place.
    """

    process: str
    titles: list[str]
    colours: list[str]

    @property
    def is_mixed(self) -> bool:
        """Whether a flag has two answers."""
        return len(set(self.titles)) != 1 or len(set(self.colours)) != 1


class ExampleServer(Server):
    """What a target of the Makefile starts, with this interpreter's packages.

    Args:
        target: the target.
        environment: environment variables, such as the settings of gunicorn.
        **settings: variables of the Makefile.
    """

    # `make` passes it on to what it has started.
    kill_signal = signal.SIGTERM

    def __init__(
        self, target: str, environment: dict[str, str] | None = None, **settings: str
    ) -> None:
        super().__init__()
        self._target = target
        self._environment = {"PYTHONPATH": str(ROOT), **(environment or {})}
        self._settings = {"PORT": str(self.port), **settings}

    def find_programs(self) -> None:
        """Find nothing, since `make` and Python are there."""

    def command(self) -> list[str]:
        """Return the command, which installs nothing."""
        given = [f"{name}={value}" for name, value in self._environment.items()]
        settings = [f"{name}={value}" for name, value in self._settings.items()]
        make = ["make", "-C", str(ROOT), "--no-print-directory", self._target]
        return ["env", *given, *make, "examples=", f"VENV={sys.prefix}", *settings]

    def answers(self) -> bool:
        """Return whether the first page is there."""
        return self.ask("/")[0] == 200

    def close(self) -> None:
        """End all of its processes at once: gunicorn takes a second to end in order."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        super().close()

    def log(self) -> str:
        """Return what the server has printed."""
        return self._log.read_text(errors="replace")

    def ask(self, path: str) -> tuple[int, str, str]:
        """Return the status, the text and the process of a response."""
        address = f"http://{self.host}:{self.port}{path}"
        try:
            response = urllib.request.urlopen(address, timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            text = response.read().decode()
            return response.status, text, response.headers.get("X-Process", "")

    def page(self, user: int = 0) -> Page:
        """Return the page for a user."""
        status, text, process = self.ask(f"/?user={user}")
        assert status == 200, text
        if text.startswith("{"):  # the example with FastAPI has a document
            found = json.loads(text)
            titles = [found["title"], found["link"]]
            return Page(process, titles, [found["colour"], found["button"]])
        titles = re.findall(r">\s*(new|old)\b", text)
        colours = re.findall(r'class="(\w+)">(\w+)<', text)
        assert len(titles) == 2, text
        assert len(colours) == 1, text
        return Page(process, titles, [*colours[0]])

    def checkout(self, user: int = 0) -> int:
        """Return the status of the page that exists only while its flag is on."""
        return self.ask(f"/checkout/?user={user}")[0]

    def wait_for(
        self, accept: Callable[[Page], bool], *, processes: int, user: int = 0
    ) -> None:
        """Wait until the last answer of each process is acceptable.

        Raises:
            AssertionError: that does not happen in time.
        """
        accepted: set[str] = set()

        def have_all_accepted() -> bool:
            pages = [*threads.map(self.page, [user] * 3 * processes)]
            bad = {page.process for page in pages if not accept(page)}
            accepted.update({page.process for page in pages} - bad)
            accepted.difference_update(bad)
            return len(accepted) == processes

        with ThreadPoolExecutor(3 * processes) as threads:
            eventually(have_all_accepted)


def pages_while_flags_flip(
    ask: Callable[[], Page], features: FeatureFlagClient, *, flips: int, parallel: int
) -> tuple[list[Page], Counter[tuple[str, ...]]]:
    """Ask for pages in many threads while two flags are switched again and again.

    Returns:
        The pages in which a flag has two answers, and how often there was each other
        combination of answers.
    """
    is_over = threading.Event()

    def ask_until_the_end() -> list[Page]:
        pages = [ask()]
        while not is_over.is_set():
            pages.append(ask())
        return pages

    with ThreadPoolExecutor(parallel) as threads:
        asking = [threads.submit(ask_until_the_end) for _ in range(parallel)]
        try:
            for number in range(flips):
                flip(features, number)
                is_over.wait(0.005)
        finally:
            is_over.set()
        pages = [page for each in asking for page in each.result()]
    mixed = [page for page in pages if page.is_mixed]
    whole = [(page.titles[0], page.colours[0]) for page in pages if not page.is_mixed]
    return mixed, Counter(whole)


def flip(features: FeatureFlagClient, number: int) -> None:
    """Switch the flags of the examples, so that all four combinations occur."""
    name = "NEW_CHECKOUT" if number % 2 else "BUTTON_COLOUR"
    (features.enable if number % 4 < 2 else features.disable)(name)
