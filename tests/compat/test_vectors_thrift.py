# SPDX-License-Identifier: Apache-2.0
"""Golden cases: bytes on the wire of the Thrift service, both sides of it."""

from __future__ import annotations

from typing import Any

import pytest
from golden import Case, Raised, agree, cases, decode, encode, outcome
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TTransport import TMemoryBuffer

from flipper import ThriftRPCFeatureFlagStore
from flipper_thrift.python.feature_flag_store import FeatureFlagStore, ttypes

pytestmark = pytest.mark.thrift


class Sent:
    """A transport that keeps each flushed message, and reads from a prepared reply."""

    def __init__(self, reply: bytes) -> None:
        self.messages: list[str] = []
        self._written = b""
        self._reply = TMemoryBuffer(reply)

    def write(self, data: bytes) -> None:
        """Add to the message."""
        self._written += data

    def flush(self) -> None:
        """Finish the message."""
        self.messages.append(self._written.hex())
        self._written = b""

    def read(self, size: int) -> bytes:
        """Read from the reply."""
        return self._reply.read(size)

    def readAll(self, size: int) -> bytes:  # noqa: N802 (Thrift's own name)
        """Read from the reply, all of it."""
        return self._reply.readAll(size)

    def isOpen(self) -> bool:  # noqa: N802 (Thrift's own name)
        """Return that it is open."""
        return True

    def open(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class Handler:
    """Answers every method of the service as the case says."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.saw: list[Any] = []
        self._answer = answer

    def _called(self, name: str, *args: Any) -> Any:
        self.saw.append([name, encode(list(args))])
        if "raises" in self._answer:
            error = self._answer["raises"]
            raise RuntimeError(error) if isinstance(error, str) else decode(error)
        return decode(self._answer["returns"])

    def __getattr__(self, name: str) -> Any:
        if name not in ("Create", "Get", "Set", "Delete", "List", "SetMeta"):
            raise AttributeError(name)
        return lambda *args: self._called(name, *args)


def read(cls: Any, data: str) -> Any:
    """Read a struct from its bytes, given in hex."""
    value = cls()
    value.read(TBinaryProtocol(TMemoryBuffer(bytes.fromhex(data))))
    return value


def struct(given: Any) -> Any:
    """Write a struct and read it back."""
    value = decode(given["value"])
    written = TMemoryBuffer()
    value.write(TBinaryProtocol(written))
    data = written.getvalue().hex()
    back = read(type(value), data)
    return {
        "hex": data,
        "read_back": back,
        "read_back_equals": back == value,
        "repr": repr(value),
    }


def read_struct(given: Any) -> Any:
    """Read a struct that has more, or other, fields."""
    return read(getattr(ttypes, given["struct"]), given["hex"])


def request(given: Any) -> Any:
    """Send a request, without waiting for the reply."""
    transport = Sent(b"")
    asked = FeatureFlagStore.Client(TBinaryProtocol(transport))
    getattr(asked, f"send_{given['method']}")(*decode(given["args"]))
    return {"hex": "".join(transport.messages)}


def server(given: Any) -> Any:
    """Serve a request."""
    handler, written = Handler(given["handler"]), TMemoryBuffer()
    asked = TMemoryBuffer(bytes.fromhex(given["request_hex"]))
    processor = FeatureFlagStore.Processor(handler)
    processor.process(TBinaryProtocol(asked), TBinaryProtocol(written))
    return {"handler_saw": handler.saw, "hex": written.getvalue().hex()}


def call(target: Any, transport: Sent, given: Any) -> Any:
    """Call a method; return what was sent, and its result or error."""

    def act() -> Any:
        method = getattr(target, given["method"])
        value = method(*decode(given["args"]), **decode(given.get("kwargs", {})))
        return list(value) if given["method"] == "list" else value

    result = outcome(act)
    if not isinstance(result, Raised):
        result = {"result": result}
    return {"request_hex": transport.messages, "outcome": result}


def client(given: Any) -> Any:
    """Call the generated client."""
    transport = Sent(bytes.fromhex(given["reply_hex"]))
    asked = FeatureFlagStore.Client(TBinaryProtocol(transport))
    return call(asked, transport, given)


def store(given: Any) -> Any:
    """Call the store over the generated client."""
    transport = Sent(bytes.fromhex(given["reply_hex"]))
    asked = FeatureFlagStore.Client(TBinaryProtocol(transport))
    return call(ThriftRPCFeatureFlagStore(asked), transport, given)


KINDS = {
    "struct": struct,
    "read_struct": read_struct,
    "request": request,
    "server": server,
    "client": client,
    "store": store,
}


@pytest.mark.parametrize("case", cases("thrift"))
def test_thrift_calls_are_those_of_flipper_client(case: Case) -> None:
    """Programs with flipper-client's Thrift types understand every byte."""
    agree(case["expect"], outcome(lambda: KINDS[case["kind"]](case["given"])))
