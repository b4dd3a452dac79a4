# SPDX-License-Identifier: Apache-2.0
"""What the PostgreSQL store reads and writes on a real server, and what it lists."""

from __future__ import annotations

import json
import os
import pickle
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from flipper import Condition, FeatureFlagClient
from flipper.contrib.postgresql import (
    PostgresNotEnabled,
    PostgreSQLFeatureFlagStore,
)
from flipper.events import EventType
from flipper.exceptions import (
    FlagDoesNotExistError,
    InvalidArgumentError,
    MissingDependencyError,
)
from flipper.testing.contract import at_once
from support.broken_documents import check_hostile_documents
from support.flags import names
from support.postgres_roles import (
    OLD_TABLE,
)
from support.programs import DEVELOPMENT_MODE, run_program

if TYPE_CHECKING:
    Connection = psycopg.Connection[Any]

pytestmark = pytest.mark.postgres


THREADS, PROCESSES, TIMES = 8, 4, 50


# The table


def columns(raw: Connection, table: str = "feature_flags") -> list[tuple[Any, ...]]:
    """Describe a table, column by column."""
    return raw.execute(
        "SELECT column_name, data_type, character_maximum_length, is_nullable"
        " FROM information_schema.columns WHERE table_name = %s"
        " ORDER BY ordinal_position",
        (table,),
    ).fetchall()


def test_a_flag_is_one_row_of_json(
    store: PostgreSQLFeatureFlagStore, raw: Connection
) -> None:
    """The store keeps each flag as JSON in one row of the table."""
    item = store.create("eu/x y", is_enabled=True, client_data={"ö": 1})
    assert columns(raw)[0] == ("name", "text", None, "NO")
    assert columns(raw)[1] == ("item", "bytea", None, "NO")
    ((name, stored),) = raw.execute("SELECT name, item FROM feature_flags").fetchall()
    assert (name, stored) == ("eu/x y", item.serialize())
    assert json.loads(stored) == item.to_dict()
    store.delete("eu/x y")
    assert raw.execute("SELECT count(*) FROM feature_flags").fetchone() == (0,)


def test_a_row_that_others_wrote_is_read_and_rewritten_without_loss(
    store: PostgreSQLFeatureFlagStore, raw: Connection
) -> None:
    """A write keeps all fields of a document that another program has written."""
    document = (
        '{"meta": {"created_date": 7,\n"client_data":{"a":"é"}},"is_enabled": false, '
        '"feature_name":"x"}'
    )
    raw.execute("INSERT INTO feature_flags VALUES ('x', %s)", (document.encode(),))
    store.set("x", True)
    (stored,) = raw.execute("SELECT item FROM feature_flags").fetchone() or ()
    assert json.loads(stored) == {
        "feature_name": "x",
        "is_enabled": True,
        "meta": {
            "client_data": {"a": "é"},
            "created_date": 7,
            "conditions": [],
            "bucketer": {"type": "NoOpBucketer"},
        },
    }


def test_table_and_columns_may_have_any_names(
    postgres_conninfo: str, raw: Connection
) -> None:
    """A dot in a name selects no schema, and a percent sign is no parameter."""
    given = {
        "table_name": 'Fl.ags "x" 100%s',
        "name_column": "Key %",
        "item_column": "the; item",
    }
    for _ in range(2):  # the second finds what the first has created
        with PostgreSQLFeatureFlagStore(postgres_conninfo, **given) as store:
            client = FeatureFlagClient(store)
            client.create("x")
            client.enable("x")
            client.add_condition("x", Condition(a=1))
            assert client.is_enabled("x", a=1) is True
            assert names(store) == ["x"]
            client.destroy("x")
            assert client.exists("x") is False
    made = columns(raw, given["table_name"])
    assert [name for name, *_ in made] == ["Key %", "the; item"]


@pytest.mark.parametrize("name", ["n" * 41, "n" + " " * 40])
def test_a_name_too_long_for_an_old_column_is_refused(
    postgres_conninfo: str, raw: Connection, name: str
) -> None:
    """A name that an old column would cut off is refused, with the remedy."""
    raw.execute(OLD_TABLE)
    with PostgreSQLFeatureFlagStore(postgres_conninfo, run_migrations=False) as store:
        for write in (store.create, lambda name: store.set(name, True)):
            with pytest.raises(InvalidArgumentError, match="run_migrations") as caught:
                write(name)
            assert caught.value.feature_name == name
        assert names(store) == []
        store.create(name[:40])
        store.create("ends in a space ")
        assert names(store) == sorted(["ends in a space ", name[:40]])
        assert store.get("ends in a space ") is not None


def test_update_of_a_missing_flag_raises(store: PostgreSQLFeatureFlagStore) -> None:
    """`update` raises if there is no row, and `delete` does not."""
    with pytest.raises(FlagDoesNotExistError):
        store.update("x", lambda item: item)
    store.delete("x")
    assert store.get("x") is None


def test_hostile_documents_are_never_on_and_hide_no_flag(
    store: PostgreSQLFeatureFlagStore, raw: Connection
) -> None:
    """A broken document is never on, hides no other flag, and can be written over."""

    def write(documents: dict[str, bytes]) -> None:
        with raw.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO feature_flags VALUES (%s, %s)", documents.items()
            )

    check_hostile_documents(store, write)


# Lists


def test_a_list_is_in_the_order_of_code_points(
    postgres_conninfo: str, raw: Connection
) -> None:
    """Flags are listed by code points, whatever the collation of the column is."""
    collation = raw.execute(
        "SELECT collname FROM pg_collation WHERE collname IN ('und-x-icu', 'en_US')"
    ).fetchone()
    if collation is None:
        pytest.skip("the server has no collation but that of code points")
    raw.execute(
        sql.SQL(
            "CREATE TABLE feature_flags (name text COLLATE {} PRIMARY KEY, item bytea)"
        ).format(sql.Identifier(collation[0]))
    )
    with PostgreSQLFeatureFlagStore(postgres_conninfo) as store:
        for name in ("a", "B", "Ä", "b", "A b", "ab", "🐬", "\uffee"):
            store.create(name)
        assert names(store) == ["A b", "B", "a", "ab", "b", "Ä", "\uffee", "🐬"]
        for offset in range(9):
            assert names(store, limit=2, offset=offset) == names(store)[offset:][:2]


def test_writes_during_a_list_hide_and_repeat_no_flag(
    store: PostgreSQLFeatureFlagStore, raw: Connection
) -> None:
    """A list of several pages has each flag once, although rows move meanwhile."""
    document = store.create("NAME").serialize().decode()
    store.delete("NAME")
    raw.execute(
        "INSERT INTO feature_flags SELECT name, convert_to("
        "replace(%s, 'NAME', name), 'UTF8')"
        " FROM generate_series(1, 2500) n, to_char(n, 'FM\"flag-\"0000') AS name",
        (document,),
    )
    expected = [f"flag-{number:04}" for number in range(1, 2501)]
    listed = []
    for item in store.list():
        listed.append(item.feature_name)
        if len(listed) % 50 == 0:
            store.set(item.feature_name, True)
            store.delete(expected[len(listed) - 10])
            store.create(f"a-{len(listed)}")  # sorts before all that follow
    assert listed == expected
    assert names(store, limit=3, offset=2600) == []
    assert names(store, limit=0) == []
    assert names(store, offset=2**70) == []


# Several writers


def test_concurrent_writes_of_threads_are_all_kept(
    store: PostgreSQLFeatureFlagStore,
) -> None:
    """Each write of eight threads to one flag adds to the result of the others."""
    client = FeatureFlagClient(store)
    client.create("x")

    def add(thread: int) -> None:
        for number in range(TIMES):
            if number % 2:
                client.add_condition("x", Condition(**{f"a{thread}": number}))
            else:
                client.set_client_data("x", {f"{thread}-{number}": number})

    def switch() -> None:
        for number in range(TIMES):
            (client.enable if number % 2 else client.disable)("x")

    at_once(switch, *(lambda thread=t: add(thread) for t in range(THREADS)))
    meta = client.get_meta("x")
    assert len(meta["conditions"]) == THREADS * TIMES // 2
    assert len(meta["client_data"]) == THREADS * TIMES // 2
    assert store.get("x").raw_is_enabled is True  # type: ignore[union-attr]


def test_equal_conditions_of_several_threads_are_all_kept(
    store: PostgreSQLFeatureFlagStore,
) -> None:
    """Equal conditions that threads add at the same time are not merged."""
    client = FeatureFlagClient(store)
    client.create("x")

    def add() -> None:
        for _ in range(10):
            client.add_condition("x", Condition(a=1))

    at_once(*[add] * THREADS)
    assert len(client.get_meta("x")["conditions"]) == THREADS * 10


def test_only_one_of_two_concurrent_destroys_succeeds(
    store: PostgreSQLFeatureFlagStore, postgres_conninfo: str
) -> None:
    """The second of two clients that destroy a flag gets an error, and no event."""
    with PostgreSQLFeatureFlagStore(postgres_conninfo) as other:
        client = FeatureFlagClient(store)
        client.create("x")
        done: list[str] = []
        client.events.on(EventType.PRE_DESTROY, other.delete)
        client.events.on(EventType.POST_DESTROY, done.append)
        with pytest.raises(FlagDoesNotExistError):
            client.destroy("x")
        assert not done


def test_concurrent_writes_of_processes_are_all_kept(
    postgres_conninfo: str, store: PostgreSQLFeatureFlagStore
) -> None:
    """Each write of four processes to one flag is kept."""
    code = """
        import sys
        from flipper import Condition, FeatureFlagClient, PostgreSQLFeatureFlagStore

        _, conninfo, own, times = sys.argv
        with PostgreSQLFeatureFlagStore(conninfo) as store:
            client = FeatureFlagClient(store)
            for number in range(int(times)):
                client.add_condition("x", Condition(**{own: number}))
    """
    client = FeatureFlagClient(store)
    client.create("x", client_data={"kept": True})
    at_once(
        *(
            lambda own=own: run_program(
                code, postgres_conninfo, f"a{own}", str(TIMES), options=DEVELOPMENT_MODE
            )
            for own in range(PROCESSES)
        )
    )
    meta = client.get_meta("x")
    assert len(meta["conditions"]) == PROCESSES * TIMES
    assert meta["client_data"] == {"kept": True}


# Without psycopg


@pytest.mark.parametrize("missing", ["psycopg", "psycopg_pool"])
def test_without_psycopg_the_constructor_names_the_extra(missing: str) -> None:
    """The module can be imported without psycopg; the constructor names the extra."""
    code = f"""
        import sys
        sys.modules[{missing!r}] = None  # as if it were not installed
        from flipper.contrib.postgresql import (
            POSTGRES_ENABLED, PostgreSQLFeatureFlagStore, PostgresNotEnabled
        )
        assert POSTGRES_ENABLED is False
        try:
            PostgreSQLFeatureFlagStore("dbname=x")
        except PostgresNotEnabled as error:
            print(error)
    """
    said = "Postgres is not enabled, please install extra dependency [postgres]\n"
    assert run_program(code, options=DEVELOPMENT_MODE) == said


def test_without_libpq_the_store_is_not_enabled() -> None:
    """The module can be imported, and says so, if psycopg finds no libpq."""
    code = """
        from flipper.contrib.postgresql import POSTGRES_ENABLED
        print(POSTGRES_ENABLED)
    """
    environment = {**os.environ, "PSYCOPG_IMPL": "nonsense"}
    said = run_program(code, options=DEVELOPMENT_MODE, environment=environment)
    assert said == "False\n"


def test_the_error_of_a_missing_package_can_be_pickled() -> None:
    """`PostgresNotEnabled` can be made without arguments, caught and pickled."""
    error = pickle.loads(pickle.dumps(PostgresNotEnabled()))  # noqa: S301 (our own)
    assert type(error) is PostgresNotEnabled
    assert isinstance(error, MissingDependencyError)
    assert str(error) == str(PostgresNotEnabled())
