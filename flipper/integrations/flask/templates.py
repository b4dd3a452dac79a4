# SPDX-License-Identifier: Apache-2.0
"""What templates use: `{% if "X" is flag_enabled %}`, and functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jinja2 import pass_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask


def add_to_templates(
    app: Flask, prefix: str, is_enabled: Callable[..., Any], variant: Callable[..., Any]
) -> None:
    """Add the test `flag_enabled`, and the functions `flag_enabled` and `flag_variant`.

    Args:
        app: the app.
        prefix: what is before the underscore; "flag" for most apps.
        is_enabled: answers as that of the client.
        variant: answers as that of the client.
    """

    # Jinja calls a test with constant arguments once, when it compiles the template,
    # unless the function needs the context.
    @pass_context
    def test(
        _: object, feature_name: str, /, default: Any = False, **arguments: Any
    ) -> Any:
        return is_enabled(feature_name, default, **arguments)

    app.add_template_test(test, f"{prefix}_enabled")
    app.add_template_global(is_enabled, f"{prefix}_enabled")
    app.add_template_global(variant, f"{prefix}_variant")
