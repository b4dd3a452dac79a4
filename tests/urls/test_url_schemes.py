# SPDX-License-Identifier: Apache-2.0
"""Other packages add schemes by entry points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flipper import FeatureFlagClient, store_from_url
from flipper.exceptions import InvalidArgumentError, MissingDependencyError

if TYPE_CHECKING:
    from pathlib import Path

MODULE = """
from flipper import MemoryFeatureFlagStore


class ToyStore(MemoryFeatureFlagStore):
    def __init__(self, host, port, size):
        super().__init__()
        self.made_of = (host, port, size)
        self.is_closed = False

    def close(self):
        self.is_closed = True


made = []


def build(url):
    host = url.host(1234)
    store = ToyStore(host.name, host.port, url.options.integer("size_of_toys", 5))
    made.append(store)
    return store


def build_nothing(url):
    return None


def fail(url):
    raise OSError(f"cannot connect with {url.password}")


no_function = 5
"""


def install(folder: Path, name: str, **entry_points: str) -> None:
    """Write the files that an installer leaves of a package."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    lines = [f"{scheme} = {value}" for scheme, value in entry_points.items()]
    text = "\n".join(["[flipper.stores]", *lines, ""])
    (info / "entry_points.txt").write_text(text)


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder on the path in which the package "toys" is installed."""
    (tmp_path / "toy_flags.py").write_text(MODULE)
    install(
        tmp_path,
        "toys",
        **{
            "toy": "toy_flags:build",
            "Toy+Upper": "toy_flags:build",
            "absent": "no_such_toys:build",
            "nameless": "toy_flags:no_such_name",
            "number": "toy_flags:no_function",
            "nothing": "toy_flags:build_nothing",
            "failing": "toy_flags:fail",
            "memory": "toy_flags:fail",
        },
    )
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("toys")
def test_a_package_adds_a_scheme() -> None:
    """It gets the parts of the URL; the wrappers are flipper's."""
    store = store_from_url("toy://shop/x?size_of_toys=7")
    assert store.made_of == ("shop", 1234, 7)
    assert store_from_url("TOY+upper://[::1]:5").made_of == ("::1", 5, 5)
    client = FeatureFlagClient.from_url("toy://shop?sync=1&read_only=1")
    inner = client._store._store._store  # type: ignore[attr-defined]
    client.close()
    assert inner.is_closed is True


@pytest.mark.usefixtures("toys")
def test_an_option_that_the_package_does_not_read_is_refused() -> None:
    """The nearest that it reads is named; its store is closed again."""
    import toy_flags  # type: ignore[import-not-found]

    with pytest.raises(InvalidArgumentError, match="did you mean 'size_of_toys'"):
        store_from_url("toy://shop?size_of_toy=7")
    assert toy_flags.made[-1].is_closed is True


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        (
            "absent",
            r"'no_such_toys:build' of the package 'toys', which cannot be loaded",
        ),
        ("nameless", r"\(AttributeError: .*no_such_name"),
        (
            "number",
            "'toy_flags:no_function' of the package 'toys', which is no function",
        ),
    ],
)
def test_a_broken_entry_point_is_named(scheme: str, said: str) -> None:
    """With its package, so that the reader knows what to repair."""
    with pytest.raises(MissingDependencyError, match=said):
        store_from_url(f"{scheme}://shop")


@pytest.mark.usefixtures("toys")
def test_a_builder_that_fails_shows_no_secret() -> None:
    """Its author may not have thought of it."""
    with pytest.raises(InvalidArgumentError, match=r"OSError: cannot .* \*\*\*$"):
        store_from_url("failing://:hunter2@shop")
    with pytest.raises(InvalidArgumentError, match="has returned NoneType"):
        store_from_url("nothing://")


@pytest.mark.usefixtures("toys")
def test_the_schemes_of_flipper_cannot_be_replaced() -> None:
    """A package that is installed by accident must not get the flags."""
    assert type(store_from_url("memory://")).__name__ == "MemoryFeatureFlagStore"


def test_a_scheme_of_two_packages_is_refused(toys: Path) -> None:
    """The order of the path would decide which of them gets the flags."""
    install(toys, "games", toy="games:build")
    with pytest.raises(InvalidArgumentError, match=r"'games'.*'toys'; uninstall all"):
        store_from_url("toy://shop")


@pytest.mark.usefixtures("toys")
def test_the_nearest_scheme_may_be_that_of_a_package() -> None:
    """It is as good as flipper's own."""
    with pytest.raises(InvalidArgumentError, match="did you mean nameless://"):
        store_from_url("nameles://shop")
