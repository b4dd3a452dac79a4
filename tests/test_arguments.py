# SPDX-License-Identifier: Apache-2.0
"""Invalid arguments are refused: nothing is written, and no event is emitted."""

from __future__ import annotations

import math
import sys
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import MagicMock

import pytest

from flipper import (
    CachedFeatureFlagStore,
    Condition,
    FeatureFlagClient,
    FlagDoesNotExistError,
    MemoryFeatureFlagStore,
    RedisFeatureFlagStore,
    ReplicatedFeatureFlagStore,
    S3FeatureFlagStore,
)
from flipper.bucketing import (
    BucketerFactory,
    ConsistentHashPercentageBucketer,
    LinearRampPercentage,
    NoOpBucketer,
    Percentage,
    PercentageBucketer,
)
from flipper.conditions.operators import Operator
from flipper.contrib.synced import SyncedFeatureFlagStore
from flipper.events import EventType
from flipper.exceptions import FlipperError, InvalidArgumentError
from support.flag_builders import CustomWeekend

if TYPE_CHECKING:
    from collections.abc import Callable

NAN = math.nan
INFINITE = math.inf
LATER = 4_000_000_000


class CheckedClient(NamedTuple):
    """A client with one flag, and the events since it was created."""

    client: FeatureFlagClient
    store: MemoryFeatureFlagStore
    emitted: list[EventType]

    def refuses(self, call: Callable[[], object]) -> InvalidArgumentError:
        """Check that a call is refused and changes nothing, and return its error."""
        before = [*self.store.list()]
        with pytest.raises(InvalidArgumentError) as refusal:
            call()
        after = [*self.store.list()]
        assert len(before) == len(after)
        assert all(a is b for a, b in zip(before, after, strict=True))
        assert not self.emitted
        assert isinstance(refusal.value, TypeError)
        assert isinstance(refusal.value, ValueError)
        return refusal.value


@pytest.fixture
def checked() -> CheckedClient:
    """Return a client whose store has the flag `x`, and record events from now on."""
    store = MemoryFeatureFlagStore()
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    emitted: list[EventType] = []
    for event in EventType:
        client.events.on(event, lambda *_, _event=event, **__: emitted.append(_event))
    return CheckedClient(client, store, emitted)


# Names


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "is empty"),
        (None, "is not text but NoneType"),
        (5, "is not text but int"),
        (b"x", "is not text but bytes"),
        (["x"], "is not text but list"),
        ("\ud800", "cannot be encoded as UTF-8"),
        (" ", "is only white space"),
        ("\n", "is only white space"),
        ("\u2003\t\u3000", "is only white space"),
        ("a\0b", "contains a NUL character"),
        ("x" * 1001, "is 1001 bytes long"),
        ("é" * 501, "is 1002 bytes long"),
    ],
    ids=repr,
)
def test_an_invalid_feature_name_is_refused(
    checked: CheckedClient, name: Any, problem: str
) -> None:
    """All stores have the same rule, so that a flag can move to another store."""
    error = checked.refuses(lambda: checked.client.create(name))
    said = str(error)
    assert problem in said
    assert repr(name)[:100] in said
    assert "use a text of 1 to 1000 bytes in UTF-8, without NUL characters" in said
    assert error.feature_name is name
    assert error.value is name
    assert len(said) < 300
    assert said.encode()


@pytest.mark.parametrize("name", ["x" * 1000, "é" * 500, " a ", "a/b", "%s*?[", "名"])
def test_any_other_text_is_a_feature_name(checked: CheckedClient, name: str) -> None:
    """Existing applications have names of all kinds."""
    assert checked.client.create(name).exists()


@pytest.mark.parametrize("name", ["", None, 5, b"x", "\ud800", "a\0b", "x" * 1001])
@pytest.mark.parametrize(
    "write",
    [
        lambda client, name: client.enable(name),
        lambda client, name: client.disable(name),
        lambda client, name: client.destroy(name),
        lambda client, name: client.set_client_data(name, {}),
        lambda client, name: client.add_condition(name, Condition()),
        lambda client, name: client.set_conditions(name, []),
        lambda client, name: client.set_bucketer(name, NoOpBucketer()),
        lambda client, name: client.get_meta(name),
        lambda client, name: client.get_client_data(name),
    ],
    ids=lambda write: "-".join(write.__code__.co_names),
)
def test_a_flag_with_an_invalid_name_does_not_exist(
    checked: CheckedClient, write: Callable[[FeatureFlagClient, Any], None], name: Any
) -> None:
    """Methods that need an existing flag report that it is missing."""
    with pytest.raises(FlagDoesNotExistError) as error:
        write(checked.client, name)
    assert error.value.feature_name is name
    assert str(error.value) == f"Feature {name} does not exist"
    assert not checked.client.exists(name)
    assert not checked.emitted


# States


@pytest.mark.parametrize(
    "state", ["false", "no", "off", "0", "", [False], [], {}, 2, -1, NAN, object()]
)
def test_a_state_that_is_no_boolean_is_refused(
    checked: CheckedClient, state: Any
) -> None:
    """The text "false" would be true in Python."""
    error = checked.refuses(lambda: checked.client.create("new", is_enabled=state))
    assert f"The state {state!r} of feature 'new' is neither on nor off" in str(error)
    assert "use True or False" in str(error)
    assert error.feature_name == "new"
    assert error.value is state


class Array:
    """An object that compares each of its numbers, like an array of NumPy."""

    def __eq__(self, other: object) -> Any:
        raise ValueError(other)

    __hash__ = None  # type: ignore[assignment]


def test_an_array_is_refused_as_a_state(checked: CheckedClient) -> None:
    """The truth value of an array is an error."""
    error = checked.refuses(lambda: checked.client.create("new", is_enabled=Array()))  # type: ignore[arg-type]
    assert "is neither on nor off" in str(error)


@pytest.mark.parametrize("state", [True, False, None, 0, 1, 0.0, 1.0, Decimal(1)])
def test_none_and_the_numbers_0_and_1_are_states(
    checked: CheckedClient, state: Any
) -> None:
    """Applications pass on what their own databases return."""
    checked.client.create("new", is_enabled=state)
    assert checked.client.is_enabled("new") is bool(state)


# Pages


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (
            {"limit": -1},
            "limit=-1 is not a number of flags; use 0 or a larger integer, or",
        ),
        ({"limit": "5"}, "limit='5' is not a number of flags"),
        ({"limit": 2.5}, "limit=2.5 is not a number of flags"),
        (
            {"offset": -1},
            "offset=-1 is not a number of flags; use 0 or a larger integer",
        ),
        ({"offset": "5"}, "offset='5' is not a number of flags"),
        ({"offset": None}, "offset=None is not a number of flags"),
    ],
    ids=repr,
)
def test_an_invalid_page_is_refused_at_once(
    checked: CheckedClient, page: dict[str, Any], said: str
) -> None:
    """`list` raises before it reads, and not only when it is iterated."""
    error = checked.refuses(lambda: checked.client.list(**page))
    assert said in str(error)
    assert ("or None for all" in str(error)) is ("limit" in page)
    assert error.value in page.values()


@pytest.mark.parametrize("page", [{"limit": None}, {"limit": 0}, {"limit": True}])
def test_any_other_page_is_read(checked: CheckedClient, page: dict[str, Any]) -> None:
    """Any type of integer is accepted."""
    assert len([*checked.client.list(**page)]) == (0 if page["limit"] == 0 else 1)


# Client data


@pytest.mark.parametrize("data", [["a"], "text", 5, {"a"}, [("a", 1)], True], ids=repr)
@pytest.mark.parametrize(
    "write",
    [
        lambda client, data: client.create("x", client_data=data),
        lambda client, data: client.set_client_data("x", data),
        lambda client, data: client.get("x").set_client_data(data),
    ],
    ids=["create", "set_client_data", "flag"],
)
def test_client_data_that_is_no_mapping_is_refused(
    checked: CheckedClient, write: Callable[[FeatureFlagClient, Any], None], data: Any
) -> None:
    """Client data without names could not be merged."""
    error = checked.refuses(lambda: write(checked.client, data))
    assert (
        f"The client data of feature 'x' is not a dict but {type(data).__name__}"
        in (str(error))
    )
    assert "use a dict of names and values" in str(error)
    assert (error.feature_name, error.value) == ("x", data)


@pytest.mark.parametrize("data", [None, {}, [], "", 0, False])
def test_a_flag_may_be_created_without_client_data(
    checked: CheckedClient, data: Any
) -> None:
    """Any empty value means no client data, as in flipper-client."""
    assert checked.client.create("new", client_data=data).get_client_data() == {}


def test_any_mapping_is_accepted_as_client_data(checked: CheckedClient) -> None:
    """Client data is merged name by name, so it need not be a dict."""
    checked.client.set_client_data("x", MappingProxyType({"a": 1}))
    assert checked.client.get_client_data("x") == {"a": 1}


def test_client_data_that_contains_itself_is_refused(checked: CheckedClient) -> None:
    """Such data can be neither copied nor stored."""
    data: dict[str, Any] = {}
    data["again"] = data
    error = checked.refuses(lambda: checked.client.set_client_data("x", data))
    assert "contains itself" in str(error)


# Conditions


@pytest.mark.parametrize(
    "condition", [{"a": 1}, None, Condition, "a=1", True, [Condition(a=1)]], ids=repr
)
@pytest.mark.parametrize(
    "write",
    [
        lambda client, condition: client.add_condition("x", condition),
        lambda client, condition: client.set_conditions("x", [condition]),
        lambda client, condition: client.set_conditions("x", iter([condition])),
        lambda client, condition: client.get("x").add_condition(condition),
    ],
    ids=["add_condition", "set_conditions", "iterator", "flag"],
)
def test_an_object_that_is_no_condition_is_refused(
    checked: CheckedClient,
    write: Callable[[FeatureFlagClient, Any], None],
    condition: Any,
) -> None:
    """It would break every later read of the flag."""
    error = checked.refuses(lambda: write(checked.client, condition))
    assert f"{condition!r} is not a condition for feature 'x'" in str(error)
    assert "use flipper.Condition, as in Condition(is_admin=True)" in str(error)
    assert (error.feature_name, error.value) == ("x", condition)


@pytest.mark.parametrize("conditions", [None, 5, Condition(a=1)], ids=repr)
def test_set_conditions_refuses_a_single_condition(
    checked: CheckedClient, conditions: Any
) -> None:
    """The error says to use a list."""
    error = checked.refuses(lambda: checked.client.set_conditions("x", conditions))
    assert f"{conditions!r} is not a list of conditions for feature 'x'" in str(error)
    assert "use a list, as in [Condition(is_admin=True)]" in str(error)
    assert (error.feature_name, error.value) == ("x", conditions)


def test_an_error_of_the_callers_generator_is_raised_unchanged(
    checked: CheckedClient,
) -> None:
    """The error reaches the caller, and nothing is written."""

    def conditions() -> Any:
        yield Condition(a=1)
        raise TypeError("on the way")

    with pytest.raises(TypeError, match="on the way") as error:
        checked.client.set_conditions("x", conditions())
    assert not isinstance(error.value, FlipperError)
    assert not checked.client.get_meta("x")["conditions"]
    assert not checked.emitted


def test_an_unknown_operator_is_refused_by_the_condition() -> None:
    """`Condition` itself raises, before a flag is involved."""
    with pytest.raises(Operator.InvalidSymbolError, match="not supported: greater"):
        Condition(age__greater=18)


def test_a_custom_condition_is_accepted(checked: CheckedClient) -> None:
    """An object with the methods of a condition is one."""
    checked.client.add_condition("x", CustomWeekend())
    assert checked.client.is_enabled("x", day="Sun") is True
    assert checked.client.is_enabled("x", day="Mon") is False


# Bucketers


@pytest.mark.parametrize(
    "bucketer",
    ["x", 0.5, {"type": "NoOpBucketer"}, Percentage(0.5), PercentageBucketer, object()],
)
def test_an_object_that_is_no_bucketer_is_refused(
    checked: CheckedClient, bucketer: Any
) -> None:
    """It would break every later read of the flag."""
    for write in (checked.client.get("x").set_bucketer, lambda b: _set(checked, b)):
        error = checked.refuses(lambda write=write: write(bucketer))
        assert f"{bucketer!r} is not a bucketer for feature 'x'" in str(error)
        assert "as in PercentageBucketer(Percentage(0.5))" in str(error)
        assert (error.feature_name, error.value) == ("x", bucketer)


def _set(checked: CheckedClient, bucketer: Any) -> None:
    checked.client.set_bucketer("x", bucketer)


def test_a_bucketer_of_none_changes_nothing(checked: CheckedClient) -> None:
    """In metadata, `None` means that the value stays as it is."""
    _set(checked, PercentageBucketer(0.5))
    _set(checked, None)
    assert checked.client.get_meta("x")["bucketer"]["percentage"]["value"] == 0.5


@pytest.mark.parametrize(
    "share", [50, -0.1, 1.0001, NAN, INFINITE, -INFINITE, "0.5", 1j, [0.5]], ids=repr
)
@pytest.mark.parametrize(
    "make",
    [
        lambda share: PercentageBucketer(Percentage(share)),
        PercentageBucketer,
        lambda share: ConsistentHashPercentageBucketer(percentage=Percentage(share)),
        lambda share: PercentageBucketer(LinearRampPercentage(share, 1, 60, LATER)),
        lambda share: PercentageBucketer(LinearRampPercentage(0, share, 60, LATER)),
    ],
    ids=["percentage", "number", "consistent", "initial", "final"],
)
def test_a_percentage_that_is_no_fraction_is_refused(
    checked: CheckedClient, make: Callable[[Any], Any], share: Any
) -> None:
    """A percentage of 50 would mean everybody, instead of half."""
    error = checked.refuses(lambda: _set(checked, make(share)))
    assert f" {share!r} of the bucketer for feature 'x' is not a fraction" in str(error)
    assert "use a number from 0 to 1, as Percentage(0.5) for 50 %" in str(error)
    assert error.feature_name == "x"
    assert error.value is share


def test_a_percentage_of_none_is_refused(checked: CheckedClient) -> None:
    """`PercentageBucketer(None)` is everybody, but `Percentage(None)` is an error."""
    checked.refuses(lambda: _set(checked, PercentageBucketer(Percentage(None))))
    _set(checked, PercentageBucketer(None))
    assert checked.client.is_enabled("x") is True


def test_the_invalid_value_of_a_ramp_is_named(checked: CheckedClient) -> None:
    """The error says whether the initial or the final value is invalid."""
    ramp = LinearRampPercentage(20, 80, 3600)
    error = checked.refuses(lambda: _set(checked, PercentageBucketer(ramp)))
    assert "The initial_value 20 of the bucketer" in str(error)
    ramp = LinearRampPercentage(0.2, 80, 3600)
    error = checked.refuses(lambda: _set(checked, PercentageBucketer(ramp)))
    assert "The final_value 80 of the bucketer" in str(error)


@pytest.mark.parametrize("duration", ["3600", timedelta(hours=1), None], ids=repr)
def test_a_ramp_duration_that_is_no_number_is_refused(
    checked: CheckedClient, duration: Any
) -> None:
    """Otherwise every question would fail, and the default would answer."""
    bucketer = PercentageBucketer(LinearRampPercentage(0, 1, duration))
    error = checked.refuses(lambda: _set(checked, bucketer))
    assert str(error).startswith(
        "The percentage of the bucketer for feature 'x' cannot be computed: '<=' not "
        "supported between instances of "
    )
    assert str(error).endswith("; use numbers, as LinearRampPercentage(0, 1, 3600)")
    assert (error.feature_name, error.value) == ("x", bucketer)
    assert isinstance(error.__cause__, TypeError)


@pytest.mark.parametrize("duration", [-5, -0.001, -INFINITE, INFINITE], ids=repr)
@pytest.mark.parametrize(
    "make",
    [PercentageBucketer, lambda p: ConsistentHashPercentageBucketer(percentage=p)],
    ids=["random", "consistent"],
)
def test_a_negative_or_infinite_ramp_duration_is_refused(
    checked: CheckedClient, make: Callable[[Any], Any], duration: float
) -> None:
    """The percentage of such a ramp would never change."""
    bucketer = make(LinearRampPercentage(0, 1, duration))
    error = checked.refuses(lambda: _set(checked, bucketer))
    assert str(error) == (
        f"The ramp_duration {duration!r} of the bucketer for feature 'x' is not a "
        f"duration; use seconds, as LinearRampPercentage(0, 1, 3600)"
    )
    assert (error.feature_name, error.value) == ("x", duration)


@pytest.mark.parametrize("duration", [0, 0.5, 10**9, Fraction(1, 2), True], ids=repr)
def test_any_other_ramp_duration_is_accepted(
    checked: CheckedClient, duration: Any
) -> None:
    """A ramp of 0 seconds is accepted too, and is over at once."""
    ramp = LinearRampPercentage(1, 1, duration, 0)
    _set(checked, PercentageBucketer(ramp))
    assert checked.client.is_enabled("x") is True


def test_an_initial_time_that_is_no_date_is_refused(
    checked: CheckedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check does not depend on the clock, which a test may have replaced."""
    module = sys.modules[LinearRampPercentage.__module__]
    monkeypatch.setattr(module, "datetime", MagicMock())
    module.datetime.now.return_value.timestamp.return_value = 5.0
    bucketer = PercentageBucketer(LinearRampPercentage(0, 1, 60, INFINITE))
    error = checked.refuses(lambda: _set(checked, bucketer))
    assert "The initial_time inf of the bucketer for feature 'x' is not a date" in str(
        error
    )


def test_a_stored_ramp_with_negative_duration_is_read(checked: CheckedClient) -> None:
    """A ramp that flipper-client has stored keeps its meaning: it is over."""
    meta = checked.store.get("x").raw_meta  # type: ignore[union-attr]
    ramp = {"type": "LinearRampPercentage", "ramp_duration": -5}
    fields = {"type": "PercentageBucketer", "percentage": ramp}
    meta.bucketer = BucketerFactory.create(fields)
    checked.store.set_meta("x", meta)
    assert checked.client.is_enabled("x") is True


@pytest.mark.parametrize("key", [1, None, b"user_id", ("user_id",)], ids=repr)
def test_a_key_that_is_no_name_is_refused(checked: CheckedClient, key: Any) -> None:
    """No argument has such a name, so all callers would share one bucket."""
    bucketer = ConsistentHashPercentageBucketer(key_whitelist=["a", key], percentage=1)
    error = checked.refuses(lambda: _set(checked, bucketer))
    assert f"for feature 'x' has {key!r}, which is not the name of an argument" in str(
        error
    )
    assert (error.feature_name, error.value) == ("x", key)


def test_a_ramp_whose_percentage_is_no_number_is_refused(
    checked: CheckedClient,
) -> None:
    """Its parts are numbers, but its percentage is not."""
    ramp = LinearRampPercentage(0, 1, NAN)
    error = checked.refuses(lambda: _set(checked, PercentageBucketer(ramp)))
    assert (
        "The percentage nan of the bucketer for feature 'x' is not a fraction"
        in str(error)
    )


@pytest.mark.parametrize(
    "share", [0, 1, 0.0, 1.0, True, False, Fraction(1, 3), Decimal("0.5")], ids=repr
)
def test_any_fraction_is_a_percentage(checked: CheckedClient, share: Any) -> None:
    """Any type of number from 0 to 1 is accepted."""
    _set(checked, PercentageBucketer(Percentage(share)))
    assert checked.client.get_meta("x")["bucketer"]["percentage"]["value"] is share
    assert checked.client.is_enabled("x", randomizer=lambda: 0.4) is (share >= 0.4)


def test_a_mock_is_accepted_as_a_bucketer(checked: CheckedClient) -> None:
    """Existing tests set mocks, and check how these are called."""
    bucketer = MagicMock()
    _set(checked, bucketer)
    checked.client.is_enabled("x", foo=True)
    bucketer.check.assert_called_once_with(foo=True)
    _set(checked, PercentageBucketer(percentage=MagicMock()))


# Stores


@pytest.mark.parametrize(
    ("make", "argument", "values"),
    [
        (CachedFeatureFlagStore, "ttl", [NAN, "5", timedelta(1)]),
        (CachedFeatureFlagStore, "stale_if_error", [NAN, -1, "5"]),
        (CachedFeatureFlagStore, "jitter", [NAN, -0.1, 1.1, "0.5", None]),
        (ReplicatedFeatureFlagStore, "replication_timeout", [NAN, -1, "5", INFINITE]),
        (SyncedFeatureFlagStore, "poll_interval", [NAN, -1, 0]),
        (SyncedFeatureFlagStore, "start_timeout", [NAN, -1, "5", INFINITE]),
        (SyncedFeatureFlagStore, "max_staleness", [NAN, -1, "5", timedelta(1)]),
        (SyncedFeatureFlagStore, "write_timeout", [NAN, -1, "5", INFINITE]),
        (RedisFeatureFlagStore, "list_method_batch_size", [NAN, 0, -1, 2.5, "5", None]),
        (
            lambda client, **sizes: S3FeatureFlagStore(client, "bucket", **sizes),
            "page_size",
            [NAN, 0, -1, 2.5, "5", None],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_invalid_limit_of_a_store_is_refused_by_its_constructor(
    make: Callable[..., object], argument: str, values: list[Any]
) -> None:
    """Otherwise the limit would never be reached, or fail at the first use."""
    for value in values:
        with pytest.raises(InvalidArgumentError) as error:
            make(MemoryFeatureFlagStore(), **{argument: value})
        assert str(error.value).startswith(f"{argument}={value!r} ")
        assert "; use " in str(error.value)
        assert error.value.value is value


def test_valid_limits_of_stores_are_accepted() -> None:
    """`None`, 0 and infinity are accepted where they have a meaning."""
    for ttl in (None, -10, 0, 0.5, INFINITE):
        CachedFeatureFlagStore(MemoryFeatureFlagStore(), ttl=ttl)
    for age in (None, 0, 5, INFINITE):
        store = SyncedFeatureFlagStore(MemoryFeatureFlagStore(), max_staleness=age)
        store.close()
    for seconds in (None, 0, 5):
        ReplicatedFeatureFlagStore(
            MemoryFeatureFlagStore(), replication_timeout=seconds
        )
