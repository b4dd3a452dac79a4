# SPDX-License-Identifier: Apache-2.0
"""The command `manage.py flipper`."""
