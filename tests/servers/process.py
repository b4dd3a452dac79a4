# SPDX-License-Identifier: Apache-2.0
"""A server for the tests: a process on a loopback port, data in a temporary folder.

`Server` is what the four kinds of server have in common. Each has a module of its own,
with its program and with a way to find out whether it answers.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import ClassVar, NoReturn

    from typing_extensions import Self

LOOPBACK = "127.0.0.1"
# Where install.sh unpacks what Debian's current release has no package of.
CACHE = (
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flipper-servers"
)
# A file system in memory, where there is one.
MEMORY = Path("/dev/shm")  # noqa: S108  (shared, as /tmp is)
START_SECONDS = 30.0
STOP_SECONDS = 20.0


class ServerMissingError(Exception):
    """The program, or the Python package, that a server needs is not installed."""


class ServerFailedError(Exception):
    """The server ended by itself or did not answer in time; with its log's end."""


def absent(reason: str) -> NoReturn:
    """Skip the test that needs something absent; with CI=true, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason} (CI=true: it has to be there)", pytrace=False)
    pytest.skip(reason)


# Systems give ports from 32768 up to outgoing connections. A client that calls a
# stopped server again and again would sooner or later be given that server's own port:
# it would talk to itself, and the server could not come back.
_PORTS = range(20_000, 32_000)
_WORKERS = 8


@functools.cache
def _ports_of_worker() -> Iterator[int]:
    """Give the ports of this worker of pytest-xdist, over and over.

    No other worker is given the port of a server that is stopped, or that has not begun
    to listen. Each run of the tests begins at a random port, since another may be going
    on beside it.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    ports = _PORTS[worker % _WORKERS :: _WORKERS]
    start = secrets.randbelow(len(ports))
    return itertools.cycle([*ports[start:], *ports[:start]])


def free_port() -> int:
    """Return a port that nothing listens on, TCP or UDP."""
    while True:
        port = next(_ports_of_worker())
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind((LOOPBACK, port))
        except OSError:
            continue
        return port


def program(name: str, *folders: str | Path) -> str:
    """Find a program on the PATH or in one of these folders.

    Raises:
        ServerMissingError: it is in none of them.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *map(str, folders)])
    found = shutil.which(name, path=path)
    if found is None:
        raise ServerMissingError(
            f"{name} is not installed; `make servers` does that, or says how"
        )
    return found


class Server:
    """A server process that can be stopped, killed and started again.

    The port and the data are the same after a restart. With an `address` it is a server
    that somebody else runs: it has to answer, and a test that wants to stop it is
    skipped. Not thread-safe: one thread at a time starts and stops it.

    Attributes:
        host, port: where it listens.
        variable: the environment variable that names a server run by somebody else.
    """

    variable: ClassVar[str]
    refuses_root: ClassVar[bool] = False
    # Whether it waits for the disk at each write, which is quicker in memory.
    syncs: ClassVar[bool] = False
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    kill_signal: ClassVar[signal.Signals] = signal.SIGKILL

    def __init__(self, address: str | None = None) -> None:
        """Find the program and a port, and start nothing.

        Raises:
            ServerMissingError: it is to be started here and is not installed.
        """
        self.address = address
        self.host = LOOPBACK
        self._process: subprocess.Popen[bytes] | None = None
        self._user: pwd.struct_passwd | None = None
        if address is not None:
            self.host, self.port = self.parse(address)
            return
        self.find_programs()
        self.port = free_port()
        if self.refuses_root and os.geteuid() == 0:
            self._user = _ordinary_user()
        self.folder = self._make_folder()
        self._log = self.folder / "log"
        self._log.touch()
        self._prepared = False

    def parse(self, address: str) -> tuple[str, int]:
        """Return host and port of an address, as the environment variable has it."""
        raise NotImplementedError

    def find_programs(self) -> None:
        """Find what the server needs, or raise `ServerMissingError`."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Make what the server needs once, before it is started for the first time."""

    def command(self) -> list[str]:
        """Return the command that runs the server in the foreground."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Ask once whether the server is ready for reading and writing.

        Raises:
            OSError: there is no connection.
        """
        raise NotImplementedError

    def start(self) -> None:
        """Start the server and wait until it answers; nothing if it is running.

        Raises:
            ServerFailedError: it ended instead, or did not answer in time.
        """
        if self.address is None:
            if self._process is not None:
                return
            if self._is_taken():
                self._fail("something else listens there")
            if not self._prepared:
                self.prepare()
                self._prepared = True
            self._process = self.spawn(self.command())
            _reaper.watch(self.folder, self._process.pid, self.kill_signal)
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if self._process is not None and self._process.poll() is not None:
                self._fail(f"it ended with {self._process.returncode}")
            if time.monotonic() > deadline:
                self._fail(f"no answer in {START_SECONDS:.0f} s")
            time.sleep(0.02)

    def stop(self) -> None:
        """End the server in order, and wait for its end; nothing if it is stopped."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End the server as a crash would, and wait for its end."""
        self._end(self.kill_signal)

    def restart(self) -> None:
        """Stop the server and start it again, on the same port, with the same data."""
        self.stop()
        self.start()

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Stop the server for a while."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def close(self) -> None:
        """End the server for good and remove its data."""
        if self.address is None:
            self._end(self.kill_signal)
            shutil.rmtree(self.folder, ignore_errors=True)
            _reaper.forget(self.folder)

    def __enter__(self) -> Self:
        """Start the server."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the server for good."""
        self.close()

    def spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Run a command in the server's folder, as its user, with its log as output."""
        user = self._user
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**unmeasured(), "LC_ALL": "C"},
                # Not in the terminal's group: an interrupt is for pytest alone, which
                # then stops the server.
                start_new_session=True,
                user=user and user.pw_uid,
                group=user and user.pw_gid,
                extra_groups=[] if user else None,
            )

    def _make_folder(self) -> Path:
        """Make the folder for data and log; the server's user must get at it."""
        user = self._user
        parents = [tempfile.gettempdir(), "/tmp", "/var/tmp"]  # noqa: S108 # shared
        if self.syncs and _is_roomy(MEMORY):
            parents.insert(0, str(MEMORY))
        parent = next(
            (p for p in parents if user is None or _is_open(Path(p))), parents[0]
        )
        folder = Path(tempfile.mkdtemp(prefix="flipper-server-", dir=parent))
        _reaper.watch(folder)
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        return folder

    def _is_taken(self) -> bool:
        """Return whether another server listens on the port."""
        with contextlib.suppress(OSError):
            socket.create_connection((self.host, self.port), timeout=5).close()
            return True
        return False

    def _is_ready(self) -> bool:
        try:
            return self.answers()
        except OSError:
            return False

    def _fail(self, what: str) -> NoReturn:
        name = type(self).__name__
        if self.address is not None:
            raise ServerFailedError(
                f"{name}, named by {self.variable}={self.address}: {what}"
            )
        log = self._log.read_text(errors="replace")[-4000:]
        raise ServerFailedError(
            f"{name} on port {self.port}: {what}; the end of its log:\n{log}"
        )

    def _end(self, ending: signal.Signals) -> None:
        if self.address is not None:
            pytest.skip(f"{self.variable} names a server that tests cannot stop")
        if self._process is None:
            return
        self._process.send_signal(ending)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        _reaper.watch(self.folder)


def _ordinary_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ServerMissingError(
        "no ordinary user (postgres, nobody) for a server that refuses root"
    )


def _is_roomy(folder: Path) -> bool:
    """Return whether a folder can be written, and has room for some servers."""
    return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > 2**29


def _is_open(folder: Path) -> bool:
    """Return whether every user may enter a folder and those above it."""
    folder = folder.resolve()
    return all(f.stat().st_mode & 0o001 for f in (folder, *folder.parents))


class _Reaper:
    """Tells `reaper.py` what it has to remove if pytest is killed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def watch(self, folder: Path, pid: int | None = None, ending: int = 0) -> None:
        """Let the reaper end the process with this signal, then remove the folder."""
        self._tell([str(folder), True, pid, ending])

    def forget(self, folder: Path) -> None:
        """Let the reaper forget the folder and its process."""
        self._tell([str(folder), False, None, 0])

    def _tell(self, line: list[object]) -> None:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-I", Path(__file__).with_name("reaper.py")],
                cwd="/",
                env=unmeasured(),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
                text=True,
            )
            atexit.register(self._end, os.getpid())
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()

    def _end(self, starter: int) -> None:
        # A forked child has these exit functions too, and must not end the reaper.
        if self._process is not None and os.getpid() == starter:
            self._process.communicate()


_reaper = _Reaper()


def unmeasured() -> dict[str, str]:
    """Return the environment for a program whose coverage is not measured.

    Coverage fails in forked processes, and doubles the time of a program.
    """
    return {name: value for name, value in os.environ.items() if "COV" not in name}
