# SPDX-License-Identifier: Apache-2.0
"""Stores in Consul: `consul://host:8500/base_key`, or `consul+https://`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from ..exceptions import MissingDependencyError
from .ownership import make_owner

try:
    from consul import Consul
    from requests.adapters import HTTPAdapter
except ImportError as error:
    raise MissingDependencyError.for_extra("python-consul", "consul") from error

from ..contrib.consul import ConsulFeatureFlagStore

if TYPE_CHECKING:
    from .address import StoreURL

_PORT: Final = 8500
_TIMEOUT: Final = 2.0  # seconds
_IS_BLOCKING: Final = re.compile(r"[?&]index=")
_WAIT: Final = re.compile(r"[?&]wait=([0-9]+)s")


def build(url: StoreURL) -> Any:
    """Make the store."""
    options = url.options
    host = url.host(_PORT)
    base_key = _base_key(url)
    token = _token(url)
    is_https = url.scheme == "consul+https"
    verify: Any = options.switch("verify", default=True)
    if "ca_file" in options:
        if not verify:
            url.refuse("has verify=0 and a ca_file; leave out one of them")
        verify = options.path("ca_file")
    certificate = options.path("cert_file")
    settings = {
        "dc": options.text("dc"),
        "consistency": options.choice("consistency", "default", "consistent", "stale"),
    }
    adapter = _LimitedAdapter(
        options.seconds("connect_timeout", _TIMEOUT),
        options.seconds("timeout", _TIMEOUT),
    )
    options.refuse_unknown()
    client = Consul(**settings)
    # Not by the constructor: it prefers variables of the environment.
    client.scheme = "https" if is_https else "http"
    client.http = client.connect(
        host.bracketed_name, host.port, client.scheme, verify, certificate
    )
    session = client.http.session
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    # In a header, because errors show the address of a request with its parameters.
    token, client.token = token or client.token, None
    if token:
        session.headers["X-Consul-Token"] = token
    return make_owner(ConsulFeatureFlagStore, client, release=session.close, **base_key)


class _LimitedAdapter(HTTPAdapter):
    """Sends requests with time limits, which python-consul does not have.

    Args:
        connect_timeout: seconds.
        timeout: seconds for an answer, in addition to those that a blocking query asks
            Consul to wait.
    """

    def __init__(self, connect_timeout: float, timeout: float) -> None:
        self.connect_timeout = connect_timeout
        self.timeout = timeout
        super().__init__()

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Send a request."""
        if kwargs.get("timeout") is None:
            seconds = 0.0
            wait = _WAIT.search(request.url)
            if wait and _IS_BLOCKING.search(request.url):
                # Consul adds up to a sixteenth to the time that it waits.
                seconds = int(wait[1]) * 17 / 16
            kwargs["timeout"] = (self.connect_timeout, self.timeout + seconds)
        return super().send(request, *args, **kwargs)


def _base_key(url: StoreURL) -> dict[str, Any]:
    in_path, option = url.path.strip("/"), url.options.text("base_key")
    if in_path and option:
        url.refuse("has a base_key in its path and as an option; give one")
    base_key = in_path or option
    return {"base_key": base_key} if base_key else {}


def _token(url: StoreURL) -> str | None:
    """Return the token, from before the host or from the options."""
    option = url.options.secret("token")
    if url.username:
        url.refuse(
            "has a user name; write consul://:TOKEN@host or consul://host?token="
        )
    if url.password and option:
        url.refuse("has a token before the host and as an option; give one")
    return url.password or option
