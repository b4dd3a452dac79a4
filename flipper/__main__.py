# SPDX-License-Identifier: Apache-2.0
"""Makes `python -m flipper` the command `flipper`."""

from .cli import main

if __name__ == "__main__":
    main()
