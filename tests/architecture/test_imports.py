# SPDX-License-Identifier: Apache-2.0
"""Which module may import which: those of its own floor, and of the floors below.

`imports.py` defines the floors. Imports inside functions and under TYPE_CHECKING count
like all others. The last tests look at what a bare interpreter has loaded.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import sysconfig
from typing import TYPE_CHECKING

import pytest
from imports import (
    DRIVERS,
    EDGE,
    FACADES,
    FACE,
    FLOORS,
    ROOT,
    Arrow,
    arrows,
    modules,
    room,
)

if TYPE_CHECKING:
    from pathlib import Path

# Programs inside a room: they create any store by its name.
PROGRAMS = {"flipper.contrib.thrift.server"}
LONGEST_MODULE = 320  # lines
LONGEST_FUNCTION = 45  # lines after its docstring
LARGEST_SHARE = 0.3  # of the lines of flipper/ that one room may have

THIRD_PARTY_BELOW_DRIVERS = {("flipper.events", "pyee")}
TYPE_ONLY = {"typing_extensions"}  # type checkers know it even if it is not installed
THRIFT_USERS = {"flipper.contrib.thrift"}
# FastAPI is built on Starlette.
BUILT_ON = {("fastapi", "starlette")}
# Methods that load what is above when they are called: `FeatureFlagClient.from_url`.
LOADED_WHEN_CALLED = {("flipper.client", "flipper.urls")}

HEAVY = {
    *("asyncio", "boto3", "botocore", "consul", "django", "flask", "lru"),
    *("psycopg", "psycopg_pool", "pytest", "redis", "thrift"),
    "flipper.conditions.patterns",
    *("importlib.metadata", "flipper.urls", "flipper.cli", "click", "rich", "sqlite3"),
}


def objection(arrow: Arrow) -> str | None:
    """Return why an import is forbidden, or `None`."""
    package = arrow.target.partition(".")[0]
    mine = room(arrow.importer)
    if arrow.importer.startswith("flipper_thrift"):
        broken = {"generated code must not import flipper": package == "flipper"}
    elif mine is None:
        broken = {}  # a facade, or reported as a module without a floor
    elif package == "flipper":
        broken = _inside(arrow, mine)
    else:
        broken = _outside(package, mine)
    return next((reason for reason, is_broken in broken.items() if is_broken), None)


def _outside(package: str, mine: str) -> dict[str, bool]:
    foreign = package not in {*sys.stdlib_module_names, *TYPE_ONLY, "flipper_thrift"}
    allowed = FLOORS[mine] >= DRIVERS or (mine, package) in THIRD_PARTY_BELOW_DRIVERS
    return {
        "only the Thrift store and its server may import it": (
            package == "flipper_thrift" and mine not in THRIFT_USERS
        ),
        "modules below the stores import only the standard library": foreign
        and not allowed,
    }


def _inside(arrow: Arrow, mine: str) -> dict[str, bool]:
    here = FLOORS[mine]
    if arrow.target in FACADES:
        is_program = arrow.importer in PROGRAMS
        return {
            "a facade hides which module is imported": here < EDGE and not is_program
        }
    theirs = room(arrow.target)
    if theirs is None:
        return {"the imported module has no floor": True}
    there = FLOORS[theirs]
    return {
        f"from floor {here} up to floor {there}": (
            there > here and (mine, theirs) not in LOADED_WHEN_CALLED
        ),
        "a store must not import the client": (here, there) == (DRIVERS, FACE),
        "a store must not import another store": (
            here == there == DRIVERS and mine != theirs
        ),
        "a store must not import events": (
            here == DRIVERS and theirs == "flipper.events"
        ),
        "events must not import stores": (
            mine == "flipper.events" and arrow.target.startswith("flipper.contrib.")
        ),
        "an integration must not import another one": (
            mine == theirs == "flipper.integrations"
            and _integration(arrow.target) not in {_integration(arrow.importer), None}
            and (_integration(arrow.importer), _integration(arrow.target))
            not in BUILT_ON
        ),
    }


def _integration(module: str) -> str | None:
    """Return the name after flipper.integrations, or `None`."""
    parts = module.split(".")
    return parts[2] if len(parts) > 2 else None


def faults(root: Path) -> list[str]:
    """Return what is wrong with the imports of the two packages in a folder."""
    known = {**modules(root, "flipper"), **modules(root, "flipper_thrift")}
    found = [
        f"{name}: has no floor, give it one in FLOORS"
        for name in modules(root, "flipper")
        if name not in FACADES and room(name) is None
    ]
    found += [
        f"{name}:{arrow.line} imports {arrow.target}: {reason}"
        for name, path in known.items()
        for arrow in arrows(name, path, known)
        if (reason := objection(arrow))
    ]
    return found


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a statement loads in a bare interpreter."""
    paths = sysconfig.get_paths()
    code = (
        "import sys\n"
        "before = set(sys.modules)\n"
        f"sys.path[:0] = {[str(ROOT), paths['purelib'], paths['platlib']]!r}\n"
        f"{statement}\n"
        "print(*set(sys.modules) - before)\n"
    )
    # Isolated and without the module site, which loads other modules.
    command = [sys.executable, "-I", "-S", "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


def test_every_import_is_of_the_same_floor_or_a_lower_one() -> None:
    """A change of a module concerns only its own floor and those above."""
    found = faults(ROOT)
    assert not found, "\n".join(found)


def test_only_the_random_bucketer_uses_the_module_random() -> None:
    """All else takes `uniform`, so that `random.seed(1)` has the same effect always."""
    users = {
        name
        for name, path in modules(ROOT, "flipper").items()
        for arrow in arrows(name, path, {})
        if arrow.target.partition(".")[0] == "random"
    }
    assert users == {
        "flipper.bucketing.percentage_bucketer",  # which tests of applications seed
        "flipper.runtime.jitter",  # which takes the system's generator
    }


def test_no_imports_form_a_circle() -> None:
    """No module of a circle can be understood, or changed, without the others."""
    known = modules(ROOT, "flipper")
    imports = {
        name: {arrow.target for arrow in arrows(name, path, known)} & known.keys()
        for name, path in known.items()
        if name not in FACADES
    }
    circle = find_circle(imports)
    assert not circle, " imports ".join(circle)


def find_circle(imports: dict[str, set[str]]) -> list[str]:
    """Return the names along one circle of imports, or an empty list."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        done.add(name)
        nexts = (walk(target, [*path, name]) for target in imports.get(name, ()))
        return next((found for found in nexts if found), [])

    return next((found for name in imports if (found := walk(name, []))), [])


def test_a_circle_is_found() -> None:
    """A circle is found even if it does not begin at the first module."""
    assert find_circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert find_circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_room_is_too_large() -> None:
    """A room with too large a share of all lines has to be divided."""
    lines: dict[str, int] = {}
    for name, path in modules(ROOT, "flipper").items():
        inside = name.split(".")[1:] or ["__init__"]
        place = ".".join(inside[: 2 if inside[0] == "contrib" else 1])
        count = len(path.read_text(encoding="utf-8").splitlines())
        lines[place] = lines.get(place, 0) + count
    share = {place: count / sum(lines.values()) for place, count in lines.items()}
    assert {place for place in share if share[place] > LARGEST_SHARE} == set()


def test_no_module_and_no_function_is_too_long() -> None:
    """Who reads a module or a function can keep it in mind."""
    long = []
    for path in modules(ROOT, "flipper").values():
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > LONGEST_MODULE:
            long.append(str(path))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                first = node.body[1:2] if ast.get_docstring(node) else node.body[:1]
                start = (first or node.body)[0].lineno
                if (node.end_lineno or 0) - start >= LONGEST_FUNCTION:
                    long.append(f"{path}: {node.name}")
    assert not long


def test_no_module_has_two_floors() -> None:
    """The entry of a package and one of its module would contradict each other."""
    nested = [name for name in FLOORS if room(name.rpartition(".")[0]) is not None]
    assert not nested


@pytest.mark.parametrize(
    ("path", "text", "reason"),
    [
        ("flipper/novelty.py", "", "has no floor"),
        ("flipper/contrib/novelty.py", "", "has no floor"),
        ("flipper/flag.py", "from .novelty import x", "no floor"),
        ("flipper/conditions/check.py", "from ..evaluation import x", "floor 1 up"),
        ("flipper/conditions/check.py", "from flipper.flag import x", "floor 1 up"),
        ("flipper/bucketing/__init__.py", "from .. import client", "floor 1 up"),
        ("flipper/evaluation.py", "def f():\n    import flipper.flag", "floor 2 up"),
        (
            "flipper/evaluation.py",
            "import typing as t\nif t.TYPE_CHECKING:\n    from .client import X",
            "floor 2 up",
        ),
        (
            "flipper/flag.py",
            "import importlib\nimportlib.import_module('.contrib.redis', __package__)",
            "floor 4 up",
        ),
        ("flipper/client.py", "from .contrib.memory import x", "floor 4 up"),
        ("flipper/client.py", "from . import FeatureFlag", "a facade hides"),
        ("flipper/client.py", "import pyee", "only the standard library"),
        ("flipper/contrib/storage/item.py", "import redis", "only the standard"),
        (
            "flipper/contrib/redis/x.py",
            "from ...client import x",
            "must not import the client",
        ),
        (
            "flipper/contrib/cached/x.py",
            "from ..memory import x",
            "must not import another store",
        ),
        (
            "flipper/contrib/s3/x.py",
            "from ...events.types import x",
            "must not import events",
        ),
        (
            "flipper/events/emitter.py",
            "from ..contrib.store import x",
            "must not import stores",
        ),
        (
            "flipper/contrib/s3/x.py",
            "from ...integrations import x",
            "floor 5 up",
        ),
        (
            "flipper/contrib/redis/x.py",
            "import flipper_thrift.python",
            "only the Thrift",
        ),
        (
            "flipper/integrations/flask.py",
            "from .django.middleware import x",
            "must not import another one",
        ),
        (
            "flipper/integrations/starlette.py",
            "from .fastapi import x",
            "must not import another one",
        ),
        ("flipper_thrift/python/x.py", "from flipper import y", "must not import"),
    ],
)
def test_a_forbidden_import_is_found(
    tmp_path: Path, path: str, text: str, reason: str
) -> None:
    """The check finds it, however the import is written."""
    for name in ("client", "flag", "evaluation", "contrib/memory", "contrib/redis"):
        _write(tmp_path / "flipper" / f"{name}.py", "")
    _write(tmp_path / path, text)
    assert reason in "\n".join(faults(tmp_path))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("flipper/__init__.py", "from .contrib.redis import RedisFeatureFlagStore"),
        ("flipper/client.py", "from .contracts import atomic\nfrom .events import x"),
        (
            "flipper/contrib/redis/x.py",
            "import redis\nfrom ..storage import item",
        ),
        ("flipper/contrib/thrift/x.py", "from flipper_thrift.python import x"),
        ("flipper/events/emitter.py", "import pyee\nfrom .types import EventType"),
        ("flipper/integrations/fastapi.py", "from .starlette import x"),
        ("flipper/integrations/django/web.py", "from .models import x\nimport django"),
        ("flipper/testing/contract/x.py", "from flipper import FeatureFlagClient"),
    ],
)
def test_an_allowed_import_is_accepted(tmp_path: Path, path: str, text: str) -> None:
    """The check does not refuse imports that the rules allow."""
    _write(tmp_path / "flipper/contracts/atomic.py", "")
    _write(tmp_path / path, text)
    assert not faults(tmp_path)


@pytest.mark.parametrize(
    "statement",
    [
        "import flipper",
        "from flipper import FeatureFlagClient, MemoryFeatureFlagStore",
    ],
)
def test_the_import_of_flipper_loads_no_driver(statement: str) -> None:
    """A process with one store does not load the drivers of the others."""
    loaded = loaded_by(statement)
    assert "flipper" in loaded
    assert not loaded & {*HEAVY, "ipaddress"}


def test_the_help_of_the_command_loads_no_store() -> None:
    """A command loads only what it needs, so each of them starts quickly."""
    loaded = loaded_by(
        "import contextlib, io\nfrom flipper.cli.program import run\n"
        "with contextlib.redirect_stdout(io.StringIO()): run(['--help'])"
    )
    assert "click" in loaded
    assert not loaded & ((HEAVY - {"flipper.cli", "click"}) | {"flipper.flag_files"})


def test_only_the_cache_reads_a_clock_that_tests_can_freeze() -> None:
    """All other modules read the clock of `runtime.clock`."""
    reads = re.compile(r"(from time import .*|\btime\.)(monotonic|perf_counter)")
    found = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "flipper").rglob("*.py")
        if reads.search(path.read_text(encoding="utf-8"))
    }
    assert found == {
        "flipper/contrib/cached/__init__.py",
        "flipper/contrib/cached/entries.py",
        "flipper/runtime/clock.py",
    }


def test_a_driver_that_is_loaded_is_noticed() -> None:
    """Otherwise the test above would pass for every library."""
    assert "redis" in loaded_by("import redis")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
