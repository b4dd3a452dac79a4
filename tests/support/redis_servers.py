# SPDX-License-Identifier: Apache-2.0
"""Several Redis servers that belong together, and the commands that one server gets."""

from __future__ import annotations

import contextlib
import socket
import uuid
from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from flipper.testing.contract import eventually
from servers import RedisServer, start, start_redis
from servers.process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self


def without_pauses(retries: int = 0) -> Retry:
    """Return a retry policy of so many retries, without the pauses of redis-py."""
    return Retry(NoBackoff(), retries)


class ClusterNode(RedisServer):
    """A Redis in cluster mode that is not connected to other nodes yet."""

    variable = "FLIPPER_TEST_REDIS_CLUSTER"

    def prepare(self) -> None:
        """Find a free port whose number plus 10,000, the nodes' own port, is free."""
        while True:
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.bind((self.host, self.port + 10_000))
                return
            self.port = free_port()

    def command(self) -> list[str]:
        """Return the command that runs a node."""
        return [*super().command(), "--cluster-enabled", "yes"]


@contextlib.contextmanager
def start_cluster() -> Iterator[list[Any]]:
    """Start a cluster of two nodes, with half of the slots each; yield clients."""
    with contextlib.ExitStack() as stack:
        nodes = [stack.enter_context(start(ClusterNode)) for _ in range(2)]
        clients = [
            stack.enter_context(redis.Redis(host=node.host, port=node.port))
            for node in nodes
        ]
        for first, client in zip((0, 8192), clients, strict=True):
            client.cluster("addslots", *range(first, first + 8192))
        clients[0].cluster("meet", nodes[1].host, nodes[1].port)
        eventually(
            lambda: all(
                client.cluster("info")["cluster_state"] == "ok"
                and client.cluster("info")["cluster_known_nodes"] == "2"
                for client in clients
            )
        )
        yield clients


def address(client: Any) -> tuple[str, int]:
    """Return the host and the port that a client connects to."""
    options = client.connection_pool.connection_kwargs
    return options["host"], options["port"]


class Replica(RedisServer):
    """A Redis that copies another."""

    variable = "FLIPPER_TEST_REDIS_REPLICA"
    master: RedisServer

    def command(self) -> list[str]:
        """Return the command that runs a copy of `master`."""
        replication = ["--replicaof", self.master.host, str(self.master.port)]
        return [*super().command(), *replication]


class SentinelServer(RedisServer):
    """A sentinel, which promotes the copy of `master` when `master` is gone."""

    variable = "FLIPPER_TEST_REDIS_SENTINEL"
    master: RedisServer

    def prepare(self) -> None:
        """Write the configuration, which the sentinel rewrites."""
        watched = f"flags {self.master.host} {self.master.port} 1"
        (self.folder / "sentinel.conf").write_text(
            f"bind {self.host}\nport {self.port}\ndir {self.folder}\n"
            f"sentinel monitor {watched}\n"
            "sentinel down-after-milliseconds flags 200\n"
            "sentinel failover-timeout flags 2000\n"
        )

    def command(self) -> list[str]:
        """Return the command that runs a sentinel."""
        return [self._program, "sentinel.conf", "--sentinel"]


class Replication:
    """A master called `flags`, a copy of it, and a sentinel that watches both."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Start the servers."""
        with contextlib.ExitStack() as stack:
            self.master = stack.enter_context(start_redis())
            with redis.Redis(host=self.master.host, port=self.master.port) as client:
                client.config_set("repl-diskless-sync-delay", 0)
            Replica.master = SentinelServer.master = self.master
            self.replica = stack.enter_context(start(Replica))
            watcher = stack.enter_context(start(SentinelServer))
            self._sentinel = Sentinel([(watcher.host, watcher.port)])
            for client in self._sentinel.sentinels:
                stack.callback(client.connection_pool.disconnect)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End the servers."""
        self._stack.close()

    def client(self, **options: Any) -> Any:
        """Return a client of whichever server is the master."""
        client = self._sentinel.master_for("flags", **options)
        self._stack.callback(client.connection_pool.disconnect)
        return client

    def wait_for_replica(self) -> None:
        """Wait until the sentinel knows the copy."""
        eventually(lambda: bool(self._sentinel.discover_slaves("flags")))


def tracking_connections(client: Any) -> int:
    """Count the connections of a server that get reports of changes."""
    return int(client.info("clients")["tracking_clients"])


class Commands:
    """The commands that a server gets, from one call of `seen` to the next."""

    def __init__(self, client: Any, monitoring_client: Any) -> None:
        self._client = client
        self._monitor = monitoring_client.monitor()

    def __enter__(self) -> Self:
        """Begin to record."""
        self._monitor.__enter__()
        self.seen()
        return self

    def __exit__(self, *error: object) -> None:
        """End the recording."""
        self._monitor.__exit__(*error)

    def seen(self) -> list[list[str]]:
        """Return the commands since the last call, each as a list of words."""
        end = uuid.uuid4().hex
        self._client.echo(end)
        commands = []
        for command in self._monitor.listen():
            words = command["command"].split(" ")
            if words[-1] == end:
                return commands
            if words[0] not in {"HELLO", "CLIENT"}:
                commands.append(words)
        raise AssertionError("the recording has ended")  # pragma: no cover
