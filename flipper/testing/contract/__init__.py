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
from .documents import DocumentRules
from .listing import ListRules
from .methods import MethodRules
from .names import NameRules
from .processes import CHANGES as CHANGES
from .processes import ProcessRules
from .random_operations import RandomOperationRules
from .rivals import RivalRules
from .threads import ThreadRules
from .values import ValueRules
from .writes import WriteRules


class StoreContract(
    MethodRules,
    ListRules,
    NameRules,
    ValueRules,
    WriteRules,
    DocumentRules,
    ThreadRules,
    RivalRules,
    ProcessRules,
    ChangeSignalRules,
    RandomOperationRules,
):
    """Every promise of a store as a test, to be run by pytest on a store of one's own.

    A subclass whose name begins with `Test` gives `make_store`. It may give
    `close_store`, and `open_again`. It may also give `write_document` and
    `read_document`, which reach the database without the store: a mistake in writing is
    found even if reading makes the opposite mistake. Rules that need what is not given
    are skipped, with the reason. What `make_store` needs may come from a fixture of the
    subclass with `autouse=True`.

    Some promises depend on what other processes do. In these rules, threads take the
    part of the processes, and a rival writes between the reading and the writing of one
    change. That needs an `AtomicFeatureFlagStore`. A store that has only the six
    methods is asked to lose no write among the threads of one process.
    """
