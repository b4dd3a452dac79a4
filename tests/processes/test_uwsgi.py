# SPDX-License-Identifier: Apache-2.0
"""Every store in the workers of a real uWSGI, which forks without telling Python."""

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

# The last version in which threads run only with --enable-threads.
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
    """Return the path of an old uWSGI, built once in an environment of its own."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    home = ROOT / f".venv-uwsgi-{WITHOUT_THREADS}-{version}"
    program = home / "bin" / "uwsgi"
    # Race: several test workers need it; one builds it, and the others wait.
    with home.with_name(f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            venv.create(home, with_pip=False, clear=True)
            into = ["--python", home / "bin" / "python"]
            pip = [sys.executable, "-m", "pip", *into, "--quiet"]
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
    """Run three workers of uWSGI in each setting; each worker has all stores."""
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
    # uWSGI uses the packages of this environment, wherever it was built.
    command += ["--virtualenv", sys.prefix]
    with run(command, port, places) as server:
        yield server


@pytest.fixture(scope="module")
def outside(outside_stores: dict[str, Any]) -> dict[str, FeatureFlagClient]:
    """Give the client that another process has of each inner store, by store name."""
    return {
        name: FeatureFlagClient(outside_stores[name.rpartition("-")[2]])
        for name in NAMES
    }


def in_every_worker(
    uwsgi: ApplicationServer, path: str, accept: Callable[[Any], bool]
) -> None:
    """Wait until the last answer of each of the three workers is acceptable."""

    def is_accepted() -> bool:
        with ThreadPoolExecutor(12) as threads:
            found = list(threads.map(uwsgi.ask, [path] * 12))
        assert not [each for each in found if "error" in each], found
        good = {each["pid"] for each in found if accept(each["answer"])}
        bad = {each["pid"] for each in found if not accept(each["answer"])}
        accepted.update(good - bad)
        accepted.difference_update(bad)
        return len(accepted) >= 3

    accepted: set[int] = set()
    eventually(is_accepted)


def test_each_call_gets_its_own_answer(uwsgi: ApplicationServer) -> None:
    """24 parallel requests share no connection of any store, and none of them hangs."""
    asked = FLAGS * 4
    with ThreadPoolExecutor(24) as threads:
        paths = [f"/every/get_meta/{flag}" for flag in asked]
        found = list(threads.map(uwsgi.ask, paths))
    assert not [each for each in found if "error" in each], found
    for flag, each in zip(asked, found, strict=True):
        got = {name: meta["client_data"] for name, meta in each["answer"].items()}
        assert got == {name: {"of": flag} for name in NAMES}


def test_a_change_from_outside_reaches_every_worker(
    uwsgi: ApplicationServer, outside: dict[str, FeatureFlagClient]
) -> None:
    """Every store in every worker answers with what another process has written."""
    for is_on in (True, False):
        for name, client in outside.items():
            (client.enable if is_on else client.disable)(name)
        expected = dict.fromkeys(NAMES, is_on)
        path = "/every/is_enabled/itself"
        in_every_worker(uwsgi, path, lambda answer: answer == expected)  # noqa: B023


def test_the_write_of_a_worker_reaches_all_others(
    uwsgi: ApplicationServer, outside: dict[str, FeatureFlagClient]
) -> None:
    """Every store in every worker, and outside of them, sees the write of a worker."""
    for call, is_on in (("enable", True), ("disable", False)):
        for name in NAMES:
            uwsgi.answer(f"/{name}/{call}/itself")
        expected = dict.fromkeys(NAMES, is_on)
        path = "/every/is_enabled/itself"
        in_every_worker(uwsgi, path, lambda answer: answer == expected)  # noqa: B023
        for name, client in outside.items():
            eventually(lambda: client.is_enabled(name) is is_on)  # noqa: B023


def test_a_synced_store_reports_its_state(
    uwsgi: ApplicationServer, setting: str
) -> None:
    """It is live where threads run; elsewhere it is direct, and logs the remedy."""
    runs = not setting.startswith("without threads")
    expected = "live" if runs else "direct"
    path = "/synced-redis/state/itself"
    in_every_worker(uwsgi, path, lambda state: state == expected)
    workers = 3 if "lazy" in setting else 1
    assert uwsgi.log().count("start uWSGI with --enable-threads") == (
        0 if runs else workers
    )
