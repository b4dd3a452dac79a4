# SPDX-License-Identifier: Apache-2.0
"""The generated Thrift package: what the compiler alone would not give."""

from __future__ import annotations

import contextlib
import copy
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.thrift

ttypes = pytest.importorskip("flipper_thrift.python.feature_flag_store.ttypes")


def test_exception_can_be_raised_through_a_context_manager() -> None:
    """The attributes that Python sets on a raised exception can be set."""

    @contextlib.contextmanager
    def block() -> Iterator[None]:
        yield

    error = ttypes.FlipperException(ttypes.ErrorCode.NOT_FOUND, "x")
    with pytest.raises(ttypes.FlipperException) as raised, block():
        raise error from ValueError("cause")
    assert raised.value is error
    error.__traceback__ = None
    error.message = "y"
    assert error == ttypes.FlipperException(message="y", code=0)


def test_notes_do_not_change_an_exception() -> None:
    """Text and equality depend on the fields, and not on notes."""
    error = ttypes.FlipperException(0, "x")
    error.__notes__ = ["by the test runner"]
    assert str(error) == repr(error) == "FlipperException(code=0, message='x')"
    assert error == ttypes.FlipperException(0, "x")


def test_equal_exceptions_have_the_same_hash() -> None:
    """Exceptions with the same fields are equal, and one element of a set."""
    errors = {
        ttypes.FlipperException(0, "x"),
        ttypes.FlipperException(code=0, message="x"),
        ttypes.FlipperException(0, "y"),
    }
    assert len(errors) == 2
    assert ttypes.FlipperException(0, "x") != ttypes.FlipperException(0, "y")
    assert ttypes.FlipperException(0, "x") != ttypes.ConditionOperator("x")


@pytest.mark.parametrize(
    "error",
    [ttypes.FlipperException(0, "x"), ttypes.FlipperException(code=0, message="x")],
    ids=["positional", "keywords"],
)
def test_exception_survives_copy_and_pickle(error: Exception) -> None:
    """An exception is the same after it was copied or pickled."""
    assert copy.copy(error) == error
    assert pickle.loads(pickle.dumps(error)) == error  # noqa: S301 # our own


def test_package_loads_no_thrift_before_its_modules_are_imported() -> None:
    """The package can be imported without Apache Thrift."""
    script = "import flipper_thrift, sys; sys.exit('thrift.Thrift' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_generated_code_needs_no_six() -> None:
    """The generated code can be imported without six."""
    script = (
        "import sys; sys.modules['six'] = None\n"
        "from flipper_thrift.python.feature_flag_store import FeatureFlagStore"
    )
    if "six" in sys.modules:
        pytest.skip("this Thrift runtime itself needs six")
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
