# SPDX-License-Identifier: Apache-2.0
"""Starts the process of a contender, and sends it commands; `child.py` runs in it."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

_ANSWER_TIMEOUT = 300  # seconds for one answer
_CLOSED_PROXY = "http://127.0.0.1:9"


class ChildError(Exception):
    """A contender could not run a command."""


def environment() -> dict[str, str]:
    """Return the environment variables of contenders; they prevent network access."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    proxies = {f"{kind}_proxy": _CLOSED_PROXY for kind in ("http", "https", "all")}
    return {
        **kept,
        **proxies,
        **{name.upper(): value for name, value in proxies.items()},
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "PYTHONHASHSEED": "0",
    }


class Child:
    """A process that measures one contender, slice by slice, until it is closed.

    Args:
        python: the contender's interpreter.
    """

    def __init__(self, python: Path) -> None:
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed in `close`)
        # Temporary files of libraries are removed together with the process.
        self._folder = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(  # noqa: S603  (our own file)
            [python, Path(__file__).with_name("child.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**environment(), "TMPDIR": self._folder.name},
            text=True,
        )

    def ask(self, command: str, **arguments: Any) -> Any:
        """Call a method of `Commands` in the process, and return its result.

        Raises:
            ChildError: the method raised an error, or the process has ended or does not
                answer.
        """
        if self._process.poll() is not None:
            raise ChildError("its process has ended")
        assert self._process.stdin is not None  # noqa: S101  (for mypy)
        assert self._process.stdout is not None  # noqa: S101
        self._process.stdin.write(json.dumps([command, arguments]) + "\n")
        self._process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(_ANSWER_TIMEOUT):
                self._process.kill()
                raise ChildError(f"no answer in {_ANSWER_TIMEOUT} s")
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise ChildError(f"its process ended: {self._end_of_log()}")
        answer = json.loads(line)
        if "error" in answer:
            raise ChildError(answer["error"])
        return answer["result"]

    def __enter__(self) -> Self:
        """Return the process itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the process."""
        self.close()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._log.close()
        self._folder.cleanup()

    def _end_of_log(self) -> str:
        self._log.seek(0)
        return self._log.read()[-500:].strip()
