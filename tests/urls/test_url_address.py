# SPDX-License-Identifier: Apache-2.0
"""The parts of a store's URL: hosts, credentials, path, options; what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from flipper.exceptions import InvalidArgumentError
from flipper.urls.address import Host, StoreURL, parse


def url(text: Any, **options: Any) -> StoreURL:
    """Take a URL apart."""
    return parse(text, options, "The URL")


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("redis://", [("", None)]),
        ("redis://flags", [("flags", None)]),
        ("redis://flags:", [("flags", None)]),
        ("redis://flags:7000/", [("flags", 7000)]),
        ("redis://127.0.0.1:1", [("127.0.0.1", 1)]),
        ("redis://[::1]", [("::1", None)]),
        ("redis://[fe80::1%25eth0]:65535", [("fe80::1%eth0", 65535)]),
        ("redis://user:word@[::1]:7", [("::1", 7)]),
        ("redis://a:1,b,[::1]:3", [("a", 1), ("b", None), ("::1", 3)]),
        ("postgresql://%2Fvar%2Frun/db", [("/var/run", None)]),
    ],
)
def test_hosts_and_ports_are_found(
    text: str, hosts: list[tuple[str, int | None]]
) -> None:
    """A port that is missing is `None`, for the store to choose its usual one."""
    assert list(url(text).hosts) == hosts


def test_addresses_of_ipv6_get_their_brackets_back() -> None:
    """An HTTP client needs them in a URL; a socket must not have them."""
    assert Host("::1", 1).bracketed_name == "[::1]"
    assert Host("flags", 1).bracketed_name == "flags"


@pytest.mark.parametrize(
    ("text", "username", "password"),
    [
        ("redis://host", None, None),
        ("redis://me@host", "me", None),
        ("redis://:word@host", "", "word"),
        ("redis://me:@host", "me", ""),
        ("redis://me:a:b@c@host", "me", "a:b@c"),
        ("redis://m%40e:%2F%3f%23%25+ü@host", "m@e", "/?#%+ü"),
    ],
)
def test_credentials_are_decoded_once(
    text: str, username: str | None, password: str | None
) -> None:
    """A plus sign is a plus sign, and a decoded percent sign is not decoded again."""
    found = url(text)
    assert (found.username, found.password) == (username, password)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sqlite:///flags.db", "flags.db"),
        ("sqlite:////srv/flags.db", "/srv/flags.db"),
        ("sqlite:///~/flags.db", "~/flags.db"),
        ("sqlite:///my flags/ü%20%2525.db", "my flags/ü %25.db"),
        ("sqlite:///with@sign.db", "with@sign.db"),
        ("redis://host/", ""),
        ("consul://host/a/b/", "a/b/"),
        ("s3://bucket/a%2Fb", "a/b"),
    ],
)
def test_a_path_is_what_follows_the_third_slash(text: str, path: str) -> None:
    """So a relative path has three slashes, and an absolute one four."""
    assert url(text).path == path


def test_the_scheme_has_no_case_and_white_space_around_a_url_does_not_count() -> None:
    """A URL that is read from a file ends with a line break."""
    assert url(" RediS+Sentinel://host/x \n").scheme == "redis+sentinel"


def test_options_come_from_the_query_and_from_the_call() -> None:
    """Both have the same names."""
    options = url("redis://host?text=a%26b=c+d&n=5&&on=YES", ttl=1.5, off=False).options
    assert options.text("text") == "a&b=c+d"
    assert options.integer("n") == 5
    assert options.switch("on") is True
    assert options.switch("off", default=True) is False
    assert options.number("ttl") == 1.5
    assert options.text("missing", "default") == "default"
    options.refuse_unknown()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("flags", "does not begin with a scheme"),
        ("redis:host", "does not begin with a scheme"),
        ("://host", "does not begin with a scheme"),
        ("redis://ho\nst", "control character"),
        ("redis://h\x00", "control character"),
        ("redis://host:port", "a port that is not a number"),
        ("redis://host:0", "a port that is not a number"),
        ("redis://host:65536", "a port that is not a number"),
        ("redis://host:\u0661", "a port that is not a number"),
        ("redis://host:1:2", "a port that is not a number"),
        ("redis://[::1", "a host that is not valid"),
        ("redis://[::1]x", "a host that is not valid"),
        ("redis://[flags]", "a host that is not valid"),
        ("redis://ho st", "a host that is not valid"),
        ("redis://a%2Fb", "a host that is not valid"),
        ("redis://:w0/Rd@host", "an '@' after its host"),
        ("redis://:w0?Rd@host", "an '@' after its host"),
        ("redis://:w0#Rd@host", "an '@' after its host"),
        ("sqlite:///a#b.db", "has a '#'"),
        ("redis://:50%@host", "a '%' without two hexadecimal digits"),
        ("redis://:%zz@host", "a '%' without two hexadecimal digits"),
        ("sqlite:///%ff.db", "no text in UTF-8"),
        ("sqlite:///a%00.db", "a NUL character"),
        ("redis://host?sync", "the option 'sync' without a value"),
        ("redis://host?sync=", "the option 'sync' without a value"),
        ("redis://host?w0Rd", "an option without a value"),
        ("redis://host?ttl=1&ttl=2", "the option 'ttl' twice"),
        (b"redis://host", "is no text but bytes"),
        (5, "is no text but int"),
    ],
)
def test_a_url_that_cannot_be_right_is_refused(text: Any, said: str) -> None:
    """The error names the problem, and shows no part of the URL that may be secret."""
    with pytest.raises(InvalidArgumentError, match=said) as refused:
        url(text)
    assert not any(part in str(refused.value) for part in ("w0", "Rd"))


def test_an_option_in_the_url_and_in_the_call_is_refused() -> None:
    """Nobody could say which of them is meant."""
    with pytest.raises(InvalidArgumentError, match="'ttl', and so has the call"):
        url("redis://host?ttl=1", ttl=1)


@pytest.mark.parametrize(
    ("method", "values"),
    [
        ("integer", ["1.5", "-1", "1_0", " 5", "\u0661", "x", True, 1.5, None, -1]),
        ("number", ["x", "1e5", "nan", "inf", "1_0", "0x1", True, [], "\u0661"]),
        ("switch", ["2", "maybe", 1, None, []]),
        ("text", [5, "", None]),
        ("path", [5, "", None]),
    ],
)
def test_a_value_of_another_type_is_refused(method: str, values: list[Any]) -> None:
    """The error names the option and shows its value."""
    for value in values:
        options = url("redis://host", some=value).options
        with pytest.raises(InvalidArgumentError, match="some=") as refused:
            getattr(options, method)("some")
        assert refused.value.value == value or value is None


@pytest.mark.parametrize("value", ["0", "-1", "none", "9999999", 0, None])
def test_a_time_limit_is_more_than_zero(value: Any) -> None:
    """A limit of 0 would mean no limit to some drivers, and no waiting to others."""
    with pytest.raises(InvalidArgumentError, match="is no time limit"):
        url("redis://host", timeout=value).options.seconds("timeout", 2)


def test_a_long_value_is_shortened_in_an_error() -> None:
    """An error is one line of a log."""
    with pytest.raises(InvalidArgumentError) as refused:
        url("redis://host", ttl="x" * 1000).options.number("ttl")
    assert len(str(refused.value)) < 200


def test_the_value_of_a_secret_option_is_not_shown() -> None:
    """Not even if its type is wrong."""
    with pytest.raises(
        InvalidArgumentError, match="the option 'password' that"
    ) as refused:
        url("redis://host", password=98765).options.secret("password")
    assert "98765" not in str(refused.value)
    with pytest.raises(ValueError, match="not among the names"):
        url("redis://host").options.secret("base_key")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("base_ky", "the option 'base_ky' that is not known; did you mean 'base_key'?"),
        ("zzz", "the option 'zzz' that is not known; known are base_key"),
        ("Word9", "an option that is not known; known are base_key"),
    ],
)
def test_an_unknown_option_is_refused_with_the_nearest_known(
    name: str, said: str
) -> None:
    """What does not look like the name of an option may be a part of a password."""
    options = url(f"redis://host?{name}=1").options
    options.text("base_key")
    with pytest.raises(InvalidArgumentError) as refused:
        options.refuse_unknown()
    assert said in str(refused.value)


def test_the_repr_shows_the_scheme_only() -> None:
    """Reprs are in logs and in errors of test runners."""
    assert repr(url("redis://me:word@host/1?token=x")) == "<StoreURL redis://...>"
