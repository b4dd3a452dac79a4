# SPDX-License-Identifier: Apache-2.0
"""The operator `in_cidr`, which looks for an IP address in networks.

`ipaddress` is imported when the operator is first used: few applications need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .typed import TypedOperator

if TYPE_CHECKING:
    from .typed import Predicate


class NetworkOperator(TypedOperator):
    """The argument is an IP address in the network, or in one of a list.

    An IPv4 address that is written as IPv6 (`::ffff:10.0.0.1`) also counts as IPv4.
    """

    SYMBOL = "in_cidr"
    SCHEMA: ClassVar[dict[str, Any]] = {
        "type": ["string", "array"],
        "items": {"type": "string"},
    }

    @classmethod
    def stored_value(cls, value: Any) -> Any:
        """Return a list of the networks, as text."""
        cls.predicate(value)
        given = value if isinstance(value, (list, tuple)) else [value]
        return [str(each) for each in given]

    @classmethod
    def predicate(cls, value: Any) -> Predicate:
        """Return a function that looks for an address in the networks."""
        from ipaddress import IPv4Address, IPv6Address, ip_address

        given = value if isinstance(value, (list, tuple)) else [value]
        networks = [_network(each) for each in given]

        def is_inside(argument: Any) -> bool:
            if isinstance(argument, str):
                try:
                    argument = ip_address(argument)
                except ValueError:
                    return False
            elif not isinstance(argument, (IPv4Address, IPv6Address)):
                return False  # numbers and bytes would be addresses, too
            if any(argument in network for network in networks):
                return True
            mapped = getattr(argument, "ipv4_mapped", None)
            return mapped is not None and any(mapped in each for each in networks)

        return is_inside


def _network(given: Any) -> Any:
    from ipaddress import IPv4Network, IPv6Network, ip_network

    if isinstance(given, (IPv4Network, IPv6Network)):
        return given
    remedy = "use a network as '10.0.0.0/8' or '2001:db8::/32', or a list of networks"
    if not isinstance(given, str):
        message = f"is not a network; {remedy}"
        raise ValueError(message)  # noqa: TRY004  (one class for all invalid values)
    try:
        return ip_network(given)
    except ValueError:
        pass
    try:
        whole = ip_network(given, strict=False)
    except ValueError:
        message = f"has {given!r}, which is not a network; {remedy}"
        raise ValueError(message) from None
    message = (
        f"has {given!r}, an address and no network; use {str(whole)!r} for the whole "
        f"network, or the address without '/' for this one"
    )
    raise ValueError(message)


NETWORK_OPERATORS: tuple[type[TypedOperator], ...] = (NetworkOperator,)
