# SPDX-License-Identifier: Apache-2.0
"""Works on one store by commands from another process, with whichever library it finds.

It runs under the interpreter that has the published flipper-client, and under the one
that has this library, and uses only what both have. A command is a line of JSON on
standard input, the answer a line on standard output.
"""

import json
import sys
import time

WAITING = 10.0  # seconds until a store that follows its server has to have followed


def make_redis(address):
    """Connect by a URL."""
    import redis

    from flipper import RedisFeatureFlagStore

    return RedisFeatureFlagStore(redis.StrictRedis.from_url(address), base_key="shared")


def make_postgres(address):
    """Connect by a connection string."""
    from flipper import PostgreSQLFeatureFlagStore

    return PostgreSQLFeatureFlagStore(address)


def make_consul(address):
    """Connect by host:port."""
    import consul

    from flipper import ConsulFeatureFlagStore

    host, port = address.split(":")
    return ConsulFeatureFlagStore(
        consul.Consul(host=host, port=int(port)), base_key="shared"
    )


def make_s3(address):
    """Connect by endpoint, and bucket after a space."""
    import boto3

    from flipper import S3FeatureFlagStore

    endpoint, bucket = address.split(" ")
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",  # noqa: S106  (the test server takes any)
    )
    return S3FeatureFlagStore(client, bucket)


def make_thrift(address):
    """Connect by host:port."""
    from thrift.protocol import TBinaryProtocol
    from thrift.transport import TSocket, TTransport

    from flipper import ThriftRPCFeatureFlagStore
    from flipper_thrift.python.feature_flag_store import FeatureFlagStore

    host, port = address.split(":")
    transport = TTransport.TBufferedTransport(TSocket.TSocket(host, int(port)))
    transport.open()
    protocol = TBinaryProtocol.TBinaryProtocol(transport)
    return ThriftRPCFeatureFlagStore(FeatureFlagStore.Client(protocol))


def make_bucketer(described):
    """Make a bucketer from its class, percentage and whitelist."""
    from flipper import bucketing

    if described is None:
        return None
    arguments = dict(described["percentage"])
    percentage = getattr(bucketing, arguments.pop("class"))(**arguments)
    kind = getattr(bucketing, described["class"])
    if "key_whitelist" in described:
        return kind(key_whitelist=described["key_whitelist"], percentage=percentage)
    return kind(percentage=percentage)


class Agent:
    """One client over one store."""

    def __init__(self, backend, address):
        from flipper import FeatureFlagClient

        self.store = globals()["make_" + backend](address)
        self.client = FeatureFlagClient(self.store)

    def until(self, condition):
        """Wait for a store that follows its server."""
        deadline = time.monotonic() + WAITING
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(0.01)

    def write(self, flags):
        """Create flags as described."""
        from flipper import Condition

        for name, flag in flags.items():
            self.client.create(
                name, is_enabled=flag["is_enabled"], client_data=flag["client_data"]
            )
            self.until(lambda name=name: self.client.exists(name))
            count = 0
            for checks in flag["conditions"]:
                self.client.add_condition(name, Condition(**checks))
                count += len(checks)
                self.until(lambda n=name, c=count: self.checks(n) == c)
            bucketer = make_bucketer(flag["bucketer"])
            if bucketer is not None:
                self.client.set_bucketer(name, bucketer)

    def checks(self, name):
        """Count the checks: over Thrift, each comes back as a condition of its own."""
        conditions = self.client.get_meta(name)["conditions"]
        return sum(len(checks) for each in conditions for checks in each.values())

    def answers(self, name, contexts):
        """Ask about a flag for each context, reading it from the store once."""
        from flipper import CachedFeatureFlagStore, FeatureFlagClient

        self.until(lambda: self.client.exists(name))
        client = FeatureFlagClient(CachedFeatureFlagStore(self.store))
        return [bool(client.is_enabled(name, **context)) for context in contexts]

    def meta(self, name):
        """Read all metadata."""
        self.until(lambda: self.client.exists(name))
        meta = self.client.get_meta(name)
        # In the original their order changes from process to process.
        meta["bucketer"].get("key_whitelist", []).sort()
        # And a question leaves its names behind, without checks.
        meta["conditions"] = [
            {variable: checks for variable, checks in condition.items() if checks}
            for condition in meta["conditions"]
        ]
        return meta

    def names(self):
        """List all names."""
        return sorted(flag.name for flag in self.client.list())

    def rewrite(self, name, client_data):
        """Change a flag's state and its client data."""
        self.until(lambda: self.client.exists(name))
        self.client.disable(name)
        self.until(lambda: not self.client.is_enabled(name))
        self.client.set_client_data(name, client_data)
        self.until(
            lambda: client_data.items() <= self.client.get_client_data(name).items()
        )

    def enable(self, name):
        """Switch a flag on."""
        self.until(lambda: self.client.exists(name))
        self.client.enable(name)

    def destroy(self, name):
        """Remove a flag."""
        self.client.destroy(name)

    def version(self):
        """Say which library this is."""
        import flipper

        return getattr(flipper, "__version__", "original")


def main():
    """Obey until standard input ends."""
    agent = Agent(*sys.argv[1:])
    for line in sys.stdin:
        method, arguments = json.loads(line)
        try:
            answer = {"result": getattr(agent, method)(*arguments)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
