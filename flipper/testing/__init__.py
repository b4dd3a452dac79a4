# SPDX-License-Identifier: Apache-2.0
"""For tests: the contract of a store, to be run on one of one's own.

    from flipper.testing import StoreContract

    class TestMyStore(StoreContract):
        def make_store(self):
            return MyStore()

It is loaded when it is asked for, since it needs pytest.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..exceptions import MissingDependencyError

if TYPE_CHECKING:
    from .contract import StoreContract

__all__ = ["StoreContract"]

# So that a broken rule shows what the store gave, and what it should have given.
if sys.modules.get("pytest"):
    sys.modules["pytest"].register_assert_rewrite(
        f"{__name__}.contract", f"{__name__}.stateful"
    )


def __getattr__(name: str) -> Any:
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    try:
        value = getattr(import_module(".contract", __name__), name)
    except ModuleNotFoundError as error:
        if error.name != "pytest":
            raise
        raise MissingDependencyError.for_extra("pytest", "dev") from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
