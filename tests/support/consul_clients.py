# SPDX-License-Identifier: Apache-2.0
"""Consul clients whose requests a test can see and answer, and a store for tests."""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING, Any

import consul
import requests

from flipper.contrib.consul import ConsulFeatureFlagStore
from flipper.exceptions import StoreUnavailableError
from flipper.testing.contract import eventually
from support.flags import document

if TYPE_CHECKING:
    from collections.abc import Callable

    from flipper.contrib.consul.watch import ConsulWatch
    from servers import ConsulServer, Proxy

AWAY = (requests.exceptions.RequestException, consul.base.ConsulException)
"""The errors of a client whose agent is away."""


def connect_to_consul(server: ConsulServer | Proxy) -> consul.Consul:
    """Return a client as applications have it."""
    return consul.Consul(host=server.host, port=server.port)


class BriefStore(ConsulFeatureFlagStore):
    """A store whose thread can end soon, since no request of it waits for long."""

    wait = 1


def watch_when_ready(store: ConsulFeatureFlagStore) -> ConsulWatch:
    """Return a watch of a store, as soon as its copy is level with Consul."""
    begun: list[ConsulWatch] = []

    def begins() -> bool:
        try:
            begun.append(store.watch())
        except StoreUnavailableError:
            return False
        return True

    eventually(begins)
    return begun[0]


def wait_until_level(store: ConsulFeatureFlagStore, client: consul.Consul) -> None:
    """Wait until the thread has copied all that was written until now."""
    name = f"zz-{uuid.uuid4().hex}"
    client.kv.put(f"{store.base_key}/{name}", document(name))
    eventually(lambda: store.get(name) is not None)
    client.kv.delete(f"{store.base_key}/{name}")
    eventually(lambda: store.get(name) is None)


def row(key: str, value: Any, index: Any) -> dict[str, Any]:
    """Return what a client gives for a key."""
    return {"Key": key, "Value": value, "ModifyIndex": index, "Flags": 0}


class TappedClient:
    """A client whose requests can be counted, held, made to fail, or sent elsewhere.

    Attributes:
        asked: how many requests for all keys have begun, answers to which the store's
            thread waits for.
        asking: takes the place of these requests.
        putting: takes the place of the requests that write.
    """

    def __init__(self, inner: Any) -> None:
        self.kv = self
        self.inner = inner.kv
        self.asked = 0
        self.asking: Callable[..., Any] = self.inner.get
        self.putting: Callable[..., Any] = self.inner.put

    def get(self, key: str, recurse: bool = False, **options: Any) -> Any:
        """Read one key, or all keys."""
        if not recurse:
            return self.inner.get(key, **options)
        self.asked += 1
        return self.asking(key, recurse=True, **options)

    def put(self, key: str, value: bytes, **options: Any) -> Any:
        """Write a key."""
        return self.putting(key, value, **options)

    def delete(self, key: str) -> Any:
        """Delete a key."""
        return self.inner.delete(key)


class ScriptedClient(TappedClient):
    """A client that gives prepared answers, then holds the thread until it may go.

    Attributes:
        answers: those that are left; an exception is raised.
        indexes: the index of each request.
        may_go: ends the last request.
    """

    def __init__(self, *answers: Any) -> None:
        self.kv = self
        self.answers = list(answers)
        self.indexes: list[Any] = []
        self.may_go = threading.Event()

    def get(self, key: str, index: Any = None, **_: Any) -> Any:
        """Return the next answer, or raise it."""
        self.indexes.append(index)
        if not self.answers:
            self.may_go.wait(30)
            raise OSError
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer
