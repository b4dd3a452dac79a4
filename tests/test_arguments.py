# SPDX-License-Identifier: Apache-2.0
"""Bad input is refused by the client: nothing is written, and nobody hears of it."""

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

if TYPE_CHECKING:
    from collections.abc import Callable

NAN = math.nan
INFINITE = math.inf
LATER = 4_000_000_000


class Shop(NamedTuple):
    """A client with one flag, and all that was announced since."""

    client: FeatureFlagClient
    store: MemoryFeatureFlagStore
    heard: list[EventType]

    def refuses(self, call: Callable[[], object]) -> InvalidArgumentError:
        """Make a call that must be refused without a trace, and give its error."""
        before = [*self.store.list()]
        with pytest.raises(InvalidArgumentError) as refusal:
            call()
        after = [*self.store.list()]
        assert len(before) == len(after)
        assert all(a is b for a, b in zip(before, after, strict=True))
        assert not self.heard
        assert isinstance(refusal.value, TypeError)
        assert isinstance(refusal.value, ValueError)
        return refusal.value


@pytest.fixture
def shop() -> Shop:
    """Give a client whose store has the flag `x`, and listen from now on."""
    store = MemoryFeatureFlagStore()
    client = FeatureFlagClient(store)
    client.create("x", is_enabled=True)
    heard: list[EventType] = []
    for event in EventType:
        client.events.on(event, lambda *_, _event=event, **__: heard.append(_event))
    return Shop(client, store, heard)


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
def test_what_cannot_name_a_flag_is_refused(
    shop: Shop, name: Any, problem: str
) -> None:
    """The rule is one for all stores, so that a flag can move to another one."""
    error = shop.refuses(lambda: shop.client.create(name))
    said = str(error)
    assert problem in said
    assert repr(name)[:100] in said
    assert "use a text of 1 to 1000 bytes in UTF-8, without NUL characters" in said
    assert error.feature_name is name
    assert error.value is name
    assert len(said) < 300
    assert said.encode()


@pytest.mark.parametrize("name", ["x" * 1000, "é" * 500, " a ", "a/b", "%s*?[", "名"])
def test_every_other_text_names_a_flag(shop: Shop, name: str) -> None:
    """Existing applications have names of all kinds."""
    assert shop.client.create(name).exists()


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
def test_a_flag_of_no_name_does_not_exist(
    shop: Shop, write: Callable[[FeatureFlagClient, Any], None], name: Any
) -> None:
    """What no flag can be called needs no second rule: there is none of that name."""
    with pytest.raises(FlagDoesNotExistError) as error:
        write(shop.client, name)
    assert error.value.feature_name is name
    assert str(error.value) == f"Feature {name} does not exist"
    assert not shop.client.exists(name)
    assert not shop.heard


# States


@pytest.mark.parametrize(
    "state", ["false", "no", "off", "0", "", [False], [], {}, 2, -1, NAN, object()]
)
def test_a_state_is_on_or_off(shop: Shop, state: Any) -> None:
    """The text "false" is true in Python, which nobody means who writes it."""
    error = shop.refuses(lambda: shop.client.create("new", is_enabled=state))
    assert f"The state {state!r} of feature 'new' is neither on nor off" in str(error)
    assert "use True or False" in str(error)
    assert error.feature_name == "new"
    assert error.value is state


class Array:
    """Compares each of its numbers, as arrays of NumPy do."""

    def __eq__(self, other: object) -> Any:
        raise ValueError(other)

    __hash__ = None  # type: ignore[assignment]


def test_an_array_is_no_state(shop: Shop) -> None:
    """Whether it is on cannot even be asked."""
    error = shop.refuses(lambda: shop.client.create("new", is_enabled=Array()))  # type: ignore[arg-type]
    assert "is neither on nor off" in str(error)


@pytest.mark.parametrize("state", [True, False, None, 0, 1, 0.0, 1.0, Decimal(1)])
def test_numbers_and_nothing_are_states_too(shop: Shop, state: Any) -> None:
    """Applications pass on what their own databases give."""
    shop.client.create("new", is_enabled=state)
    assert shop.client.is_enabled("new") is bool(state)


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
def test_a_page_that_cannot_be_is_refused_at_once(
    shop: Shop, page: dict[str, Any], said: str
) -> None:
    """Stores differ in what they make of it, and say so only while listing."""
    error = shop.refuses(lambda: shop.client.list(**page))
    assert said in str(error)
    assert ("or None for all" in str(error)) is ("limit" in page)
    assert error.value in page.values()


@pytest.mark.parametrize("page", [{"limit": None}, {"limit": 0}, {"limit": True}])
def test_all_other_pages_are_read(shop: Shop, page: dict[str, Any]) -> None:
    """What counts is an integer, whatever its type is called."""
    assert len([*shop.client.list(**page)]) == (0 if page["limit"] == 0 else 1)


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
def test_client_data_has_names(
    shop: Shop, write: Callable[[FeatureFlagClient, Any], None], data: Any
) -> None:
    """Data without names could not be merged, nor read again."""
    error = shop.refuses(lambda: write(shop.client, data))
    assert (
        f"The client data of feature 'x' is not a dict but {type(data).__name__}"
        in (str(error))
    )
    assert "use a dict of names and values" in str(error)
    assert (error.feature_name, error.value) == ("x", data)


@pytest.mark.parametrize("data", [None, {}, [], "", 0, False])
def test_a_flag_may_be_created_without_client_data(shop: Shop, data: Any) -> None:
    """Whatever is empty was no data to flipper-client, and is harmless."""
    assert shop.client.create("new", client_data=data).get_client_data() == {}


def test_any_mapping_will_do_as_client_data(shop: Shop) -> None:
    """It is merged name by name, so it need not be a dict."""
    shop.client.set_client_data("x", MappingProxyType({"a": 1}))
    assert shop.client.get_client_data("x") == {"a": 1}


def test_client_data_that_contains_itself_is_refused(shop: Shop) -> None:
    """It can be neither copied nor stored."""
    data: dict[str, Any] = {}
    data["again"] = data
    error = shop.refuses(lambda: shop.client.set_client_data("x", data))
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
def test_a_condition_is_a_condition(
    shop: Shop, write: Callable[[FeatureFlagClient, Any], None], condition: Any
) -> None:
    """Whatever else it is would break every later reading of the flag."""
    error = shop.refuses(lambda: write(shop.client, condition))
    assert f"{condition!r} is not a condition for feature 'x'" in str(error)
    assert "use flipper.Condition, as in Condition(is_admin=True)" in str(error)
    assert (error.feature_name, error.value) == ("x", condition)


@pytest.mark.parametrize("conditions", [None, 5, Condition(a=1)], ids=repr)
def test_set_conditions_takes_several(shop: Shop, conditions: Any) -> None:
    """A single condition without its list is an easy slip, and easily said."""
    error = shop.refuses(lambda: shop.client.set_conditions("x", conditions))
    assert f"{conditions!r} is not a list of conditions for feature 'x'" in str(error)
    assert "use a list, as in [Condition(is_admin=True)]" in str(error)
    assert (error.feature_name, error.value) == ("x", conditions)


def test_an_error_of_the_callers_generator_comes_out(shop: Shop) -> None:
    """It is the caller's own, and tells more than we could."""

    def conditions() -> Any:
        yield Condition(a=1)
        raise TypeError("on the way")

    with pytest.raises(TypeError, match="on the way") as error:
        shop.client.set_conditions("x", conditions())
    assert not isinstance(error.value, FlipperError)
    assert not shop.client.get_meta("x")["conditions"]
    assert not shop.heard


def test_an_unknown_operator_is_refused_by_the_condition() -> None:
    """It is said where it is written, before there is a flag."""
    with pytest.raises(Operator.InvalidSymbolError, match="not supported: greater"):
        Condition(age__greater=18)


class Weekend:
    """A condition of one's own, by its two methods."""

    checks = MappingProxyType({"day": ()})

    def check(self, **kwargs: Any) -> bool:
        """Look at the day."""
        return kwargs.get("day") in {"Sat", "Sun"}

    def to_dict(self) -> dict[str, Any]:
        """Show nothing."""
        return {}


def test_a_condition_of_ones_own_class_is_taken(shop: Shop) -> None:
    """What behaves as a condition is one."""
    shop.client.add_condition("x", Weekend())
    assert shop.client.is_enabled("x", day="Sun") is True
    assert shop.client.is_enabled("x", day="Mon") is False


# Bucketers


@pytest.mark.parametrize(
    "bucketer",
    ["x", 0.5, {"type": "NoOpBucketer"}, Percentage(0.5), PercentageBucketer, object()],
)
def test_a_bucketer_is_a_bucketer(shop: Shop, bucketer: Any) -> None:
    """Whatever else it is would break every later reading of the flag."""
    for write in (shop.client.get("x").set_bucketer, lambda b: _set(shop, b)):
        error = shop.refuses(lambda write=write: write(bucketer))
        assert f"{bucketer!r} is not a bucketer for feature 'x'" in str(error)
        assert "as in PercentageBucketer(Percentage(0.5))" in str(error)
        assert (error.feature_name, error.value) == ("x", bucketer)


def _set(shop: Shop, bucketer: Any) -> None:
    shop.client.set_bucketer("x", bucketer)


def test_a_bucketer_of_none_changes_nothing(shop: Shop) -> None:
    """In metadata `None` always means "as it was"."""
    _set(shop, PercentageBucketer(0.5))
    _set(shop, None)
    assert shop.client.get_meta("x")["bucketer"]["percentage"]["value"] == 0.5


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
def test_a_percentage_is_a_fraction(
    shop: Shop, make: Callable[[Any], Any], share: Any
) -> None:
    """Fifty would be everybody, which nobody means who writes fifty."""
    error = shop.refuses(lambda: _set(shop, make(share)))
    assert f" {share!r} of the bucketer for feature 'x' is not a fraction" in str(error)
    assert "use a number from 0 to 1, as Percentage(0.5) for 50 %" in str(error)
    assert error.feature_name == "x"
    assert error.value is share


def test_a_percentage_of_none_is_refused(shop: Shop) -> None:
    """`PercentageBucketer(None)` is everybody; `Percentage(None)` is nothing at all."""
    shop.refuses(lambda: _set(shop, PercentageBucketer(Percentage(None))))
    _set(shop, PercentageBucketer(None))
    assert shop.client.is_enabled("x") is True


def test_the_values_of_a_ramp_are_named(shop: Shop) -> None:
    """A ramp has two: the error says which one is meant."""
    ramp = LinearRampPercentage(20, 80, 3600)
    error = shop.refuses(lambda: _set(shop, PercentageBucketer(ramp)))
    assert "The initial_value 20 of the bucketer" in str(error)
    ramp = LinearRampPercentage(0.2, 80, 3600)
    error = shop.refuses(lambda: _set(shop, PercentageBucketer(ramp)))
    assert "The final_value 80 of the bucketer" in str(error)


@pytest.mark.parametrize("duration", ["3600", timedelta(hours=1), None], ids=repr)
def test_a_ramp_lasts_seconds(shop: Shop, duration: Any) -> None:
    """Every question would fail otherwise, and answer the default for ever."""
    bucketer = PercentageBucketer(LinearRampPercentage(0, 1, duration))
    error = shop.refuses(lambda: _set(shop, bucketer))
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
def test_a_ramp_does_not_last_less_than_nothing_nor_for_ever(
    shop: Shop, make: Callable[[Any], Any], duration: float
) -> None:
    """A negative ramp lets everybody in at once, an endless one never anybody more."""
    bucketer = make(LinearRampPercentage(0, 1, duration))
    error = shop.refuses(lambda: _set(shop, bucketer))
    assert str(error) == (
        f"The ramp_duration {duration!r} of the bucketer for feature 'x' is "
        f"not a duration; use seconds, as LinearRampPercentage(0, 1, 3600)"
    )
    assert (error.feature_name, error.value) == ("x", duration)


@pytest.mark.parametrize("duration", [0, 0.5, 10**9, Fraction(1, 2), True], ids=repr)
def test_a_ramp_lasts_any_other_time(shop: Shop, duration: Any) -> None:
    """Also none at all: it is over at once, which golden vectors hold."""
    ramp = LinearRampPercentage(1, 1, duration, 0)
    _set(shop, PercentageBucketer(ramp))
    assert shop.client.is_enabled("x") is True


def test_a_ramp_begins_at_a_time(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of a test may be replaced by one that takes anything."""
    module = sys.modules[LinearRampPercentage.__module__]
    monkeypatch.setattr(module, "datetime", MagicMock())
    module.datetime.now.return_value.timestamp.return_value = 5.0
    bucketer = PercentageBucketer(LinearRampPercentage(0, 1, 60, INFINITE))
    error = shop.refuses(lambda: _set(shop, bucketer))
    assert "The initial_time inf of the bucketer for feature 'x' is not a date" in str(
        error
    )


def test_a_negative_ramp_that_is_stored_already_is_read(shop: Shop) -> None:
    """What flipper-client has stored keeps its meaning: it is over."""
    meta = shop.store.get("x").raw_meta  # type: ignore[union-attr]
    ramp = {"type": "LinearRampPercentage", "ramp_duration": -5}
    fields = {"type": "PercentageBucketer", "percentage": ramp}
    meta.bucketer = BucketerFactory.create(fields)
    shop.store.set_meta("x", meta)
    assert shop.client.is_enabled("x") is True


@pytest.mark.parametrize("key", [1, None, b"user_id", ("user_id",)], ids=repr)
def test_a_key_whitelist_has_names(shop: Shop, key: Any) -> None:
    """Of any other key no argument counts, and all callers share one bucket."""
    bucketer = ConsistentHashPercentageBucketer(key_whitelist=["a", key], percentage=1)
    error = shop.refuses(lambda: _set(shop, bucketer))
    assert f"for feature 'x' has {key!r}, which is not the name of an argument" in str(
        error
    )
    assert (error.feature_name, error.value) == ("x", key)


def test_a_ramp_without_a_value_is_refused(shop: Shop) -> None:
    """Its parts are numbers, and it is none all the same."""
    ramp = LinearRampPercentage(0, 1, NAN)
    error = shop.refuses(lambda: _set(shop, PercentageBucketer(ramp)))
    assert (
        "The percentage nan of the bucketer for feature 'x' is not a fraction"
        in str(error)
    )


@pytest.mark.parametrize(
    "share", [0, 1, 0.0, 1.0, True, False, Fraction(1, 3), Decimal("0.5")], ids=repr
)
def test_every_fraction_will_do(shop: Shop, share: Any) -> None:
    """Numbers of all kinds, and both ends."""
    _set(shop, PercentageBucketer(Percentage(share)))
    assert shop.client.get_meta("x")["bucketer"]["percentage"]["value"] is share
    assert shop.client.is_enabled("x", randomizer=lambda: 0.4) is (share >= 0.4)


def test_a_test_double_is_a_bucketer(shop: Shop) -> None:
    """Existing tests set mocks, and assert how they are asked."""
    bucketer = MagicMock()
    _set(shop, bucketer)
    shop.client.is_enabled("x", foo=True)
    bucketer.check.assert_called_once_with(foo=True)
    _set(shop, PercentageBucketer(percentage=MagicMock()))


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
def test_what_a_store_cannot_work_with_is_refused_when_it_is_made(
    make: Callable[..., object], argument: str, values: list[Any]
) -> None:
    """A limit that is no number would never be reached, or fail at the first use."""
    for value in values:
        with pytest.raises(InvalidArgumentError) as error:
            make(MemoryFeatureFlagStore(), **{argument: value})
        assert str(error.value).startswith(f"{argument}={value!r} ")
        assert "; use " in str(error.value)
        assert error.value.value is value


def test_limits_that_mean_something_are_taken() -> None:
    """None, none at all, and as long as anybody likes."""
    for ttl in (None, -10, 0, 0.5, INFINITE):
        CachedFeatureFlagStore(MemoryFeatureFlagStore(), ttl=ttl)
    for age in (None, 0, 5, INFINITE):
        store = SyncedFeatureFlagStore(MemoryFeatureFlagStore(), max_staleness=age)
        store.close()
    for seconds in (None, 0, 5):
        ReplicatedFeatureFlagStore(
            MemoryFeatureFlagStore(), replication_timeout=seconds
        )
