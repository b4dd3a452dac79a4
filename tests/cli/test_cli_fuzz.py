# SPDX-License-Identifier: Apache-2.0
"""Random arguments, files and plans: a message and an exit code, never a traceback.

The environment variable FLIPPER_FUZZ_CASES sets how many cases there are.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flipper import MemoryFeatureFlagStore
from flipper.cli import session as session_module
from flipper.cli.condition_text import format_check, parse_condition
from flipper.cli.program import COMMANDS, run
from flipper.cli.values import format_value, parse_value
from flipper.conditions import Condition
from support.fuzz import CASES

fuzz = settings(
    max_examples=CASES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# What the operating system can give to a program: everything but NUL characters. Bytes
# that are not UTF-8 arrive as lone surrogates.
ANY_TEXT = st.text(
    st.characters(exclude_characters="\0", exclude_categories=()).filter(
        lambda c: not "\ud800" <= c <= "\udfff" or "\udc80" <= c <= "\udcff"
    ),
    max_size=12,
)
PIECES = st.lists(
    st.sampled_from(
        [
            *("a", "age", "x", "18", "0", "-1", "1e999", "9" * 20, "9" * 5000, "0.25"),
            *("=", "==", ">=", "!=", "<", " ", " in ", "not in", ",", "..", "%", "~"),
            *('"', "'", "[", "]", "{", "}", "\\", "\n", "\x1b[31m", "\u202e", "\udcff"),
            *("true", "null", "None", "NaN", "s", "m", "h", "d", "__gte", "__", "and "),
            *("memory://", "redis://", "sqlite:///", "://", "@", ":", "?", "&", "é"),
            *("user_id=1..9", "user_id=u1..u9", "a=1", "age >= 18", "flag", "--"),
        ]
    ),
    max_size=5,
).map("".join)
WORD = st.one_of(PIECES, ANY_TEXT)
OPTION = st.sampled_from(
    [
        *(
            "--json",
            "--yes",
            "--help",
            "--enabled",
            "--prune",
            "--dry-run",
            "--version",
        ),
        *("--replace", "--overwrite", "--sample", "--by", "--over", "--from", "--to"),
        *("--data", "--format", "--out", "--url", "--app", "-y", "-d", "--read-only"),
    ]
)
# Others wait for changes, or listen.
QUICK = sorted({*COMMANDS} - {"watch", "relay", "serve-thrift", "doctor"})
SUBCOMMANDS = ("add", "set", "clear", "ramp", "get", "bash")


def documents(store: Any) -> dict[str, bytes]:
    """Return what a store has."""
    return {item.feature_name: item.serialize() for item in store.list()}


def run_on(store: Any, arguments: list[str]) -> tuple[int, str, str]:
    """Run a command whose store, by whichever URL, is this one."""
    out, err = io.StringIO(), io.StringIO()
    real = session_module.open_store
    session_module.open_store = lambda url: real(url) if url else store
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run(arguments)
    finally:
        session_module.open_store = real
    return code, out.getvalue(), err.getvalue()


def flags() -> MemoryFeatureFlagStore:
    """Make a store with two flags."""
    store = MemoryFeatureFlagStore()
    store.create("flag", is_enabled=True, client_data={"owner": "anna"})
    store.create("a")
    return store


@pytest.fixture(scope="module", autouse=True)
def _scratch_folder() -> Any:
    """Let relative paths of random arguments be in a folder of their own."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        yield
        os.chdir(before)


def check_outcome(store: Any, before: dict[str, bytes], outcome: Any) -> None:
    """Check the rules for every command, whatever its arguments."""
    code, out, err = outcome
    assert code in {0, 1, 2, 3, 4}
    assert "Traceback" not in out + err
    if code >= 2:
        assert err.strip()
        assert documents(store) == before


@fuzz
@given(
    command=st.sampled_from(QUICK),
    words=st.lists(st.one_of(WORD, OPTION, st.sampled_from(SUBCOMMANDS)), max_size=5),
)
@example(command="check", words=["flag", "--sample", "a=1.." + "9" * 30])
@example(command="bucket", words=["ramp", "flag", "--over", "9" * 400 + "d"])
@example(command="meta", words=["set", "flag", "a=[1e999]"])
@example(command="meta", words=["set", "flag", "\udcff=\udcff", "--json"])
def test_random_arguments_get_an_exit_code_and_a_message(
    command: str, words: list[str]
) -> None:
    """There is no traceback, and a refused command writes nothing."""
    store = flags()
    before = documents(store)
    check_outcome(store, before, run_on(store, [command, *words]))


@fuzz
@given(
    command=st.sampled_from(
        [
            ["create"],
            ["check", "flag"],
            ["check", "flag", "--sample"],
            ["condition", "add", "flag"],
            ["condition", "set", "flag"],
            ["bucket", "set", "flag", "--yes"],
            ["bucket", "ramp", "flag", "--yes", "--over"],
            ["meta", "set", "flag"],
            ["meta", "get", "flag"],
            ["show"],
            ["list"],
            ["delete", "--yes"],
            ["list", "--url"],
            ["diff", "memory://"],
            ["copy", "memory://"],
            ["list", "--app"],
        ]
    ),
    word=WORD,
    as_json=st.booleans(),
)
def test_random_values_get_an_exit_code_and_a_message(
    command: list[str], word: str, as_json: bool
) -> None:
    """This holds for each kind of value, and `--json` prints JSON or nothing."""
    store = flags()
    before = documents(store)
    arguments = [*command[:1], *(["--json"] if as_json else []), *command[1:], word]
    if command[0] in {"condition", "bucket", "meta"}:
        arguments = [*(["--json"] if as_json else []), *command, word]
    outcome = run_on(store, arguments)
    check_outcome(store, before, outcome)
    if as_json and outcome[1] and not outcome[1].startswith("Usage:"):
        json.loads(outcome[1])


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("version", "flags", "enabled", "conditions", "bucketer", "x"),
                    *("client_data", "type", "percentage", "flipper_plan", "changes"),
                    *("feature_name", "before", "after", "meta", "created_date"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def plan_of(changes: Any) -> dict[str, Any]:
    """Return a plan with these changes."""
    return {"flipper_plan": 1, "changes": changes}


FLAG = {
    "feature_name": "flag",
    "is_enabled": True,
    "meta": {"created_date": 1, "client_data": {}, "conditions": [], "bucketer": None},
}
CHANGES = st.fixed_dictionaries(
    {
        "feature_name": st.sampled_from(["flag", "new", "", "a", 7]) | JSON_VALUES,
        "before": st.sampled_from([None, FLAG]) | JSON_VALUES,
        "after": st.sampled_from([None, FLAG]) | JSON_VALUES,
    }
)


@fuzz
@given(
    command=st.sampled_from(
        [
            ["apply", "--yes"],
            ["apply", "--yes", "--prune"],
            ["plan", "--json"],
            ["import", "--yes", "--replace"],
            ["import", "--dry-run"],
            ["diff", "memory://"],
        ]
    ),
    content=st.one_of(
        JSON_VALUES,
        JSON_VALUES.map(lambda data: {"version": 1, "flags": data}),
        JSON_VALUES.map(lambda data: {"version": 1, "flags": {"flag": data}}),
        JSON_VALUES.map(plan_of),
        st.lists(CHANGES, max_size=2).map(plan_of),
    ).map(lambda data: json.dumps(data).encode())
    | st.binary(max_size=30)
    | PIECES.map(lambda text: text.encode(errors="replace")),
    suffix=st.sampled_from(["json", "toml", "yaml", "txt", "json", "json"]),
)
def test_random_files_get_an_exit_code_and_a_message(
    command: list[str], content: bytes, suffix: str
) -> None:
    """A file or plan of any content changes flags only if all of it is valid."""
    store = flags()
    before = documents(store)
    path = Path(f"file.{suffix}")
    path.write_bytes(content)
    outcome = run_on(store, [*command, str(path)])
    check_outcome(store, before, outcome)
    if outcome[0] != 0:
        assert documents(store) == before


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | PIECES.filter(lambda text: "\udcff" not in text),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner)
    ),
    max_leaves=4,
)


@fuzz
@given(VALUES)
def test_the_text_of_a_value_is_read_as_this_value(value: Any) -> None:
    """What `show` prints can be typed."""
    read = parse_value(format_value(value))
    assert (repr(read), read) == (repr(value), value)


@fuzz
@given(
    name=st.from_regex(r"[a-z]+(_[a-z]+)?", fullmatch=True),
    symbol=st.sampled_from(["", "ne", "gt", "gte", "lt", "lte"]),
    value=VALUES,
)
def test_the_text_of_a_check_is_read_as_this_check(
    name: str, symbol: str, value: Any
) -> None:
    """What `show` prints of a condition can be typed."""
    keyword = f"{name}__{symbol}" if symbol else name
    made = Condition(**{keyword: value})
    text = format_check(made.own_checks[0])
    assert parse_condition([text]).to_dict() == made.to_dict()


@fuzz
@given(
    symbol=st.sampled_from(["endswith", "icontains", "startswith"]),
    value=st.text(max_size=9) | st.lists(st.text(max_size=3), max_size=3),
)
def test_the_text_of_a_check_of_texts_is_read_as_this_check(
    symbol: str, value: Any
) -> None:
    """A number is written in quotes, though the command needs none for it."""
    made = Condition(**{f"x__{symbol}": value})
    text = format_check(made.own_checks[0])
    assert parse_condition([text]).to_dict() == made.to_dict()


@fuzz
@given(
    symbol=st.sampled_from(["in", "not_in", "any_of", "all_of", "none_of"]),
    values=st.lists(VALUES, max_size=4),
)
def test_the_text_of_a_list_is_read_as_this_list(
    symbol: str, values: list[Any]
) -> None:
    """Lists are written without brackets, where this has only one meaning."""
    made = Condition(**{f"x__{symbol}": values})
    text = format_check(made.own_checks[0])
    assert parse_condition([text]).to_dict() == made.to_dict()
