# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin: fixtures, the marker `flipper`, and the option `--flipper-strict`.

pytest loads this module in every environment in which flipper is installed. So it
imports nothing but pytest until a test uses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .. import require

require("pytest", "testing")
import pytest  # noqa: E402  (the line above says what to install)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...client import FeatureFlagClient
    from ...testing.overriding import FlagOverrides

_MARKER: Final = "flipper"
_FIXTURE: Final = "flipper_flags"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("flipper").addoption(
        "--flipper-strict",
        action="store_true",
        help="fail a test that asks about a feature flag that nobody has made",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker; in strict mode, listen to questions about missing flags."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(NAME=value, ...): override feature flags of flipper_client; True "
        f"or False switches a flag, any other value is that of its variant",
    )
    if config.getoption("--flipper-strict"):
        from .strict import MissingFlags

        config.pluginmanager.register(MissingFlags(config), "flipper-strict")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let tests with the marker use the fixture that applies it."""
    for item in items:
        if item.get_closest_marker(_MARKER) and isinstance(item, pytest.Function):
            _use_fixture(item)


def _use_fixture(item: pytest.Function) -> None:
    """Add the fixture to those of a test: after those of wider scopes, as pytest does.

    The list may be shared with other tests, so it is replaced.
    """
    names = [name for name in item.fixturenames if name != _FIXTURE]
    known = item._fixtureinfo.name2fixturedefs  # noqa: SLF001  (no public name)
    own = (
        index
        for index, name in enumerate(names)
        if name in known and known[name][-1].scope == "function"
    )
    names.insert(next(own, len(names)), _FIXTURE)
    item.fixturenames = names


@pytest.fixture
def flipper_client() -> FeatureFlagClient:
    """Return a new client with a store in memory.

    Override this fixture to return the client of your application: then the marker and
    `flipper_flags` concern that client. They write nothing to its store.
    """
    from ...client import FeatureFlagClient
    from ...contrib.memory import MemoryFeatureFlagStore

    return FeatureFlagClient(MemoryFeatureFlagStore())


@pytest.fixture
def flipper_flags(
    request: pytest.FixtureRequest, flipper_client: FeatureFlagClient
) -> Iterator[FlagOverrides]:
    """Return a dict whose entries override flags of `flipper_client` during this test.

    `flipper_flags["NEW_UI"] = True` switches a flag, and `del` ends that. Any value but
    True and False is that of the flag's variant. The marker `flipper` sets entries.
    """
    from ...testing.overriding import override_flags

    with override_flags(flipper_client, **_marked_flags(request.node)) as flags:
        yield flags


def _marked_flags(item: pytest.Item) -> dict[str, Any]:
    """Return the flags of the markers of a test; that of the function comes last."""
    flags: dict[str, Any] = {}
    for marker in reversed(list(item.iter_markers(_MARKER))):
        if marker.args:
            names = ", ".join(repr(argument) for argument in marker.args)
            message = (
                f"@pytest.mark.flipper takes flags by keyword, as NEW_UI=True, and "
                f"was given {names}"
            )
            pytest.fail(message, pytrace=False)
        flags.update(marker.kwargs)
    return flags
