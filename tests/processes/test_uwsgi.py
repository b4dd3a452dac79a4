# SPDX-License-Identifier: Apache-2.0
"""The stores in workers of the real uWSGI, which forks without telling Python."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from application_server import HERE, ROOT, ApplicationServer, python_program, run
from flags import FLAGS, KINDS, NAMES

from flipper import FeatureFlagClient
from flipper.testing.contract import eventually
from servers.process import LOOPBACK, absent, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flags import Places

pytestmark = [
    *(getattr(pytest.mark, mark) for mark in ("redis", "postgres", "consul", "s3")),
    pytest.mark.slow,
]

# The last one in which threads do not run unless --enable-threads is given.
WITHOUT_THREADS = "2.0.23"
SETTINGS = {
    "default": [],
    "enable-threads": ["--enable-threads"],
    "lazy-apps": ["--enable-threads", "--lazy-apps"],
    "osafterfork": ["--enable-threads", "--py-call-osafterfork"],
    "without a master": ["--enable-threads", "--no-master"],
    "hook replaced": ["--enable-threads", "--import", "replaces_hook.py"],
    "without threads": [],
    "without threads, lazy-apps": ["--lazy-apps"],
}


def uwsgi_without_threads() -> str:
    """Build an old uWSGI in an environment of its own, once, and return its path."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    home = ROOT / f".venv-uwsgi-{WITHOUT_THREADS}-{version}"
    program = home / "bin" / "uwsgi"
    # Race: each worker that runs tests asks for it; one makes it, the others wait.
    with home.with_name(f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            venv.create(home, with_pip=True, clear=True)
            pip = [home / "bin" / "python", "-m", "pip", "--quiet"]
            wanted = f"uWSGI=={WITHOUT_THREADS}"
            subprocess.run([*pip, "install", wanted], check=True, timeout=600)
    return str(program)


@pytest.fixture(scope="module", params=SETTINGS)
def setting(request: pytest.FixtureRequest) -> str:
    """Give the name of a setting."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def uwsgi(
    setting: str, places: Places, outside_stores: dict[str, Any]
) -> Iterator[ApplicationServer]:
    """Run three workers of uWSGI in each setting, each with all stores."""
    program = python_program("uwsgi")
    if not Path(program).exists():
        absent("uWSGI is not installed; `make install-dev` does that")
    if setting.startswith("without threads"):
        program = uwsgi_without_threads()
    for kind in KINDS:
        for flag in FLAGS:
            outside_stores[kind].create(flag, client_data={"of": flag})
        for name in NAMES:
            outside_stores[kind].create(name)
    port = free_port()
    command = [
        *(program, "--http-socket", f"{LOOPBACK}:{port}", "--need-app"),
        *("--master", "--processes", "3", "--listen", "64", "--module"),
        *("application:application", "--pythonpath", str(HERE), *SETTINGS[setting]),
    ]
    if setting == "without a master":
        command = [each for each in command if each not in {"--master", "--no-master"}]
    # uWSGI finds the packages of this environment, whichever it was built in.
    command += ["--virtualenv", sys.prefix]
    with run(command, port, places) as server:
        yield server


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """Give the name of a store."""
    name: str = request.param
    return name


@pytest.fixture
def outside(name: str, outside_stores: dict[str, Any]) -> FeatureFlagClient:
    """Give another process's view of the inner store."""
    return FeatureFlagClient(outside_stores[name.rpartition("-")[2]])


def in_every_worker(
    uwsgi: ApplicationServer, path: str, accept: Callable[[Any], bool]
) -> None:
    """See that all three workers come to give an acceptable answer within seconds."""

    def accepted() -> bool:
        with ThreadPoolExecutor(12) as threads:
            found = list(threads.map(uwsgi.ask, [path] * 24))
        assert not [each for each in found if "error" in each], found
        good = {each["pid"] for each in found if accept(each["answer"])}
        bad = {each["pid"] for each in found if not accept(each["answer"])}
        seen.update(good - bad)
        seen.difference_update(bad)
        return len(seen) >= 3

    seen: set[int] = set()
    eventually(accepted)


def test_each_question_gets_its_own_answer(uwsgi: ApplicationServer, name: str) -> None:
    """24 parallel requests never share a connection, and none of them hangs."""
    with ThreadPoolExecutor(24) as threads:
        paths = [f"/{name}/get_meta/{flag}" for flag in FLAGS * 9]
        found = list(threads.map(uwsgi.ask, paths))
    got = [each.get("answer", {}).get("client_data", each) for each in found]
    assert got == [{"of": flag} for flag in FLAGS * 9]


def test_a_change_from_outside_is_seen_by_every_worker(
    uwsgi: ApplicationServer, name: str, outside: FeatureFlagClient
) -> None:
    """Whoever forked, the workers follow the server, or ask it."""
    for is_on in (True, False):
        (outside.enable if is_on else outside.disable)(name)
        path = f"/{name}/is_enabled/{name}"
        in_every_worker(uwsgi, path, lambda answer: answer is is_on)  # noqa: B023


def test_workers_can_write(
    uwsgi: ApplicationServer, name: str, outside: FeatureFlagClient
) -> None:
    """What one worker has written is seen by the others and from outside."""
    for call, is_on in (("enable", True), ("disable", False)):
        uwsgi.answer(f"/{name}/{call}/{name}")
        path = f"/{name}/is_enabled/{name}"
        in_every_worker(uwsgi, path, lambda answer: answer is is_on)  # noqa: B023
        eventually(lambda: outside.is_enabled(name) is is_on)  # noqa: B023


def test_a_synced_store_tells_what_it_does(
    uwsgi: ApplicationServer, setting: str
) -> None:
    """It is live where threads run, and says so, with the remedy, where they do not."""
    runs = not setting.startswith("without threads")
    expected = "live" if runs else "direct"
    in_every_worker(uwsgi, "/synced-redis/state", lambda state: state == expected)
    workers = 3 if "lazy" in setting else 1
    assert uwsgi.log().count("start uWSGI with --enable-threads") == (
        0 if runs else workers
    )
