# SPDX-License-Identifier: Apache-2.0
"""An application's module that sets uWSGI's hook after the stores were made."""

import application  # noqa: F401
import uwsgi

uwsgi.post_fork_hook = lambda: None
