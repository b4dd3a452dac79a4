# SPDX-License-Identifier: Apache-2.0
"""A program that uses one store, controlled by commands of another process.

It runs with the published flipper-client or with this library, whichever its
interpreter finds, and uses only what both have. A command is a line of JSON on standard
input, and the answer is a line on standard output.
"""

import json
import sys
import time

TIMEOUT = 10.0  # seconds until a change has to be seen by a store with a copy


def make_redis(address):
    """Make a store; the address is a URL."""
    import redis

    from flipper import RedisFeatureFlagStore

    return RedisFeatureFlagStore(redis.StrictRedis.from_url(address), base_key="shared")


def make_postgres(address):
    """Make a store; the address is a connection string."""
    from flipper import PostgreSQLFeatureFlagStore

    return PostgreSQLFeatureFlagStore(address)


def make_consul(address):
    """Make a store; the address is host:port."""
    import consul

    from flipper import ConsulFeatureFlagStore

    host, port = address.split(":")
    return ConsulFeatureFlagStore(
        consul.Consul(host=host, port=int(port)), base_key="shared"
    )


def make_s3(address):
    """Make a store; the address is the endpoint, a space and the bucket."""
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
    """Make a store; the address is host:port."""
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
    """A client of one store; its public methods are the commands."""

    def __init__(self, backend, address):
        from flipper import FeatureFlagClient

        self.store = globals()["make_" + backend](address)
        self.client = FeatureFlagClient(self.store)

    def until(self, condition):
        """Wait until the copy of a store has a change."""
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(0.01)

    def write(self, flags):
        """Create flags from their descriptions."""
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
        """Count the checks; over Thrift each becomes a condition of its own."""
        conditions = self.client.get_meta(name)["conditions"]
        return sum(len(checks) for each in conditions for checks in each.values())

    def answers(self, name, contexts):
        """Evaluate a flag for each context, and read it from the store once."""
        from flipper import CachedFeatureFlagStore, FeatureFlagClient

        self.until(lambda: self.client.exists(name))
        client = FeatureFlagClient(CachedFeatureFlagStore(self.store))
        return [bool(client.is_enabled(name, **context)) for context in contexts]

    def meta(self, name):
        """Return all metadata."""
        self.until(lambda: self.client.exists(name))
        meta = self.client.get_meta(name)
        # In flipper-client their order differs between processes.
        meta["bucketer"].get("key_whitelist", []).sort()
        # In flipper-client an evaluation adds names without checks.
        meta["conditions"] = [
            {variable: checks for variable, checks in condition.items() if checks}
            for condition in meta["conditions"]
        ]
        return meta

    def names(self):
        """Return all names."""
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

    def disable(self, name):
        """Switch a flag off."""
        self.client.disable(name)

    def set_client_data(self, name, client_data):
        """Change client data."""
        self.client.set_client_data(name, client_data)

    def add_condition(self, name, checks):
        """Add a condition."""
        from flipper import Condition

        self.client.add_condition(name, Condition(**checks))

    def set_bucketer(self, name, described):
        """Change the bucketer."""
        self.client.set_bucketer(name, make_bucketer(described))

    def set_rules(self, name, rules):
        """Set rules, which the original does not have."""
        from flipper.rules.rules import Rules

        self.client.set_rules(name, Rules.from_dict({"rules": rules}))

    def rules(self, name):
        """Return the rules."""
        return self.client.get_rules(name).to_dict()["rules"]

    def client_data(self, name):
        """Return the client data."""
        return self.client.get_client_data(name)

    def destroy(self, name):
        """Remove a flag."""
        self.client.destroy(name)

    def version(self):
        """Return the version of this library, or "original"."""
        import flipper

        return getattr(flipper, "__version__", "original")


def main():
    """Run commands until standard input ends."""
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
