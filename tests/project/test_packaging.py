# SPDX-License-Identifier: Apache-2.0
"""The two archives of a release, their metadata, and the installed library.

All tests but the first build and install with pip, from the network, as users do.
"""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import console_examples
import pytest
from document_examples import Program, fences, programs, run_and_compare
from packaging.requirements import Requirement
from terminal_session import environment_with

import flipper

if TYPE_CHECKING:
    from email.message import Message

ROOT = Path(__file__).parents[2]
REQUIRED = {"boto3", "lru-dict", "pyee", "python-consul", "redis", "thrift"}
EXTRAS = {
    *("all", "celery", "cli", "consul", "core-tests", "dev", "django", "docs"),
    *("fastapi", "files"),
    "flask",
    *("openfeature", "opentelemetry", "postgres", "redis", "s3", "starlette"),
    *("testing", "thrift", "yaml"),
}
IDL = "feature_flag_store.thrift"
# The versions that `make test-all` runs the tests on.
PYTHONS = re.findall(
    r"^PYTHONS := (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
)[0].split()
NUMBERS = [each for each in PYTHONS if not each.endswith("t")]  # not free-threaded


class Archives(NamedTuple):
    """The two archives of a release."""

    sdist: Path
    wheel: Path

    @property
    def sdist_names(self) -> set[str]:
        """The files of the source archive, by their paths in the checkout."""
        with tarfile.open(self.sdist) as archive:
            return {name.partition("/")[2] for name in archive.getnames()}

    @property
    def metadata(self) -> Message:
        """The metadata that installers read."""
        with zipfile.ZipFile(self.wheel) as archive:
            (name,) = (n for n in archive.namelist() if n.endswith("/METADATA"))
            return email.message_from_bytes(archive.read(name))

    @property
    def requirements(self) -> list[Requirement]:
        """All requirements, including those of the extras."""
        return [Requirement(line) for line in self.metadata.get_all("Requires-Dist")]


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """Run a program with these environment variables, and return its output."""
    # Coverage would double the time of pip and build, and with the path of a checkout
    # pip would find this library installed.
    unwanted = ("COVERAGE", "PYTHONPATH")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(unwanted)}
    environment |= variables
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def wheel_names(wheel: Path) -> set[str]:
    """List the files of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the checkout without files that tools have made."""
    copy = tmp_path_factory.mktemp("checkout") / "flipper"
    if not (ROOT / ".git").exists():
        left = ("*.egg-info", ".venv*", "__pycache__", "build", "dist")
        return shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*left))
    listing = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in run(*listing, cwd=ROOT).split("\0"):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def archives(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Archives:
    """Build the source archive, and the wheel from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, checkout, cwd=folder)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return Archives(sdist, wheel)


@pytest.fixture(scope="module")
def installed(archives: Archives, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a new environment, and give its interpreter."""
    folder = tmp_path_factory.mktemp("environment")
    return install(f"{archives.wheel}", folder)


@pytest.fixture(scope="module")
def installed_cli(archives: Archives, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Do the same with the extra `cli`, and pytest, as the tutorial says."""
    folder = tmp_path_factory.mktemp("environment_with_cli")
    return install(f"{archives.wheel}[cli]", folder, "pytest")


def install(requirement: str, folder: Path, *others: str) -> Path:
    """Make an environment with some requirements, and return its interpreter."""
    # Without pip, so that only the wheel and its requirements are installed.
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--quiet", "--python", python)
    run(*pip, "install", "--no-compile", requirement, *others, cwd=folder)
    run(*pip, "check", cwd=folder)
    return python


def test_the_package_knows_its_version() -> None:
    """`pyproject.toml` and `flipper.__version__` have the same version."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.findall(r'^version = "(.+)"$', text, re.MULTILINE) == [
        flipper.__version__
    ]


@pytest.mark.slow
def test_the_wheel_has_the_two_packages_only(
    archives: Archives, checkout: Path
) -> None:
    """A package `tests` would collide with those of other projects."""
    names = wheel_names(archives.wheel)
    kept = {name for name in names if ".dist-info/" not in name}
    assert kept == {
        *("flipper/py.typed", f"flipper_thrift/{IDL}"),
        *(
            str(path.relative_to(checkout))
            for package in ("flipper", "flipper_thrift")
            for path in (checkout / package).rglob("*.py")
        ),
    }
    assert "flipper_client-2.0.0.dist-info/licenses/LICENSE" in names


@pytest.mark.slow
def test_the_wheel_has_the_idl(archives: Archives, checkout: Path) -> None:
    """Authors of servers in other languages need the Thrift IDL."""
    with zipfile.ZipFile(archives.wheel) as archive:
        shipped = archive.read(f"flipper_thrift/{IDL}")
    assert shipped == (checkout / "thrift" / IDL).read_bytes()


@pytest.mark.slow
def test_the_source_archive_has_the_whole_checkout(
    archives: Archives, checkout: Path
) -> None:
    """Distributors build and test from the source archive."""
    there = {
        str(path.relative_to(checkout))
        for path in checkout.rglob("*")
        if path.is_file()
    }
    assert there <= archives.sdist_names


@pytest.mark.slow
def test_the_metadata_is_as_promised(archives: Archives) -> None:
    """Name, version, licence, lowest Python, extras and requirements are promised."""
    metadata = archives.metadata
    assert metadata["Name"] == "flipper-client"
    assert metadata["Version"] == flipper.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.10"
    assert set(metadata.get_all("Provides-Extra")) == EXTRAS
    hard = {need.name for need in archives.requirements if "extra" not in str(need)}
    assert hard == REQUIRED


@pytest.mark.slow
def test_the_supported_pythons_are_those_that_are_tested(archives: Archives) -> None:
    """The classifiers name the Pythons of `make test-all`."""
    supported = re.findall(
        r":: Python :: (3\.\d+)$",
        "\n".join(archives.metadata.get_all("Classifier")),
        re.MULTILINE,
    )
    assert supported == NUMBERS


@pytest.mark.slow
def test_requirements_have_lower_bounds_only(archives: Archives) -> None:
    """An upper bound would prevent security updates of an application."""
    others = [need for need in archives.requirements if need.name != "flipper-client"]
    bounds = {
        str(need): {one.operator for one in need.specifier}
        for need in others
        if {one.operator for one in need.specifier} != {">="}
    }
    assert not bounds


@pytest.mark.slow
def test_each_package_has_one_lowest_version(archives: Archives) -> None:
    """All extras require the same lowest version of a package."""
    bounds: dict[str, set[str]] = {}
    for need in archives.requirements:
        bounds.setdefault(need.name, set()).add(str(need.specifier))
    assert not {name: bound for name, bound in bounds.items() if len(bound) > 1}


@pytest.mark.slow
def test_setup_py_builds_the_same_wheel(
    archives: Archives, checkout: Path, tmp_path: Path
) -> None:
    """Older tools that call `setup.py` get the same package."""
    copy = shutil.copytree(checkout, tmp_path / "flipper")
    command = (sys.executable, "setup.py", "--quiet", "bdist_wheel", "--dist-dir")
    run(*command, tmp_path, cwd=copy)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel_names(wheel) == wheel_names(archives.wheel)


@pytest.mark.slow
def test_the_newest_python_installs_the_wheel_without_a_compiler(
    archives: Archives, checkout: Path, tmp_path: Path
) -> None:
    """All requirements have wheels for the newest Python, or need no compiler."""
    newest = NUMBERS[-1]
    find = ("sh", ROOT / "tests" / "interpreters" / "find.sh", newest)
    found = subprocess.run(find, capture_output=True, text=True, check=False).stdout
    if not found:
        pytest.skip(f"there is no Python {newest} here; `make interpreters` may help")
    run(found.strip(), "-m", "venv", "environment", cwd=tmp_path)
    python, nothing = tmp_path / "environment" / "bin" / "python", tmp_path / "nothing"
    nothing.mkdir()
    # Not from pip's cache, which may have wheels that were compiled here.
    pip = (python, "-m", "pip", "--quiet", "--no-cache-dir")
    install = (*pip, "install", "--no-compile", f"{archives.wheel}[cli]")
    run(*install, cwd=tmp_path, PATH=str(nothing), CC="none")
    run(*pip, "check", cwd=tmp_path)
    example = shutil.copy(checkout / "examples" / "quickstart.py", tmp_path)
    assert run(python, "-I", example, cwd=tmp_path)


@pytest.mark.slow
def test_the_installed_library_is_not_the_checkout(
    installed: Path, tmp_path: Path
) -> None:
    """The interpreter of the tests below imports the installed library."""
    shown = run(
        *(installed, "-I", "-c", "import flipper; print(flipper.__file__)"),
        cwd=tmp_path,
    )
    assert Path(shown).is_relative_to(installed.parents[1])


@pytest.mark.slow
def test_the_installed_library_runs_the_quickstart_example(
    installed_cli: Path, checkout: Path, tmp_path: Path
) -> None:
    """`examples/quickstart.py` runs outside of the checkout."""
    example = shutil.copy(checkout / "examples" / "quickstart.py", tmp_path)
    assert run(installed_cli, "-I", example, cwd=tmp_path)


@pytest.mark.slow
def test_the_installed_library_runs_the_quickstart_of_the_readme(
    installed: Path, checkout: Path, tmp_path: Path
) -> None:
    """The section "Quickstart" of README.md runs outside of the checkout."""
    (quickstart,) = (
        program
        for program in programs(fences(checkout / "README.md"))
        if program.fences[0].heading == "Quickstart"
    )
    run_and_compare(quickstart, tmp_path, {}, (str(installed), "-I"))


TESTS_WITH_THE_PLUGIN = """
import pytest

@pytest.mark.flipper(X=True)
def test_marked(flipper_client, flipper_flags):
    assert flipper_client.is_enabled("X")
    assert dict(flipper_flags) == {"X": True}

def test_missing(flipper_client):
    flipper_client.is_enabled("X")
"""


# The oldest that the extra `testing` allows, and the newest.
@pytest.mark.slow
@pytest.mark.parametrize("wanted", ["pytest==8.2.0", "pytest"])
def test_pytest_finds_the_installed_plugin(
    wanted: str, archives: Archives, tmp_path: Path
) -> None:
    """The entry point offers the fixtures, on the oldest and the newest pytest."""
    python = install(f"{archives.wheel}", tmp_path / "environment", wanted)
    (tmp_path / "test_it.py").write_text(TESTS_WITH_THE_PLUGIN, encoding="utf-8")
    pytest_command = (python, "-I", "-m", "pytest", "-W", "error")
    shown = run(*pytest_command, "--fixtures", "test_it.py", cwd=tmp_path)
    assert "\nflipper_client -- " in shown
    assert "\nflipper_flags -- " in shown
    passed = run(*pytest_command, "--strict-markers", "test_it.py", cwd=tmp_path)
    assert " 2 passed" in passed
    strict = subprocess.run(
        [*pytest_command, "--flipper-strict", "test_it.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert " 1 failed, 1 passed" in strict.stdout
    assert "The test asked about flags that nobody has made" in strict.stdout


COMMANDS = [
    program
    for document in ("README.md", "docs/tutorial.md")
    for program in programs(fences(ROOT / document), "console")
]


@pytest.mark.slow
@pytest.mark.parametrize("program", COMMANDS, ids=lambda program: program.name)
def test_the_installed_command_prints_what_the_documents_say(
    program: Program, installed_cli: Path, tmp_path: Path
) -> None:
    """The commands of README.md and of the tutorial run outside of the checkout."""
    assert not program.needs
    environment = environment_with(installed_cli.parent)
    console_examples.run_and_compare(program, tmp_path, {}, environment)


@pytest.mark.slow
def test_the_installed_command_is_also_a_module(
    installed_cli: Path, tmp_path: Path
) -> None:
    """`python -m flipper` is the same as `flipper`."""
    script = run(installed_cli.with_name("flipper"), "--version", cwd=tmp_path)
    module = run(installed_cli, "-I", "-m", "flipper", "--version", cwd=tmp_path)
    assert script == module == f"flipper, version {flipper.__version__}\n"


@pytest.mark.slow
@pytest.mark.parametrize("command", ["flipper", "python -I -m flipper"])
def test_without_its_extra_the_command_names_it(
    command: str, installed: Path, tmp_path: Path
) -> None:
    """Without click, the command says what to install, without a traceback."""
    program, *arguments = command.split()
    done = subprocess.run(
        [installed.with_name(program), *arguments, "list"],
        cwd=tmp_path,
        env=environment_with(installed.parent),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    (message,) = done.stderr.splitlines()
    assert "pip install 'flipper-client[cli]'" in message
    assert not list(tmp_path.iterdir())
