# SPDX-License-Identifier: Apache-2.0
"""A process that changes flags: `python -m benchmarks.scale.writer URL FLAGS RATE`."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import Final

_ROOT: Final = Path(__file__).resolve().parent.parent.parent
_AT_ONCE: Final = 10


def main() -> None:
    """Change random flags, ten at a time, until the process is killed."""
    sys.path[:0] = [str(_ROOT)]
    from .databases import connect, document, names

    url, flags, rate = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    known, database, chosen = names(flags), connect(url), random.Random(0)  # noqa: S311
    written, began = 0, monotonic()
    while True:
        changed = chosen.sample(known, _AT_ONCE)
        state = bool(chosen.getrandbits(1))
        database.write([(name, document(name, is_enabled=state)) for name in changed])
        written += _AT_ONCE
        sleep(max(0.0, began + written / rate - monotonic()))


if __name__ == "__main__":
    main()
