# SPDX-License-Identifier: Apache-2.0
"""What templates use: `{% if "X" is flag_enabled %}`, and functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jinja2 import pass_context

if TYPE_CHECKING:
    from flask import Flask

    from .extension import Flipper


def add_to_templates(app: Flask, flipper: Flipper) -> None:
    """Add the test `flag_enabled`, and the functions `flag_enabled` and `flag_variant`.

    For an extension with another name, that name takes the place of `flag`.
    """
    from .extension import DEFAULT_NAME

    # Jinja calls a test with constant arguments once, when it compiles the template,
    # unless the function needs the context.
    @pass_context
    def is_enabled(
        _: object, feature_name: str, /, default: Any = False, **arguments: Any
    ) -> Any:
        return flipper.is_enabled(feature_name, default, **arguments)

    prefix = "flag" if flipper.name == DEFAULT_NAME else flipper.name
    app.add_template_test(is_enabled, f"{prefix}_enabled")
    app.add_template_global(flipper.is_enabled, f"{prefix}_enabled")
    app.add_template_global(flipper.variant, f"{prefix}_variant")
