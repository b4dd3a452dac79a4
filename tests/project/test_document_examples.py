# SPDX-License-Identifier: Apache-2.0
"""The check of examples in `document_examples.py` finds and runs them correctly."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from document_examples import (
    examples_not_run,
    faults,
    fences,
    programs,
    run_and_compare,
)

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = """\
# Sample

```python
greeting = "hällo"
```

### A smaller heading goes on

1. In a list:

   ```python
   greeting  # -> 'hällo'
   "not shown"
   for name in ("a", "b"):
       print(name, "# -> not a comment")
   # -> a # -> not a comment
   # -> b # -> not a comment
   len(
       greeting
   ), "pair"  # -> (5, 'pair')
   print(object())  # -> <object object at 0x...>
   print(); print("x")
   # ->
   # -> x
   ```

```console
$ never run
```

<!-- fresh -->

```python
"greeting" in globals()  # -> False
```

## Another section

<!-- no-run: needs a farm -->
```python
feed(horses)
```

```python
"greeting" in globals()  # -> False
reply = "hej"
```

<!-- file: reply.py -->
```python
for the commands of another test
```

## A section that goes on

<!-- continued -->
```python
reply  # -> 'hej'
```
"""


def test_a_sample_is_read_and_runs(tmp_path: Path) -> None:
    """The sample has every way of writing that `document_examples.py` describes."""
    blocks = fences(_document(tmp_path, SAMPLE))
    assert [program.name for program in programs(blocks)] == [
        "sample.md:3 Sample",
        "sample.md:33 A smaller heading goes on",
        "sample.md:44 Another section",
    ]
    assert examples_not_run(blocks) == ["sample.md:40 not run: needs a farm"]
    assert not faults(tmp_path / "sample.md")
    for program in programs(blocks):
        run_and_compare(program, tmp_path, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 1  # -> 3", "-3\n+2"),
        ("True  # -> 1", "-1\n+True"),
        ("print(1)", "+1"),
        ("x = 1  # -> 1", "-1"),
        ("print(1)  # -> 1\n# -> 2", "-2"),
        ("\n\nraise SystemError", "line 5"),
        ("import sys; sys.exit(1)", "fails"),
    ],
)
def test_a_wrong_example_fails(tmp_path: Path, text: str, expected: str) -> None:
    """An example fails if it raises, or prints anything else than it says."""
    document = _document(tmp_path, f"# Wrong\n```python\n{text}\n```\n")
    (program,) = programs(fences(document))
    with pytest.raises((AssertionError, pytest.fail.Exception)) as failure:
        run_and_compare(program, tmp_path, {})
    assert expected in str(failure.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("```\n```", "what language is ''?"),
        ("```python 3\n```", "what language is 'python 3'?"),
        ("```text\n", "a fence is not closed"),
        ("<!-- no-run -->\n```python\n```", "why is it not run?"),
        ("<!-- no-run: x -->\n```text\n```", "only what is run has markers"),
        ("<!-- needs: horses -->\n```python\n```", "no server is called horses"),
        ("<!-- needs:redis -->\n```python\n```", "1 markers are misspelt"),
        (
            "<!-- fresh -->\nText\n```python\n```",
            "1 markers are misspelt or above no fence",
        ),
    ],
)
def test_a_badly_written_example_is_noticed(
    tmp_path: Path, text: str, expected: str
) -> None:
    """A misspelt marker, language or fence is a fault."""
    (fault,) = faults(_document(tmp_path, text))
    assert expected in fault


@pytest.mark.parametrize(
    ("need", "written", "printed"),
    [
        (
            "redis",
            'client(host="localhost", port=6379)',
            "() {'host': '::1', 'port': 7}",
        ),
        ("consul", "client('127.0.0.1', 8500)", "('::1', 7) {}"),
        ("redis", 'client("redis://localhost:6379/0")', "('redis://::1:7/0',) {}"),
        ("postgres", 'client("postgresql://localhost/app")', "('host=::1',) {}"),
        ("s3", 'client("s3")', "('s3',) {'endpoint_url': 'http://[::1]:7', ...}"),
    ],
)
def test_the_address_of_a_server_is_replaced(
    tmp_path: Path, need: str, written: str, printed: str
) -> None:
    """The usual address is replaced by that of the tests' server."""
    code = "def client(*given, **named):\n    print(given, named)\n\n\n"
    code += f"{written}\n# -> {printed}\n"
    document = _document(tmp_path, f"<!-- needs: {need} -->\n```python\n{code}```\n")
    server = SimpleNamespace(host="::1", port=7, endpoint="http://[::1]:7")
    (program,) = programs(fences(document))
    assert program.needs == [need]
    run_and_compare(
        program, tmp_path, {need: "host=::1" if need == "postgres" else server}
    )


def test_a_missing_address_is_noticed(tmp_path: Path) -> None:
    """A program that needs a server has to name its usual address."""
    document = _document(
        tmp_path, "<!-- needs: redis -->\n```python\nport = 6380\n```\n"
    )
    (program,) = programs(fences(document))
    with pytest.raises(AssertionError, match="names no address of redis"):
        run_and_compare(
            program, tmp_path, {"redis": SimpleNamespace(host="::1", port=7)}
        )


def _document(folder: Path, text: str) -> Path:
    path = folder / "sample.md"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(("release", "is_skipped"), [("8.2", False), ("1000", True)])
def test_a_program_is_skipped_with_an_older_release(
    tmp_path: Path, release: str, is_skipped: bool
) -> None:
    """An example of a new function fails with a release that lacks it."""
    text = f"<!-- release: pytest {release} -->\n```python\n1\n```\n"
    (program,) = programs(fences(_document(tmp_path, text)))
    if not is_skipped:
        program.skip_with_older_releases()
        return
    with pytest.raises(pytest.skip.Exception, match="needs pytest 1000"):
        program.skip_with_older_releases()
