# SPDX-License-Identifier: Apache-2.0
"""The check of commands in `console_examples.py` finds and runs them correctly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from console_examples import commands, run_and_compare
from document_examples import faults, fences, programs
from terminal_session import environment_of_checkout

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = """\
# Sample

```console
pip install nothing
```

```console
$ flipper create FIRST --url sqlite:///a.db
Created FIRST. It is off; if enabled, on for everybody.
$ export FLIPPER_URL=sqlite:///a.db
```

```python
1  # -> 1
```

```console
$ flipper enable FIRST
The flag 'FIRST' will be on for everybody. Continue? [y/N]: n
Nothing was changed.
$ echo $?
1
$ cat <<'END'
> one
>
> > two
> END
one

> two
$ printf 'no end of line'
no end of line
$ flipper show FIRST | tail -n 1
Created:     20... UTC
```

## Another section

```console
$ flipper list
There is no flipper.db in this folder; ...
No flags.
```

<!-- beside -->
```console
$ flipper watch
New store: sqlite:///flipper.db ...
Watching; Ctrl-C ends.
... + SECOND
    the answer stays the same
```

<!-- port: 9091 -->
```console
$ flipper create SECOND
Created SECOND. It is off; if enabled, on for everybody.
$ echo 9091
9091
```

## A tutorial

<!-- file: ask.py -->
```python
from flipper import FeatureFlagClient

print(FeatureFlagClient.from_url("sqlite:///flipper.db").is_enabled("THIRD"))
```

```console
$ flipper create THIRD
...
```

## The tutorial goes on

<!-- continued -->
```console
$ python ask.py
False
```
"""


def test_a_sample_is_read_and_runs(tmp_path: Path) -> None:
    """The sample has every way of writing that `console_examples.py` describes."""
    document = _document(tmp_path, SAMPLE)
    found = programs(fences(document), "console")
    assert [program.name for program in found] == [
        "sample.md:7 Sample",
        "sample.md:39 Another section",
        "sample.md:65 A tutorial",
    ]
    assert not faults(document)
    environment = environment_of_checkout(tmp_path)
    for number, program in enumerate(found):
        folder = tmp_path / str(number)
        folder.mkdir()
        run_and_compare(program, folder, {}, environment)


@pytest.mark.parametrize(
    ("printed", "difference"),
    [
        ("No flag.", "-No flag.\n+No flags."),
        ("No flags.\nMore", "-More"),
        ("", "+No flags."),
    ],
)
def test_a_wrong_output_fails(tmp_path: Path, printed: str, difference: str) -> None:
    """An example fails if its command prints anything else than it says."""
    text = f"```console\n$ flipper list --url memory://\n{printed}\n```\n"
    (program,) = programs(fences(_document(tmp_path, text)), "console")
    with pytest.raises(pytest.fail.Exception) as failure:
        run_and_compare(program, tmp_path, {}, environment_of_checkout(tmp_path))
    assert difference in str(failure.value)


def test_a_command_that_was_not_run_fails(tmp_path: Path) -> None:
    """If the shell ends early, the commands after it are reported."""
    text = "```console\n$ exit\n$ flipper list\n...\n```\n"
    (program,) = programs(fences(_document(tmp_path, text)), "console")
    with pytest.raises(pytest.fail.Exception, match="not run"):
        run_and_compare(program, tmp_path, {}, environment_of_checkout(tmp_path))


def test_output_without_a_command_is_noticed() -> None:
    """A block cannot begin with output."""
    with pytest.raises(AssertionError, match="the output of no command"):
        commands("No flags.\n$ flipper list\n")


@pytest.mark.parametrize("marker", ["port: 9091", "needs: redis"])
def test_an_address_that_is_not_there_is_noticed(tmp_path: Path, marker: str) -> None:
    """What a marker replaces has to be in the text."""
    text = f"<!-- {marker} -->\n```console\n$ flipper list\n```\n"
    (program,) = programs(fences(_document(tmp_path, text)), "console")
    servers = dict.fromkeys(program.needs)
    with pytest.raises(AssertionError, match="has no"):
        run_and_compare(program, tmp_path, servers, environment_of_checkout(tmp_path))


def _document(folder: Path, text: str) -> Path:
    path = folder / "sample.md"
    path.write_text(text, encoding="utf-8")
    return path
