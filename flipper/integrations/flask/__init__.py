# SPDX-License-Identifier: Apache-2.0
"""Feature flags in Flask: `Flipper(app)`, `flag_required`, and `flask flipper`.

`extension` connects an app and a client, `requests` gives each request its answers,
`views` has the decorator, `templates` what templates use, and `commands` the command.
"""

from __future__ import annotations

from .. import require

require("flask", "flask")
from .extension import Flipper  # noqa: E402  (the line above says what to install)
from .requests import AppFlags  # noqa: E402
from .views import flag_required  # noqa: E402

__all__ = ["AppFlags", "Flipper", "flag_required"]
