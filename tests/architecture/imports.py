# SPDX-License-Identifier: Apache-2.0
"""The floors of `flipper/`, and every import in it.

A new package or module gets a line in `FLOORS`; the modules of a package are on the
floor of the package. `test_imports.py` checks the imports, `draw.py` draws them.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]

GROUND, RULES, RECORDS, CONTRACTS, FACE, DRIVERS, EDGE = range(7)
FLOORS = {
    "flipper.exceptions": GROUND,
    "flipper.runtime": GROUND,
    "flipper.contrib.util": GROUND,
    "flipper.conditions": RULES,
    "flipper.bucketing": RULES,
    "flipper.arguments": RULES,
    "flipper.rules": RULES,
    "flipper.explanation": RULES,
    "flipper.contrib.storage": RECORDS,
    "flipper.evaluation": RECORDS,
    "flipper.flag_files": RECORDS,
    "flipper.contrib.interface": CONTRACTS,
    "flipper.contrib.store": CONTRACTS,
    "flipper.contracts": CONTRACTS,
    "flipper.events": CONTRACTS,
    "flipper.client": FACE,
    "flipper.asking": FACE,
    "flipper.async_client": FACE,
    "flipper.serving": FACE,
    "flipper.overrides": FACE,
    "flipper.per_request": FACE,
    "flipper.memoizing": FACE,
    "flipper.argument_context": FACE,
    "flipper.hooks": FACE,
    "flipper.request_scope": FACE,
    "flipper.writing": FACE,
    "flipper.writing_rules": FACE,
    "flipper.prerequisites": FACE,
    "flipper.flag": FACE,
    "flipper.decorators": FACE,
    "flipper.registry": FACE,
    "flipper.contrib.memory": DRIVERS,
    "flipper.contrib.redis": DRIVERS,
    "flipper.contrib.consul": DRIVERS,
    "flipper.contrib.s3": DRIVERS,
    "flipper.contrib.postgresql": DRIVERS,
    "flipper.contrib.sqlite": DRIVERS,
    "flipper.contrib.thrift": DRIVERS,
    "flipper.contrib.cached": DRIVERS,
    "flipper.contrib.replicated": DRIVERS,
    "flipper.contrib.synced": DRIVERS,
    "flipper.contrib.failover": DRIVERS,
    "flipper.contrib.file": DRIVERS,
    "flipper.contrib.read_only": DRIVERS,
    "flipper.urls": EDGE,
    "flipper.reason_codes": EDGE,
    "flipper.integrations": EDGE,
    "flipper.importers": EDGE,
    "flipper.testing": EDGE,
    "flipper.cli": EDGE,
    "flipper.__main__": EDGE,
}
# They define nothing: their tables of names are resolved when a name is used.
FACADES = {"flipper", "flipper.contrib", "flipper.rules"}


class Arrow(NamedTuple):
    """One import: by which module, on which line, of what."""

    importer: str
    line: int
    target: str


def modules(root: Path, package: str) -> dict[str, Path]:
    """Return the path of every module of a package in a folder."""
    found = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def arrows(name: str, path: Path, known: dict[str, Path]) -> Iterator[Arrow]:
    """Yield every import of a module, wherever it stands in the text."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in _nodes(path.read_text(encoding="utf-8")):
        for target in _targets(node, package, known):
            yield Arrow(name, node.lineno, target)


@cache
def _nodes(text: str) -> list[ast.Import | ast.ImportFrom | ast.Call]:
    """Return the imports and calls of a module; several tests read all modules."""
    kinds = (ast.Import, ast.ImportFrom, ast.Call)
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]


def _targets(node: ast.AST, package: str, known: dict[str, Path]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = _absolute("." * node.level + (node.module or ""), package)
        inside = [f"{base}.{alias.name}" for alias in node.names]
        return sorted({target if target in known else base for target in inside})
    if isinstance(node, ast.Call) and node.args:
        called = getattr(node.func, "attr", getattr(node.func, "id", None))
        name = getattr(node.args[0], "value", None)
        if called in {"import_module", "__import__"} and isinstance(name, str):
            return [_absolute(name, package)]
    return []


def _absolute(target: str, package: str) -> str:
    level = len(target) - len(target.lstrip("."))
    if not level:
        return target
    base = package.split(".")[: len(package.split(".")) - level + 1]
    return ".".join([*base, *filter(None, [target[level:]])])


def room(module: str) -> str | None:
    """Return the entry of `FLOORS` that a module belongs to, or `None`."""
    parts = module.split(".")
    prefixes = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in FLOORS), None)
