# SPDX-License-Identifier: Apache-2.0
"""The documentation site builds without a warning, and loads nothing from elsewhere."""

from __future__ import annotations

import os
import posixpath
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("mkdocs", reason="the documentation site needs the extra docs")

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "docs" / "site" / "mkdocs.yml"

# What a browser loads by itself, by element and attribute. A link of the kinds that are
# not in `LOADED_LINKS` only leads somewhere.
LOADED = {
    *(("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src")),
    *(("video", "src"), ("audio", "src"), ("embed", "src"), ("object", "data")),
    *(("image", "href"), ("image", "xlink:href"), ("use", "href"), ("input", "src")),
    *(("video", "poster"), ("track", "src")),
}
LOADED_LINKS = {
    *("stylesheet", "icon", "preload", "modulepreload", "preconnect", "dns-prefetch"),
    *("manifest", "prefetch", "apple-touch-icon", "mask-icon"),
}
IN_CSS = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")
EXTERNAL = re.compile(r"^(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)


class Build(NamedTuple):
    """A built site, and what was printed meanwhile."""

    folder: Path
    printed: str


class PageParser(HTMLParser):
    """Collects what a page loads, the anchors that it has, and the links in it."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.undescribed: list[str] = []
        self._is_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what the attributes say."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        self.loaded += [values[n] for n in values if (tag, n) in LOADED]
        self.loaded += [part.split()[0] for part in _parts(values.get("srcset", ""))]
        self.loaded += _urls(values.get("style", ""))
        if tag == "link" and LOADED_LINKS & {*values.get("rel", "").lower().split()}:
            self.loaded.append(values["href"])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag == "img" and not values.get("alt"):
            self.undescribed.append(values.get("src", ""))
        self._is_style = tag == "style"

    def handle_data(self, data: str) -> None:
        """Collect what a style sheet within the page loads."""
        if self._is_style:
            self.loaded += _urls(data)
            self._is_style = False


def _parts(srcset: str) -> list[str]:
    return [part for part in srcset.split(",") if part.strip()]


def _urls(css: str) -> list[str]:
    return [one or other for one, other in IN_CSS.findall(css)]


def build(config: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Build a site as `make docs` does."""
    # Without `--quiet`: with it, warnings would neither be printed nor be counted.
    command = (sys.executable, "-m", "mkdocs", "build", "--strict")
    return subprocess.run(
        [*command, "--config-file", str(config), "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Build the site."""
    folder = tmp_path_factory.mktemp("site")
    done = build(CONFIG, folder)
    assert done.returncode == 0, done.stdout
    return Build(folder, done.stdout)


@pytest.fixture(scope="module")
def pages(site: Build) -> dict[str, PageParser]:
    """Parse all pages of the site, by their paths in it."""
    parsed = {}
    for path in sorted(site.folder.rglob("*.html")):
        parser = PageParser()
        parser.feed(path.read_text(encoding="utf-8"))
        parsed[path.relative_to(site.folder).as_posix()] = parser
    return parsed


def test_what_a_page_loads_is_found() -> None:
    """The tests below see each way in which a page loads something."""
    parser = PageParser()
    parser.feed(
        "<link rel='preconnect stylesheet' href='//a'><link rel='next' href='no'>"
        "<script src='https://b'></script><img src='c' srcset='d 1x, e 2x'>"
        "<p style='background: url(f)'><style>@import 'g'; p { b: url(\"h\") }</style>"
        "<a href='i' id='j'>"
    )
    assert parser.loaded == ["//a", "https://b", "c", "d", "e", "f", "g", "h"]
    assert [bool(EXTERNAL.match(url)) for url in parser.loaded[:3]] == [1, 1, 0]
    assert (parser.links, parser.anchors, parser.undescribed) == (["i"], {"j"}, ["c"])


@pytest.mark.slow
def test_the_site_builds_without_a_warning(site: Build) -> None:
    """Every page is in the navigation, and every link and docstring is right."""
    lines = site.printed.splitlines()
    assert [line for line in lines if not line.startswith("INFO ")] == []


@pytest.mark.slow
def test_each_document_is_a_page(pages: dict[str, PageParser]) -> None:
    """All documents of docs/, and those at the top of the repository, are pages."""
    documents = [path.relative_to(ROOT / "docs") for path in ROOT.glob("docs/**/*.md")]
    expected = {path.with_suffix(".html").as_posix() for path in documents}
    expected |= {f"{path.stem.lower()}.html" for path in ROOT.glob("*.md")}
    assert len(expected) > 20
    assert expected <= {*pages}


@pytest.mark.slow
def test_links_and_anchors_of_the_site_exist(
    pages: dict[str, PageParser], site: Build
) -> None:
    """Every link within the site leads to a page, and to an anchor that it has."""
    broken, checked = [], 0
    for name, page in pages.items():
        if name == "404.html":
            continue  # its links begin at the root of a server
        for link in page.links:
            target = urlsplit(link)
            if target.scheme or target.netloc:
                continue
            checked += 1
            path = posixpath.join(posixpath.dirname(name), unquote(target.path))
            path = posixpath.normpath(path) if target.path else name
            if path not in pages:
                if not (site.folder / path).is_file():
                    broken.append((name, link))
            elif target.fragment and unquote(target.fragment) not in (
                pages[path].anchors
            ):
                broken.append((name, link))
    assert not broken
    assert checked > 1_000


@pytest.mark.slow
def test_the_site_loads_nothing_from_elsewhere(
    pages: dict[str, PageParser], site: Build
) -> None:
    """No font, style sheet, script or picture is on another server."""
    loaded = [(name, url) for name, page in pages.items() for url in page.loaded]
    for path in site.folder.rglob("*.css"):
        name = path.relative_to(site.folder).as_posix()
        loaded += [(name, url) for url in _urls(path.read_text(encoding="utf-8"))]
    assert len(loaded) > 100
    assert not [(name, url) for name, url in loaded if EXTERNAL.match(url)]
    missing = [
        (name, url)
        for name, url in loaded
        if not url.startswith(("data:", "#", "/"))
        and not (site.folder / posixpath.dirname(name) / urlsplit(url).path).exists()
    ]
    assert not missing


@pytest.mark.slow
def test_pictures_have_a_description(pages: dict[str, PageParser]) -> None:
    """Readers who do not see a picture are told what it shows."""
    assert not {
        name: page.undescribed for name, page in pages.items() if page.undescribed
    }


@pytest.mark.slow
def test_nothing_is_left_that_stands_for_something_else(site: Build) -> None:
    """No page has a marker, and texts that the code gives are in their places."""
    texts = {path: path.read_text("utf-8") for path in site.folder.rglob("*.html")}
    left = re.compile(r"<!-- (?:site|fresh|needs|continued|file|no-run|beside|port)\b")
    assert not [path.name for path, text in texts.items() if left.search(text)]
    assert "flipper bucket ramp" in texts[site.folder / "reference" / "commands.html"]
    schema = texts[site.folder / "reference" / "flag-file-schema.html"]
    assert "Feature flags of flipper" in schema


@pytest.mark.slow
def test_mistakes_in_pages_fail_the_build(tmp_path: Path) -> None:
    """A page outside of the navigation, a wrong link and a wrong anchor fail."""
    copy = _checkout(tmp_path / "checkout")
    for name, text in {
        "new.md": "# New\n",
        "tutorial.md": "# Links\n\n[a](nowhere.md) and [b](rules.md#nowhere)\n",
    }.items():
        page = copy / "docs" / name
        page.unlink(missing_ok=True)  # it may be a link to the page itself
        page.write_text(text, encoding="utf-8")
    done = build(copy / "docs" / "site" / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    for mistake in ("new.md", "'nowhere.md'", "'#nowhere'"):
        assert mistake in done.stdout


def _checkout(copy: Path) -> Path:
    """Link to the checkout, but copy docs/ itself, so that a page can be replaced."""
    (copy / "docs").mkdir(parents=True)
    for path in ROOT.iterdir():
        if path.name != "docs":
            (copy / path.name).symlink_to(path)
    for path in (ROOT / "docs").iterdir():
        if path.name != "site":
            (copy / "docs" / path.name).symlink_to(path)
    (copy / "docs" / "site").mkdir()
    for path in (ROOT / "docs" / "site").iterdir():
        if path.is_file():
            target = copy / "docs" / "site" / path.name
            target.write_bytes(path.read_bytes())
    return copy
