# SPDX-License-Identifier: Apache-2.0
"""The pytest plugin, in test runs of its own.

Most runs are in this process, because a process takes seconds to start.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

# Loaded before any run in this process: pytester unloads what a run has loaded, but the
# package would keep the classes.
from flipper import FeatureFlagClient, MemoryFeatureFlagStore, overrides
from flipper.exceptions import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Callable

pytest_plugins = ["pytester"]

PLUGIN = "flipper.integrations.pytest_plugin"


OPTIONS = ("-p", PLUGIN)


@pytest.fixture(autouse=True)
def _no_other_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load no other plugin, which would take most of the time."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.fixture
def run(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Return a function that runs the tests in a text, in this process."""

    def run(tests: str, *options: str, **files: str) -> pytest.RunResult:
        pytester.makepyfile(tests, **files)
        return pytester.runpytest_inprocess(*OPTIONS, *options)

    return run


# Fixtures


def test_the_client_is_new_for_each_test(run: Any) -> None:
    """No test finds the flags of another."""
    result = run(
        """
        import pytest

        @pytest.mark.parametrize("number", [1, 2])
        def test_client(flipper_client, number):
            assert not flipper_client.exists("X")
            flipper_client.create("X", is_enabled=True)
            assert flipper_client.is_enabled("X")
        """
    )
    result.assert_outcomes(passed=2)


def test_flags_are_set_for_one_test(run: Any) -> None:
    """`flipper_flags` is a dict, whose entries end with the test, also a failed one."""
    result = run(
        """
        import pytest
        from flipper import FeatureFlagClient, MemoryFeatureFlagStore

        features = FeatureFlagClient(MemoryFeatureFlagStore())

        @pytest.fixture
        def flipper_client():
            return features

        def test_first(flipper_flags):
            flipper_flags["X"] = True
            flipper_flags.update(Y=True, COLOUR="blue")
            assert features.is_enabled("X") and features.is_enabled("Y")
            del flipper_flags["Y"]
            assert not features.is_enabled("Y")
            assert not list(features.list())
            raise ValueError

        def test_second(flipper_flags):
            assert not flipper_flags
            assert not features.is_enabled("X")
            assert not features._overrides[0]

        def test_third():
            assert not features._overrides
        """
    )
    result.assert_outcomes(passed=2, failed=1)


# The marker


def test_the_marker_overrides_flags_also_for_fixtures(run: Any) -> None:
    """The flags are overridden before the fixtures that the test names."""
    result = run(
        """
        import pytest

        order = []

        @pytest.fixture(scope="session", autouse=True)
        def server():
            order.append("server")

        @pytest.fixture
        def flipper_client(flipper_client):
            order.append("client")
            return flipper_client

        @pytest.fixture
        def page(flipper_client):
            return "new" if flipper_client.is_enabled("NEW_UI") else "old"

        @pytest.mark.flipper(NEW_UI=True, **{"with-hyphen": True})
        def test_new(page, flipper_client):
            assert page == "new"
            assert flipper_client.is_enabled("with-hyphen")
            assert order == ["server", "client"]

        def test_old(page):
            assert page == "old"
        """,
        "--strict-markers",
    )
    result.assert_outcomes(passed=2)


def test_the_nearest_marker_decides(run: Any) -> None:
    """A function overrides its class, which overrides its module, flag by flag."""
    result = run(
        """
        import unittest
        import pytest

        pytestmark = pytest.mark.flipper(A=True, B=True, C=True)

        def answers(client):
            return [client.is_enabled(name) for name in "ABC"]

        @pytest.mark.flipper(B=False)
        class TestClass:
            @pytest.mark.flipper(C=False)
            def test_function(self, flipper_client):
                assert answers(flipper_client) == [True, False, False]

        @pytest.mark.parametrize("a", [
            pytest.param(False, marks=pytest.mark.flipper(A=False)), True,
        ])
        def test_parameter(a, flipper_client, flipper_flags):
            assert answers(flipper_client) == [a, True, True]
            assert flipper_flags["A"] is a

        class TestOfUnittest(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def _client(self, flipper_client):
                self.client = flipper_client

            def setUp(self):
                assert answers(self.client)[0]

            @pytest.mark.flipper(C=False)
            def test_method(self):
                self.assertEqual(answers(self.client), [True, True, False])
        """
    )
    result.assert_outcomes(passed=4)


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("'NEW_UI'", "*takes flags by keyword, as NEW_UI=True, and was given 'NEW_UI'"),
        ("NEW_UI=None", "*Feature 'NEW_UI' cannot be overridden by None; use True or*"),
    ],
)
def test_a_wrong_marker_is_an_error(run: Any, marker: str, message: str) -> None:
    """A marker that does nothing must not go unnoticed."""
    result = run(
        f"""
        import pytest

        @pytest.mark.flipper({marker})
        def test_it():
            pass
        """
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])


def test_async_tests_and_live_servers_see_the_marker(run: Any) -> None:
    """An override concerns the client, in whichever thread or task."""
    result = run(
        """
        import asyncio, threading
        import pytest

        @pytest.mark.flipper(X=True)
        def test_it(flipper_client):
            answers = []

            async def ask():
                await asyncio.sleep(0)
                answers.append(flipper_client.is_enabled("X"))

            asyncio.run(ask())
            thread = threading.Thread(target=asyncio.run, args=(ask(),))
            thread.start()
            thread.join()
            assert answers == [True, True]
        """
    )
    result.assert_outcomes(passed=1)


# Strict mode


STRICT = """
    import threading
    import pytest
    from flipper import FeatureFlagClient, MemoryFeatureFlagStore

    features = FeatureFlagClient(MemoryFeatureFlagStore())
    features.create("NEW_CHECKOUT", is_enabled=True)
    features.is_enabled("ASKED_BY_IMPORT")

    def test_good(flipper_client, flipper_flags):
        assert features.is_enabled("NEW_CHECKOUT")
        flipper_flags["X"] = True
        assert flipper_client.is_enabled("X")
        assert not features.exists("Y")

    def test_typo():
        features.is_enabled("NEW_CHEKOUT")

    def test_caught():
        try:
            features.get("with-hyphen").is_enabled(default=True)
        except Exception:
            pass

    def test_thread():
        thread = threading.Thread(target=features.is_enabled, args=("IN_THREAD",))
        thread.start()
        thread.join()

    def test_failed():
        assert features.is_enabled("NEW_CHEKOUT")

    def test_later(flipper_client):
        flipper_client.explain("LATER")
        flipper_client.create("LATER")

    @pytest.fixture
    def asking():
        features.is_enabled("IN_SETUP")
        yield
        features.is_enabled("IN_TEARDOWN")

    def test_fixture(asking):
        pass

    def test_last():
        pass
"""


def test_strict_mode_fails_tests_that_ask_about_missing_flags(run: Any) -> None:
    """The message names the flag, the line that asked, similar names and the remedy."""
    result = run(STRICT, "--flipper-strict")
    result.assert_outcomes(passed=2, failed=6, errors=1)
    name = "test_strict_mode_fails_tests_that_ask_about_missing_flags.py"
    result.stdout.fnmatch_lines(
        [
            "*test_typo*",
            "The test asked about flags that nobody has made:",
            f"  'NEW_CHEKOUT', asked by {name}:16: did you mean 'NEW_CHECKOUT'[?]",
            "Correct the name, create the flag by client.create('NEW_CHEKOUT'), or*",
            f"  'with-hyphen', asked by {name}:20: no flag has a name like this",
            "*@pytest.mark.flipper([*][*]{'with-hyphen': True}).",
            "  'IN_THREAD', asked by *threading.py:*",
            '*assert features.is_enabled("NEW_CHEKOUT")*',
            "* flags that nobody has made *",
            f"  'NEW_CHEKOUT', asked by {name}:30: did you mean 'NEW_CHECKOUT'[?]",
            f"  'LATER', asked by {name}:33: it was made only later",
            f"  'IN_SETUP', asked by {name}:38: *",
        ]
    )
    result.stdout.fnmatch_lines([f"  'IN_TEARDOWN', asked by {name}:40: *"])
    result.stdout.no_fnmatch_line("*ASKED_BY_IMPORT*")


def test_without_strict_mode_missing_flags_get_the_default(run: Any) -> None:
    """Nothing but the test's own assertions fails it."""
    run(STRICT).assert_outcomes(passed=7, failed=1)


def test_a_run_in_strict_mode_leaves_nothing_behind(run: Any) -> None:
    """A program may run pytest and go on."""
    client = FeatureFlagClient(MemoryFeatureFlagStore())
    reader = client._reader
    run("def test_it(): pass", "--flipper-strict").assert_outcomes(passed=1)
    assert overrides._missing_flag_listener is None
    assert client._reader is reader


def test_names_of_a_store_that_cannot_be_listed_are_not_needed(run: Any) -> None:
    """The test fails with the message all the same, without a hint."""
    result = run(
        """
        from unittest.mock import MagicMock
        from flipper import FeatureFlagClient

        def test_it():
            store = MagicMock()
            store.get.return_value = None
            store.list.side_effect = ConnectionError
            FeatureFlagClient(store).is_enabled("X")
        """,
        "--flipper-strict",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["  'X', asked by *: no flag has a name like this"])


def test_without_pytest_the_error_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who imports the plugin learns what to install."""
    monkeypatch.delitem(sys.modules, PLUGIN, raising=False)
    monkeypatch.setitem(sys.modules, "pytest", None)
    with pytest.raises(MissingDependencyError, match=r"'flipper-client\[testing\]'"):
        importlib.import_module(PLUGIN)


# Processes


def test_with_xdist_each_worker_overrides_and_checks(
    pytester: pytest.Pytester,
) -> None:
    """The fixtures, the marker and the option work in every worker."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", range(8))
        @pytest.mark.flipper(X=True)
        def test_on(number, flipper_client, flipper_flags):
            flipper_flags[f"Y{number}"] = True
            assert flipper_client.is_enabled("X")
            assert len(flipper_flags) == 2

        @pytest.mark.parametrize("number", range(4))
        def test_missing(number, flipper_client):
            flipper_client.is_enabled("X")
        """
    )
    options = (*OPTIONS, "-p", "xdist.plugin", "-n2", "--flipper-strict")
    result = pytester.runpytest_subprocess(*options, timeout=60)
    result.assert_outcomes(passed=8, failed=4)
    result.stdout.fnmatch_lines(["  'X', asked by *: no flag has a name like this"])


LOADED = """
    import json
    import sys

    def test_it():
        names = [name for name in sys.modules if name.partition(".")[0] == "flipper"]
        with open("loaded.json", "w") as file:
            json.dump(sorted(names), file)
"""


def test_a_project_that_does_not_use_it_loads_nothing(
    pytester: pytest.Pytester,
) -> None:
    """Of flipper, only the plugin itself is imported, and no fixture is set up."""
    pytester.makepyfile(LOADED)
    options = (*OPTIONS, "--setup-show")
    result = pytester.runpytest_subprocess(*options, timeout=60)
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*flipper_*")
    loaded = json.loads((pytester.path / "loaded.json").read_text(encoding="utf-8"))
    assert loaded == ["flipper", "flipper.integrations", PLUGIN]
