# SPDX-License-Identifier: Apache-2.0
"""The script that installs Pythons, with a double of apt.

`make test-all` shows that it really installs them.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "install.sh"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
TOOLS = ("sh", "cat", "chmod", "dirname", "head", "id", "ls", "mkdir", "mktemp", "mv")
TOOLS += ("grep", "nproc", "rm", "sed", "tar", "tr")

debian = pytest.mark.skipif(not KEYRING.exists(), reason="this is no Debian")


class Machine:
    """A folder for programs and caches, instead of those of this machine."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        self._programs = folder / "programs"
        self._programs.mkdir()
        for tool in TOOLS:
            (self._programs / tool).symlink_to(shutil.which(tool) or tool)

    def add(self, name: str, script: str) -> None:
        """Add a program."""
        program = self._programs / name
        program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        program.chmod(0o755)

    def add_apt(self, *, update: int = 0, install: int = 0, source: int = 0) -> None:
        """Add an apt that knows a mirror, and ends with these statuses."""
        self.add("dpkg", "exit 0")
        self.add("dpkg-query", "echo install ok installed")
        self.add(
            "apt-get",
            'case "$*" in\n'
            '*indextargets*) echo "http://mirror.invalid/debian" ;;\n'
            f"*update) exit {update} ;;\n"
            f"*install*) exit {install} ;;\n"
            f"*source*) {self._give_source} exit {source} ;;\n"
            "esac",
        )

    # A source package whose build installs a program that does nothing.
    _give_source = """
        mkdir python && cat >python/configure <<"END"
#!/bin/sh
echo "$*" >arguments
END
        chmod 755 python/configure && tar -cf python3.13_1.orig.tar.xz python;
        : >python3.13_1.orig.tar.xz.asc;
        rm -rf python;
    """

    def add_make(self, script: str = "") -> None:
        """Add a make that installs a Python that ends with 0."""
        self.add(
            "make",
            f"{script}\n"
            "for argument; do\n"
            "case $argument in DESTDIR=*) folder=${argument#*=} ;; esac\n"
            "done\n"
            '[ -n "$folder" ] || exit 0\n'
            "read -r prefix rest <arguments\n"
            "bin=$folder${prefix#*=}/bin\n"
            'mkdir -p "$bin" && echo "#!/bin/sh" >"$bin/python3.13t"\n'
            'chmod 755 "$bin"/*',
        )

    def install(self, *versions: str, ci: bool) -> tuple[int, str]:
        """Run the script, and give its status and what it prints."""
        done = subprocess.run(
            ["sh", SCRIPT, *versions],
            env={
                "PATH": str(self._programs),
                "HOME": str(self.cache / "home"),
                "XDG_CACHE_HOME": str(self.cache),
                "CI": "true" if ci else "",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert not done.stderr
        return done.returncode, done.stdout


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Give a machine without Python and apt."""
    return Machine(tmp_path)


def test_an_existing_python_is_kept(machine: Machine) -> None:
    """The script installs nothing if all versions are there."""
    machine.add("python3.15", "exit 0")
    machine.add("apt-get", "echo must not be called; exit 1")
    status, said = machine.install("3.15", ci=True)
    assert (status, said.split()[:2]) == (0, ["python3.15:", "found"])
    assert not machine.cache.exists()


def test_a_machine_without_apt_is_no_failure(machine: Machine) -> None:
    """Without apt the script names what is missing and the remedy, and ends with 0."""
    status, said = machine.install("3.13", "3.15", ci=True)
    assert status == 0
    old, new = said.splitlines()
    assert old.startswith("python3.13: missing, so nothing is tested on it; install ")
    assert new.startswith("python3.15: missing, so nothing is tested on it; install ")
    assert "Debian" in new


@debian
def test_a_machine_without_network_is_no_failure(machine: Machine) -> None:
    """Without a network the script says so, and ends with 0."""
    machine.add_apt(update=100)
    status, said = machine.install("3.15", ci=True)
    assert status == 0
    assert "cannot be reached" in said


@debian
@pytest.mark.parametrize("ci", [True, False])
def test_an_unsuccessful_installation_fails_in_ci(machine: Machine, ci: bool) -> None:
    """A failed installation ends with 1 in CI, and with 0 elsewhere."""
    machine.add_apt(install=100)
    status, said = machine.install("3.14", "3.15", ci=ci)
    assert status == ci
    assert said.count("failed") == 2


@debian
def test_an_unsuccessful_installation_leaves_nothing_behind(machine: Machine) -> None:
    """A Python that does not run is removed."""
    machine.add_apt()  # which says that all is well, but downloads nothing
    machine.install("3.15", ci=True)
    left = {path.name for path in (machine.cache / "flipper-interpreters").iterdir()}
    assert left == {"install.log"}


def test_a_free_threaded_python_is_another_than_the_usual_one(machine: Machine) -> None:
    """What pyenv calls 3.13.5t is a Python 3.13t, and no 3.13."""
    program = machine.cache / "home/.pyenv/versions/3.13.5t/bin/python"
    program.parent.mkdir(parents=True)
    machine.add("free-threaded", '[ "$3" = t ]')  # what find.sh asks it
    program.symlink_to(machine.cache.parent / "programs" / "free-threaded")
    _, said = machine.install("3.13", "3.13t", ci=True)
    usual, free = said.splitlines()
    assert usual.startswith("python3.13: missing, so nothing is tested on it; install ")
    assert free == f"python3.13t: found {program}"


@debian
def test_the_free_threaded_python_is_built_from_its_source(machine: Machine) -> None:
    """The build is announced, and a second run finds what it has installed."""
    machine.add_apt()
    machine.add_make()
    status, said = machine.install("3.13t", ci=True)
    announced, installed = said.splitlines()
    assert status == 0
    assert announced == "python3.13t: building, takes about 3 minutes"
    folder = machine.cache / "flipper-interpreters"
    assert installed == f"python3.13t: installed {folder}/3.13t/bin/python3.13t"
    assert {path.name for path in folder.iterdir()} == {"3.13t", "install.log"}
    assert machine.install("3.13t", ci=True)[1].startswith("python3.13t: found ")


@debian
def test_a_build_keeps_what_another_run_has_installed_meanwhile(
    machine: Machine,
) -> None:
    """Two runs at the same time may both build; either result will do."""
    machine.add_apt()
    other = machine.cache / "flipper-interpreters" / "3.13t" / "bin" / "python3.13t"
    machine.add_make(
        f"mkdir -p {other.parent}; echo '#!/bin/sh' >{other}; chmod 755 {other}"
    )
    status, said = machine.install("3.13t", ci=True)
    assert (status, said.splitlines()[-1].split()[1]) == (0, "installed")
    assert [path.name for path in other.parent.iterdir()] == [other.name]


@debian
@pytest.mark.parametrize("ci", [True, False])
def test_an_unsuccessful_build_fails_in_ci_and_leaves_nothing_behind(
    machine: Machine, ci: bool
) -> None:
    """A failed build ends with 1 in CI, and with 0 elsewhere."""
    machine.add_apt()
    machine.add_make("exit 2")
    status, said = machine.install("3.13t", ci=ci)
    assert status == ci
    assert "failed" in said
    left = {path.name for path in (machine.cache / "flipper-interpreters").iterdir()}
    assert left == {"install.log"}
