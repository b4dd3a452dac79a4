# SPDX-License-Identifier: Apache-2.0
"""The tags of templates; `{% load flipper %}` loads them."""
