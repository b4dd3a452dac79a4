# SPDX-License-Identifier: Apache-2.0
"""The tags `{% flag %}` and `{% variant %}`.

{% load flipper %}
{% flag "NEW_CHECKOUT" %}...{% else %}...{% endflag %}
{% variant "BUTTON_COLOUR" "grey" as colour %}
"""

from __future__ import annotations

from typing import Any, Final

from django import template
from django.template.base import token_kwargs

from ..site_client import features

register: Final = template.Library()


class FlagNode(template.Node):
    """Renders one of two parts of a template.

    Args:
        feature_name: gives the name of the flag.
        arguments: give the arguments of the question, by name.
        on: the part for a flag that is on.
        off: the part for a flag that is off.
    """

    child_nodelists = ("nodelist_on", "nodelist_off")

    def __init__(
        self,
        feature_name: Any,
        arguments: dict[str, Any],
        on: template.NodeList,
        off: template.NodeList,
    ) -> None:
        self._feature_name = feature_name
        self._arguments = arguments
        self.nodelist_on = on
        self.nodelist_off = off

    def render(self, context: template.Context) -> Any:
        """Ask the flag, and render the part for its answer."""
        feature_name = self._feature_name.resolve(context)
        found = {name: each.resolve(context) for name, each in self._arguments.items()}
        is_on = features.is_enabled(feature_name, **found)
        return (self.nodelist_on if is_on else self.nodelist_off).render(context)


@register.tag
def flag(parser: Any, token: Any) -> FlagNode:
    """Render what is inside if a flag is on, and what follows `{% else %}` if not."""
    tag, *bits = token.split_contents()
    if not bits:
        message = f"{{% {tag} %}} needs the name of a flag, as {{% {tag} 'NEW_UI' %}}"
        raise template.TemplateSyntaxError(message)
    feature_name = parser.compile_filter(bits.pop(0))
    arguments = token_kwargs(bits, parser)
    if bits:
        message = (
            f"{{% {tag} %}} takes the name of a flag and arguments as name=value; "
            f"{bits[0]!r} is neither"
        )
        raise template.TemplateSyntaxError(message)
    on = parser.parse(("else", "endflag"))
    off = template.NodeList()
    if parser.next_token().contents == "else":
        off = parser.parse(("endflag",))
        parser.delete_first_token()
    return FlagNode(feature_name, arguments, on, off)


@register.simple_tag
def variant(feature_name: str, default: Any = "", /, **conditions: Any) -> Any:
    """Return what `features.variant` does: the value of the variant, escaped as usual.

    With `as name` it is put into a variable instead.
    """
    return features.variant(feature_name, default, **conditions)
