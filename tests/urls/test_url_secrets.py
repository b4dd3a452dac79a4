# SPDX-License-Identifier: Apache-2.0
"""Passwords and tokens of a URL are in no error, traceback, repr or log."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flipper import FeatureFlagClient, store_from_url
from flipper.exceptions import InvalidArgumentError
from flipper.urls.redaction import call_hiding
from servers import Proxy
from servers.process import free_port
from support.fuzz import CASES

if TYPE_CHECKING:
    from servers import ConsulServer

# In each piece of a secret, however it is torn apart.
MARK = "Hu5h"

pieces = st.lists(
    st.sampled_from(
        [*"/?#@:&=%+[],\\ '\"", "ü", "%2F", "\n", "://", "@h", "=1&ttl=", ""]
    ),
    min_size=0,
    max_size=4,
)
secrets = pieces.map(lambda signs: MARK + "".join(f"{sign}{MARK}" for sign in signs))
written = st.sampled_from([str, quote, lambda text: quote(text, safe="")])

# Each is wrong, or has a store that does not connect before it is used.
TEMPLATES = [
    "redis://:{}@127.0.0.1/0",
    "redis://:{}@127.0.0.1:x/0",
    "redis://me:{}@127.0.0.1:99999999",
    "redis://:{}@127.0.0.1/zero",
    "redis://:{}@127.0.0.1/0?ttl=x",
    "redis://:{}@127.0.0.1/0?nonsense=1",
    "redis://:{}@127.0.0.1/0?base_key",
    "redis://:{}@[::1",
    "redis://:{}@127.0.0.1/0?list_method_batch_size=0",
    "redis://:{}@127.0.0.1/0?sync=1&start_timeout=0.01&timeout=0.01",
    "redis://127.0.0.1/0?password={}",
    "redis://127.0.0.1/0?password={}&password=x",
    "redis://127.0.0.1/0?passwrod={}",
    "redis://127.0.0.1/0?password={}&ttl=x",
    "redis://:{}",
    "redis://me:{}",
    "redis:/:{}@127.0.0.1",
    ":{}@127.0.0.1",
    "redis://:{}@127.0.0.1,127.0.0.1",
    "redis+sentinel://:{}@127.0.0.1",
    "redis+sentinel://127.0.0.1/flags?sentinel_password={}",
    "redis+cluster://:{}@127.0.0.1/1",
    "rediss://:{}@127.0.0.1/0?ssl_cert_reqs=odd",
    "unix://:{}@/tmp/x.sock?db=x",
    "unknown://:{}@127.0.0.1",
    "memory://:{}@",
    "sqlite://me:{}@flags.db",
    "postgresql://me:{}@127.0.0.1:1/flags?sslmode=odd",
    "postgresql://me:{}@127.0.0.1:1/flags?connect_timeout=x",
    "postgresql://me@127.0.0.1:1/flags?sslpassword={}&sslmode=odd",
    "postgresql://me:{}@127.0.0.1:1/flags?optoins=x",
    "consul://:{}@127.0.0.1/flags?consistency=odd",
    "consul://{}@127.0.0.1/flags",
    "consul://127.0.0.1/flags?token={}&nonsense=1",
    "s3://key:{}@flags?endpoint_url=x",
    "s3://flags?access_key=key&secret_key={}&retries=x",
    "s3://flags?secret_key={}",
    "thrift://me:{}@127.0.0.1",
    "thrift://:{}@127.0.0.1:x",
]


def texts_of(error: BaseException) -> str:
    """Return all that an error shows to people and to programs."""
    formatted = "".join(traceback.format_exception(error))
    value = getattr(error, "value", None)
    return f"{error} {error!r} {formatted} {value!r} {error.__cause__} {error.args}"


@settings(
    max_examples=2 * CASES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(template=st.sampled_from(TEMPLATES), secret=secrets, write=written)
def test_no_error_shows_a_secret(
    template: str, secret: str, write: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor a piece of it, where its special characters are not encoded."""
    caplog.clear()
    caplog.set_level(logging.DEBUG)
    url = template.replace("{}", write(secret))
    try:
        store = store_from_url(url)
    except Exception as error:  # noqa: BLE001  (any error may show it)
        shown = texts_of(error)
    else:
        shown = f"{store!r} {FeatureFlagClient(store)!r}"
        store.close()
    assert MARK not in shown, url
    assert MARK not in caplog.text, url


@pytest.mark.parametrize("given_as", ["url", "option"])
@pytest.mark.parametrize(
    ("template", "option"),
    [
        ("redis://me{}@127.0.0.1:PORT", "password"),
        ("redis+sentinel://me{}@127.0.0.1:PORT/flags", "password"),
        ("redis+cluster://me{}@127.0.0.1:PORT", "password"),
        ("rediss://me{}@127.0.0.1:PORT", "password"),
        ("postgresql://me{}@127.0.0.1:PORT/flags", "password"),
        ("consul://{}@127.0.0.1:PORT/flags", "token"),
        (
            "s3://key{}@flags?region=us-east-1&endpoint_url=http://127.0.0.1:PORT",
            "secret_key",
        ),
    ],
)
def test_no_outage_shows_a_secret(
    template: str, option: str, given_as: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Drivers put addresses into their errors, and flipper logs these."""
    caplog.set_level(logging.DEBUG)
    template = template.replace("PORT", str(free_port()))
    if given_as == "url":
        url, options = template.replace("{}", f":{MARK}%2F{MARK}"), {}
    else:
        url = template.replace("{}@", "@" if "me{}" in template else "")
        options = {option: f"{MARK}/{MARK}"}
        if option == "secret_key":
            url, options["access_key"] = url.replace("key{}", ""), "key"
        url = url.replace("key@", "").replace("//@", "//")
    shown = []
    try:
        client = FeatureFlagClient.from_url(url, **options)
    except Exception as error:  # noqa: BLE001  (a cluster has to answer at once)
        shown.append(texts_of(error))
    else:
        shown.append(f"{client!r} {client._store!r}")
        assert client.is_enabled("x", default=True) is True
        shown.append(f"{client.explain('x')!r} {client.explain('x').error!r}")
        with pytest.raises(Exception) as failed:  # noqa: PT011  (of each driver)
            client.create("x")
        shown.append(texts_of(failed.value))
        client.close()
    assert MARK not in " ".join(shown)
    assert MARK not in caplog.text


@pytest.mark.consul
def test_the_token_for_consul_is_in_no_address(
    consul_server: ConsulServer, caplog: pytest.LogCaptureFixture
) -> None:
    """urllib3 logs the address of each request, and its errors show it."""
    caplog.set_level(logging.DEBUG)
    with Proxy(consul_server.host, consul_server.port) as proxy:
        url = f"consul://:{MARK}@127.0.0.1:{proxy.port}/urls?timeout=0.5"
        with FeatureFlagClient.from_url(url) as client:
            client.is_enabled("x")
            store: Any = client._store
            assert store._consul.http.session.headers["X-Consul-Token"] == MARK
            proxy.blackhole()
            with pytest.raises(Exception) as failed:  # noqa: PT011  (of requests)
                client.create("x")
    assert "/v1/kv/urls" in caplog.text
    assert MARK not in caplog.text + texts_of(failed.value)


@pytest.mark.parametrize(
    "shown", ["{}", "(user=me {} x)", "url=redis://:{}@host", "a'{}'"]
)
@pytest.mark.parametrize("secret", ["hunter2", "long secret/word", "ab", "it's\n"])
@pytest.mark.parametrize("form", [str, quote, lambda text: repr(text)[1:-1]])
def test_a_secret_in_an_error_of_a_driver_is_replaced(
    shown: str, secret: str, form: Any
) -> None:
    """Also in its cause, which a traceback shows."""

    def fail() -> None:
        raise OSError(shown.replace("{}", form(secret)))

    def fail_with_cause() -> None:
        try:
            fail()
        except OSError as error:
            message = "no"
            raise ValueError(message) from error

    for failing in (fail, fail_with_cause):
        with pytest.raises(InvalidArgumentError, match="cannot be made") as hidden:
            call_hiding([secret], failing)
        assert form(secret) not in str(hidden.value)
        assert hidden.value.__cause__ is None
        assert hidden.value.__context__ is None


def test_an_error_without_a_secret_is_raised_unchanged() -> None:
    """Applications catch the errors of drivers."""
    error = OSError("the host is a stranger")

    def fail() -> None:
        raise error

    for secrets_ in ([], [""], ["hunter2"], ["a h"], ["range"]):
        with pytest.raises(OSError, match="stranger") as raised:
            call_hiding(secrets_, fail)
        assert raised.value is error
