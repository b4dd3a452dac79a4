# SPDX-License-Identifier: Apache-2.0
"""Feature flags for teams who keep them in their own database.

`FeatureFlagClient` asks and writes; a store keeps the flags; `Condition` and the
bucketers of `flipper.bucketing` decide whom a flag is on for. A name is loaded when it
is first used, so `import flipper` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import decorators
    from .async_client import AsyncFeatureFlagClient as AsyncFeatureFlagClient
    from .bucketing import Schedule as Schedule
    from .client import FeatureFlagClient
    from .conditions import Condition
    from .contrib import (
        CachedFeatureFlagStore,
        ConsulFeatureFlagStore,
        MemoryFeatureFlagStore,
        PostgreSQLFeatureFlagStore,
        RedisFeatureFlagStore,
        ReplicatedFeatureFlagStore,
        S3FeatureFlagStore,
        ThriftRPCFeatureFlagStore,
    )
    from .contrib import FailoverFeatureFlagStore as FailoverFeatureFlagStore
    from .contrib import FileFeatureFlagStore as FileFeatureFlagStore
    from .contrib import ReadOnlyFeatureFlagStore as ReadOnlyFeatureFlagStore
    from .contrib import SQLiteFeatureFlagStore as SQLiteFeatureFlagStore
    from .contrib import SyncedFeatureFlagStore as SyncedFeatureFlagStore
    from .exceptions import FlagDoesNotExistError
    from .registry import Flag as Flag
    from .registry import FlagRegistry as FlagRegistry
    from .registry import VariantFlag as VariantFlag
    from .rules import Rollout as Rollout
    from .rules import Rule as Rule
    from .rules import Rules as Rules
    from .rules import Split as Split
    from .urls import store_from_url as store_from_url

__version__ = "2.0.0"

# Drop-in: these twelve and no more, so that a star import covers nothing else.
__all__ = [
    "CachedFeatureFlagStore",
    "Condition",
    "ConsulFeatureFlagStore",
    "FeatureFlagClient",
    "FlagDoesNotExistError",
    "MemoryFeatureFlagStore",
    "PostgreSQLFeatureFlagStore",
    "RedisFeatureFlagStore",
    "ReplicatedFeatureFlagStore",
    "S3FeatureFlagStore",
    "ThriftRPCFeatureFlagStore",
    "decorators",
]

_MODULES = {
    "AsyncFeatureFlagClient": "async_client",
    "Condition": "conditions",
    "FailoverFeatureFlagStore": "contrib",
    "FeatureFlagClient": "client",
    "FileFeatureFlagStore": "contrib",
    "Flag": "registry",
    "FlagDoesNotExistError": "exceptions",
    "FlagRegistry": "registry",
    "ReadOnlyFeatureFlagStore": "contrib",
    "Rollout": "rules",
    "Rule": "rules",
    "Rules": "rules",
    "SQLiteFeatureFlagStore": "contrib",
    "Schedule": "bucketing",
    "Split": "rules",
    "SyncedFeatureFlagStore": "contrib",
    "VariantFlag": "registry",
    "store_from_url": "urls",
}


# Drop-in: after `import flipper` alone these are there, as attributes.
_SUBMODULES = frozenset(
    {
        "bucketing",
        "client",
        "conditions",
        "contrib",
        "decorators",
        "events",
        "exceptions",
        "flag",
    }
)


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f".{name}", __name__)
    if name not in __all__ and name not in _MODULES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    module = import_module(f".{_MODULES.get(name, 'contrib')}", __name__)
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
