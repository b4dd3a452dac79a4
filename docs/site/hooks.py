# SPDX-License-Identifier: Apache-2.0
"""What MkDocs does for the documentation site beside what `mkdocs.yml` says.

The pages are written for two readers: the web view of the repository, where links lead
from file to file, and the site. So the site also has the documents that are not in
docs/, and a page for each other file that a page links to, such as an example. No file
is copied, and links are mended in memory.

What a page has between `<!-- site: commands -->` and `<!-- end -->` is replaced by the
help of all commands, and what is after `<!-- site: flag-file-schema -->` by the JSON
Schema of files of flags.
"""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from mkdocs.structure.files import File

from flipper.cli.program import program
from flipper.flag_files import schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
# Documents of the repository that are pages: their paths, and those of their pages.
DOCUMENTS = {
    "README.md": "readme.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
# Other files, each shown as it is on a page in this folder.
FILES = "files"
SHOWN = ("LICENSE", "MAINTAINERS", "examples/**/*", "thrift/*.thrift")
# Those with these suffixes, and the languages that they are highlighted as.
LANGUAGES = {
    "": "text",
    ".html": "html",
    ".json": "json",
    ".py": "python",
    ".thrift": "thrift",
    ".toml": "toml",
    ".txt": "text",
    ".yaml": "yaml",
    ".yml": "yaml",
}
LOWEST_LEVEL = 3  # of the headings of commands
WIDTH = 80  # of the help of commands, in characters

FENCE = re.compile(r" *(`{3,})")
COMMENT = re.compile(r" *<!-- (?!site:|end).* -->")  # for the tests of examples
GENERATED = re.compile(r"<!-- site: ([a-z-]+) -->\n.*?\n<!-- end -->\n", re.DOTALL)
# A span of code, or else the target of a link. Of the two, the span wins.
LINK = re.compile(
    r"(`+)[^`](?:(?:(?!\n\n).)*?[^`])?\1(?!`)|(?<=\]\()([^)\s#:]+)(?=[)#])", re.DOTALL
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    for source, uri in DOCUMENTS.items():
        path = str(ROOT / source)
        files.append(File.generated(config, uri, abs_src_path=path))
    for source, paths in shown_files().items():
        content = "".join(_as_shown(source, paths))
        files.append(File.generated(config, f"{FILES}/{source}.md", content=content))
    return files


def shown_files() -> dict[str, list[Path]]:
    """Return what is shown as it is: files, and folders with all of their files."""
    found: dict[str, list[Path]] = {}
    for pattern in SHOWN:
        for path in sorted(ROOT.glob(pattern)):
            if path.suffix not in LANGUAGES or not path.is_file():
                continue
            inside = path.relative_to(ROOT)
            found[inside.as_posix()] = [path]
            for folder in list(inside.parents)[:-2]:  # but for the one at the top
                found.setdefault(folder.as_posix(), []).append(path)
    return found


def _as_shown(source: str, paths: list[Path]) -> Iterator[str]:
    yield f"# {source}\n"
    for path in paths:
        if len(paths) > 1:
            yield f"\n## {path.relative_to(ROOT / source).as_posix()}\n"
        text = path.read_text(encoding="utf-8").rstrip()
        yield f"\n````{LANGUAGES[path.suffix]}\n{text}\n````\n"


def on_page_markdown(
    markdown: str, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Write what stands for the code, mend links, and leave out the tests' markers."""
    del config, files
    uri = page.file.src_uri
    if uri.startswith(f"{FILES}/"):
        return markdown
    sources = {page: source for source, page in DOCUMENTS.items()}
    source = sources.get(uri, f"docs/{uri}")

    def mended(found: re.Match[str]) -> str:
        return found[0] if found[2] is None else link(source, uri, found[2])

    prose = [
        text if is_code else LINK.sub(mended, text)
        for is_code, text in _parts(markdown)
    ]
    return GENERATED.sub(lambda found: WRITERS[found[1]](), "".join(prose))


def link(source: str, uri: str, target: str) -> str:
    """Return a link of a document as the link of its page to another page.

    Args:
        source: the path of the document in the repository.
        uri: the path of its page.
        target: the link in the document.
    """
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    if path in DOCUMENTS:
        path = DOCUMENTS[path]
    elif path.startswith("docs/"):
        path = path.removeprefix("docs/")
    elif path in shown_files():
        path = f"{FILES}/{path}.md"
    else:
        return target  # MkDocs reports it
    return posixpath.relpath(path, posixpath.dirname(uri) or ".")


def _parts(markdown: str) -> Iterator[tuple[bool, str]]:
    """Yield the fenced blocks and what is between them, and whether it is a block."""
    part: list[str] = []
    fence = ""
    for line in markdown.splitlines(keepends=True):
        found = FENCE.match(line)
        if found and not fence:
            yield False, "".join(part)
            part, fence = [line], found[1]
        elif fence and line.strip() == fence:
            yield True, "".join([*part, line])
            part, fence = [], ""
        elif fence or not COMMENT.fullmatch(line.rstrip("\n")):
            part.append(line)
    yield False, "".join(part)


def commands() -> str:
    """Return the help of the command and of all its commands, as sections."""
    ctx = click.Context(program, info_name="flipper", **program.context_settings)
    ctx.max_content_width = ctx.terminal_width = WIDTH
    return "".join(_sections(program, ctx, 2))


def _sections(command: click.Command, ctx: click.Context, level: int) -> Iterator[str]:
    text = click.unstyle(command.get_help(ctx))
    yield f"\n{'#' * level} {ctx.command_path}\n\n```text\n{text}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            inner = command.get_command(ctx, name)
            if inner is not None:
                inside = click.Context(inner, info_name=name, parent=ctx)
                yield from _sections(inner, inside, min(level + 1, LOWEST_LEVEL))


def flag_file_schema() -> str:
    """Return the JSON Schema of files of flags."""
    text = json.dumps(schema(), indent=2, ensure_ascii=False)
    return f"```json\n{text}\n```\n"


WRITERS: dict[str, Any] = {"commands": commands, "flag-file-schema": flag_file_schema}
