# SPDX-License-Identifier: Apache-2.0
"""The changes of the tables, as `manage.py migrate` applies them."""
