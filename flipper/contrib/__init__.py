# SPDX-License-Identifier: Apache-2.0
"""All stores, one module or package each, loaded when it is first used.

`interface` is the base class of stores, `storage` holds items and their metadata, and
`util` the creation date and batches. `store` is another name of `interface`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cached import CachedFeatureFlagStore
    from .consul import ConsulFeatureFlagStore
    from .failover import FailoverFeatureFlagStore as FailoverFeatureFlagStore
    from .file import FileFeatureFlagStore as FileFeatureFlagStore
    from .memory import MemoryFeatureFlagStore
    from .postgresql import PostgreSQLFeatureFlagStore
    from .read_only import ReadOnlyFeatureFlagStore as ReadOnlyFeatureFlagStore
    from .redis import RedisFeatureFlagStore
    from .replicated import ReplicatedFeatureFlagStore
    from .s3 import S3FeatureFlagStore
    from .sqlite import SQLiteFeatureFlagStore as SQLiteFeatureFlagStore
    from .synced import SyncedFeatureFlagStore as SyncedFeatureFlagStore
    from .thrift import ThriftRPCFeatureFlagStore

_MODULES = {
    "CachedFeatureFlagStore": "cached",
    "ConsulFeatureFlagStore": "consul",
    "FailoverFeatureFlagStore": "failover",
    "FileFeatureFlagStore": "file",
    "MemoryFeatureFlagStore": "memory",
    "PostgreSQLFeatureFlagStore": "postgresql",
    "ReadOnlyFeatureFlagStore": "read_only",
    "RedisFeatureFlagStore": "redis",
    "ReplicatedFeatureFlagStore": "replicated",
    "S3FeatureFlagStore": "s3",
    "SQLiteFeatureFlagStore": "sqlite",
    "SyncedFeatureFlagStore": "synced",
    "ThriftRPCFeatureFlagStore": "thrift",
}

# Drop-in: the eight stores of flipper-client, and nothing else, for star imports.
__all__ = [
    "CachedFeatureFlagStore",
    "ConsulFeatureFlagStore",
    "MemoryFeatureFlagStore",
    "PostgreSQLFeatureFlagStore",
    "RedisFeatureFlagStore",
    "ReplicatedFeatureFlagStore",
    "S3FeatureFlagStore",
    "ThriftRPCFeatureFlagStore",
]


# Drop-in: after `import flipper` alone these modules are attributes of this package.
_SUBMODULES = frozenset({*_MODULES.values(), "interface", "storage", "util"})


def __getattr__(name: str) -> Any:
    """Load the module of a store, and return the store or the module."""
    if name in _SUBMODULES:
        return import_module(f".{name}", __name__)
    try:
        module = _MODULES[name]
    except KeyError:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message) from None
    store = getattr(import_module(f".{module}", __name__), name)
    globals()[name] = store
    return store


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
