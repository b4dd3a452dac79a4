# SPDX-License-Identifier: Apache-2.0
"""`StoreURL`: the parts of a store's URL, decoded and checked.

No error of this module shows a part of the URL other than its scheme: a password whose
special characters are not encoded may be in any part of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn
from urllib.parse import unquote_to_bytes

from ..exceptions import InvalidArgumentError
from .options import Options

if TYPE_CHECKING:
    from collections.abc import Mapping

_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)"
    r"(?:\?(?P<query>[^#]*))?(?P<fragment>#.*)?"
)
_CONTROL_CHARACTERS: Final = re.compile(r"[\x00-\x1f\x7f]")
_BAD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NOT_IN_HOSTS: Final = re.compile(r"[\s@:/?#\[\]\\<>\"]")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_LARGEST_PORT: Final = 65535
_ENCODING: Final = (
    "in a user name, a password or a value, write '%' as %25, '/' as %2F, '?' as %3F, "
    "'#' as %23, '@' as %40, ':' as %3A and '&' as %26"
)


class Host(NamedTuple):
    """One server of a URL.

    Attributes:
        name: a host name or an address, that of IPv6 without brackets; "" if the URL
            has none.
        port: `None` if the URL has none.
    """

    name: str
    port: int | None

    @property
    def bracketed_name(self) -> str:
        """The name as URLs have it: an address of IPv6 in brackets."""
        return f"[{self.name}]" if ":" in self.name else self.name


@dataclass(frozen=True, repr=False)
class StoreURL:
    """The URL of a store, taken apart. All parts are decoded.

    Its `repr` shows the scheme only.

    Attributes:
        scheme: in lower case.
        username: `None` if the URL has none.
        password: `None` if the URL has none.
        hosts: the servers, at least one; its name is "" if the URL has no host.
        path: what follows the first slash after the hosts, "" if there is nothing.
        options: the query parameters, and the keyword arguments of the call.
    """

    scheme: str
    username: str | None
    password: str | None
    hosts: tuple[Host, ...]
    path: str
    options: Options

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.scheme}://...>"

    def host(self, port: int, default: str = "localhost") -> Host:
        """Return the one server, with defaults for what the URL leaves out.

        Raises:
            InvalidArgumentError: the URL has several hosts.
        """
        if len(self.hosts) > 1:
            self.refuse(f"has several hosts; {self.scheme}:// takes one")
        return self.all_hosts(port, default)[0]

    def all_hosts(self, port: int, default: str = "localhost") -> list[Host]:
        """Return all servers, with defaults for what the URL leaves out."""
        return [Host(name or default, given or port) for name, given in self.hosts]

    def credentials(self) -> tuple[str | None, str | None]:
        """Return user name and password, from before the host or from the options.

        Raises:
            InvalidArgumentError: one of them is in both places.
        """
        username = self.options.text("username")
        password = self.options.secret("password")
        for name, here, there in (
            ("username", self.username, username),
            ("password", self.password, password),
        ):
            if here and there:
                self.refuse(f"has a {name} before the host and as an option; give one")
        return username or self.username or None, password or self.password or None

    def refuse_authority(self, remedy: str) -> None:
        """Refuse a host, a port and a user, for a store without a server."""
        is_empty = self.hosts == (Host("", None),)
        if not is_empty or self.username is not None or self.password is not None:
            self.refuse(f"has a host or a user after the two slashes; {remedy}")

    def refuse_path(self, remedy: str) -> None:
        """Refuse a path, for a store that has none."""
        if self.path.strip("/"):
            self.refuse(f"has a path, which {self.scheme}:// does not take; {remedy}")

    def refuse(self, problem: str) -> NoReturn:
        """Raise the error for a URL that cannot be used.

        Args:
            problem: the rest of the sentence; it must not show a part of the URL.
        """
        raise InvalidArgumentError(f"{self.options.subject} {problem}")


def parse(text: Any, given: Mapping[str, Any], subject: str) -> StoreURL:
    """Take a URL apart.

    Args:
        text: the URL.
        given: options that do not come from the URL, by name.
        subject: what errors call the URL.

    Raises:
        InvalidArgumentError: it is no URL, or a part of it is wrong.
    """
    if not isinstance(text, str):
        raise InvalidArgumentError(
            f"{subject} is no text but {type(text).__name__}; use a text such as "
            f"'redis://localhost:6379/0'"
        )
    text = text.strip()
    problem = _problem_of_text(text)
    found = _URL.fullmatch(text)
    if found is None or problem:
        raise InvalidArgumentError(
            f"{subject} {problem or 'cannot be read'}; use one such as "
            f"'redis://localhost:6379/0' or 'sqlite:///flags.db'"
        )
    authority = found["authority"]
    rest = text[found.end("authority") :]
    if authority and "@" in rest:
        raise InvalidArgumentError(f"{subject} has an '@' after its host; {_ENCODING}")
    if found["fragment"] is not None:
        raise InvalidArgumentError(f"{subject} has a '#'; {_ENCODING}")
    decode = _Decoder(subject)
    user, at, address = authority.rpartition("@")
    username, colon, password = user.partition(":")
    return StoreURL(
        found["scheme"].lower(),
        username=decode(username) if at else None,
        password=decode(password) if colon else None,
        hosts=tuple(_host(one, decode) for one in address.split(",")),
        path=decode(found["path"].removeprefix("/")),
        options=Options(_query(found["query"] or "", decode), given, subject),
    )


def raw_secrets(text: str) -> list[str]:
    """Return what may be secret in a URL, as it is written there."""
    found = _URL.fullmatch(text.strip())
    if found is None:
        return [text]
    values = [pair.partition("=")[::2] for pair in (found["query"] or "").split("&")]
    password = found["authority"].rpartition("@")[0].partition(":")[2]
    return [password, *(value for name, value in values if Options.is_secret(name))]


def _problem_of_text(text: str) -> str | None:
    if not text:
        return "is empty"
    if _CONTROL_CHARACTERS.search(text):
        return "contains a line break or another control character"
    if not _URL.match(text):
        return "does not begin with a scheme and '://'"
    return None


class _Decoder:
    """Decodes percent-encoded text. A '+' stays as it is."""

    def __init__(self, subject: str) -> None:
        self.subject = subject

    def __call__(self, text: str) -> str:
        if _BAD_PERCENT.search(text):
            raise InvalidArgumentError(
                f"{self.subject} has a '%' without two hexadecimal digits; {_ENCODING}"
            )
        try:
            decoded = unquote_to_bytes(text).decode()
        except UnicodeError:
            decoded = "\0"
        if "\0" in decoded:
            raise InvalidArgumentError(
                f"{self.subject} has percent-encoded bytes that are no text in UTF-8, "
                f"or a NUL character"
            )
        return decoded


def _host(text: str, decode: _Decoder) -> Host:
    """Take a host and its port apart."""
    if text.startswith("["):
        name, bracket, port = text[1:].partition("]")
        name = decode(name)
        is_valid = bool(bracket) and _is_ipv6(name)
        is_valid = is_valid and (not port or port.startswith(":"))
        port = port.removeprefix(":")
    else:
        name, _, port = text.partition(":")
        name = decode(name)
        # A host that is a folder, in which PostgreSQL has its socket, is encoded.
        is_valid = name.startswith("/") or not _NOT_IN_HOSTS.search(name)
    if not is_valid:
        raise InvalidArgumentError(
            f"{decode.subject} has a host that is not valid; write a name, an address, "
            f"or an address of IPv6 in brackets, as [::1]; {_ENCODING}"
        )
    if not port:
        return Host(name, None)
    if not _PORT.fullmatch(port) or not 0 < int(port) <= _LARGEST_PORT:
        raise InvalidArgumentError(
            f"{decode.subject} has a port that is not a number from 1 to "
            f"{_LARGEST_PORT}; a password is followed by '@' and the host; {_ENCODING}"
        )
    return Host(name, int(port))


def _is_ipv6(name: str) -> bool:
    try:
        IPv6Address(name)
    except ValueError:
        return False
    return True


def _query(text: str, decode: _Decoder) -> dict[str, str]:
    """Decode the query parameters."""
    found: dict[str, str] = {}
    for pair in filter(None, text.split("&")):
        name, equals, value = pair.partition("=")
        name = decode(name)
        shown = Options.shown_name(name)
        if not equals or not value:
            raise InvalidArgumentError(
                f"{decode.subject} has {shown} without a value; write name=value"
            )
        if name in found:
            raise InvalidArgumentError(f"{decode.subject} has {shown} twice; give one")
        found[name] = decode(value)
    return found
