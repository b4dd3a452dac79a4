# SPDX-License-Identifier: Apache-2.0
"""For tests: `override_flags`, and the tests that a store of your own has to pass.

    from flipper.testing import override_flags

    with override_flags(client, NEW_CHECKOUT=True):
        ...

    from flipper.testing import StoreContract

    class TestMyStore(StoreContract):
        def make_store(self):
            return MyStore()

`contract` holds the rules by topic, `stateful` the random operations, `samples` the
values that both use. They need pytest, so they are loaded when they are asked for.
`overriding` needs nothing but flipper.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..exceptions import MissingDependencyError

if TYPE_CHECKING:
    from .contract import StoreContract
    from .overriding import FlagOverrides, override_flags

__all__ = ["FlagOverrides", "StoreContract", "override_flags"]

_MODULES = {
    "FlagOverrides": ".overriding",
    "StoreContract": ".contract",
    "override_flags": ".overriding",
}

# So that a failed rule shows what the store returned and what was expected.
if sys.modules.get("pytest"):
    sys.modules["pytest"].register_assert_rewrite(
        *(f"{__name__}.{name}" for name in ("contract", "stateful", "waiting"))
    )


def __getattr__(name: str) -> Any:
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    try:
        value = getattr(import_module(_MODULES[name], __name__), name)
    except ModuleNotFoundError as error:
        if error.name != "pytest":
            raise
        raise MissingDependencyError.for_extra("pytest", "testing") from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
