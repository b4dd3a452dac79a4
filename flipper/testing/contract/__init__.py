# SPDX-License-Identifier: Apache-2.0
"""The contract of a store: every promise that a store makes, each as a test.

Subclass `StoreContract` in your tests. `base` says what a subclass gives; the other
modules hold the rules, by topic. `flipper.contrib.interface` describes the six methods.
"""

from __future__ import annotations

from ..items import adding as adding
from ..items import answers as answers
from ..items import checks as checks
from ..items import fill as fill
from ..items import innermost as innermost
from ..items import names as names
from ..items import plain as plain
from ..samples import for_each as for_each
from ..waiting import TIMEOUT as TIMEOUT
from ..waiting import WRITERS as WRITERS
from ..waiting import at_once as at_once
from ..waiting import eventually as eventually
from .change_signal import ChangeSignalRules
from .concurrent_writes import ConcurrentWriteRules
from .documents import DocumentRules
from .listing import ListRules
from .methods import MethodRules
from .names import NameRules
from .processes import CHANGES as CHANGES
from .processes import ProcessRules
from .random_operations import RandomOperationRules
from .rules import RulesRules
from .threads import ThreadRules
from .values import ValueRules
from .writes import WriteRules


class StoreContract(
    MethodRules,
    ListRules,
    NameRules,
    ValueRules,
    WriteRules,
    RulesRules,
    DocumentRules,
    ThreadRules,
    ConcurrentWriteRules,
    ProcessRules,
    ChangeSignalRules,
    RandomOperationRules,
):
    """Every promise of a store as a test, which pytest runs on your own store.

    A subclass has a name that begins with `Test`, and defines `make_store`. It may also
    define `close_store`, `open_again`, `write_document` and `read_document`. The last
    two use the database without the store, so a mistake in writing is found even if
    reading makes the opposite mistake. Rules that need a missing method are skipped,
    with the reason. A fixture of the subclass with `autouse=True` may prepare what
    `make_store` needs.

    Some rules are about several processes. They use threads in place of processes, and
    another writer that writes after a change has read the flag, and before it writes
    the flag. This needs an `AtomicFeatureFlagStore`. A store that has only the six
    methods must not lose a write of the threads of one process.
    """
