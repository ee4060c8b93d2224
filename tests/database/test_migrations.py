"""The tables: from nothing, from every older revision, and refused when they do not fit."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Connection, text

from ajrd.errors import StoreUnavailable
from ajrd.store.address import Address
from ajrd.store.engine import Database
from ajrd.store.migrate import _LOCK, revision, upgrade_tables
from ajrd.store.migrate import upgrade as migrate_upgrade
from ajrd.store.schema import REVISION, metadata
from ajrd.store.store import Store
from tests.database.samples import a_job
from tests.database.server import Schema

NOON = "'2026-01-01 12:00:00.000000'"
#: Rows of the first revision: a job whose requeue has begun.
OLD_ROWS = {
    "jobs": f"1, 'c', '7', 7, {NOON}, {NOON}, 'train', 'ada', 1000, 'main', '', 1, '', 0, 0,"
    f" 'RUNNING', '', 0, {NOON}",
    "attempts": f"1, 1, 0, 'RUNNING', 'n1', {NOON}, NULL, 0, 0, ''",
    "decisions": f"1, 1, NULL, 'requeue', 'requeue', 'why', '', 'open', '', '', NULL, {NOON}, NULL",
    "actions": f"1, 1, 'requeue_hold', '1/1/hold', '7', 'claimed', 1, '', {NOON}, NULL, NULL",
}


async def on(address: Address, *statements: str) -> None:
    """Runs statements as the service's user."""
    database = Database(address)
    async with database.transaction(asyncio.Lock(), "testing", writes=True) as db:
        for statement in statements:
            await db.execute(text(statement))
    await database.close()


def first_revision(db: Connection) -> None:
    """The tables as ajrd made them before it had migrations."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "ajrd.store:migrations")
    config.attributes["connection"] = db
    command.upgrade(config, "0001")
    db.execute(text("DROP TABLE alembic_version"))
    db.execute(text("INSERT INTO schema_info VALUES (1, '2026-01-01 12:00:00.000000')"))


async def make_old(address: Address) -> None:
    database = Database(address)
    async with database.transaction(asyncio.Lock(), "testing", writes=True) as db:
        await db.run_sync(first_revision)
        for table, row in OLD_ROWS.items():
            await db.exec_driver_sql(f"INSERT INTO {table} VALUES ({row})")  # noqa: S608 -- ours
    await database.close()


async def upgrade(address: Address) -> tuple[str, str]:
    database = Database(address)
    try:
        return await upgrade_tables(database)
    finally:
        await database.close()


def differences(db: Connection) -> object:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    context = MigrationContext.configure(db, opts={"compare_type": True})
    return compare_metadata(context, metadata)


async def compared(address: Address) -> object:
    database = Database(address)
    async with database.transaction(asyncio.Lock(), "testing") as db:
        found = await db.run_sync(differences)
    await database.close()
    return found


def test_the_newest_revision_is_the_one_that_the_service_asks_for() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "ajrd.store:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == REVISION


async def test_the_migrations_lead_to_the_tables_of_the_schema(address: Address) -> None:
    assert await upgrade(address) == ("", REVISION)
    assert await compared(address) == []
    await (await Store.open(address)).close()


async def test_a_start_makes_the_tables_of_the_schema(store: Store, address: Address) -> None:
    assert await compared(address) == []
    assert await upgrade(address) == (REVISION, REVISION)


async def test_an_old_database_is_refused_with_what_to_do(address: Address) -> None:
    await make_old(address)
    with pytest.raises(StoreUnavailable, match="run `ajrd db upgrade"):
        await Store.open(address)


async def test_an_upgrade_keeps_what_was_there(address: Address) -> None:
    await make_old(address)
    assert await upgrade(address) == ("0001", REVISION)
    assert await compared(address) == []
    store = await Store.open(address)
    job = await store.latest_job("c", "7")
    decision = (await store.open_decisions())[0]
    assert job is not None
    assert (decision.epoch, decision.degraded, decision.cause) == (0, False, "")
    assert await store.requeues_begun(job.id) == 1
    await store.close()


async def test_an_upgrade_that_was_broken_off_is_completed(address: Address) -> None:
    await make_old(address)
    await on(
        address,
        "ALTER TABLE decisions ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0",
        "CREATE INDEX ix_events_at ON events (at)",
    )
    assert await upgrade(address) == ("0001", REVISION)
    assert await compared(address) == []


async def test_an_upgrade_of_the_newest_changes_nothing(store: Store, address: Address) -> None:
    record, _ = await a_job(store)
    assert await upgrade(address) == (REVISION, REVISION)
    assert await store.latest_job("c", "7") == record


async def test_tables_of_a_newer_ajrd_are_refused(store: Store, address: Address) -> None:
    await on(address, "UPDATE alembic_version SET version_num = '9999'")
    for use in (Store.open(address), upgrade(address)):
        with pytest.raises(StoreUnavailable, match="9999, made by a newer ajrd"):
            await use


async def test_many_starts_at_once_make_the_tables_once(mysql: Schema) -> None:
    stores = await asyncio.gather(*(Store.open(mysql.address()) for _ in range(6)))
    await a_job(stores[0])
    assert all([await store.latest_job("c", "7") for store in stores])
    for store in stores:
        await store.close()


async def test_tables_that_another_start_is_making_are_waited_for(mysql: Schema) -> None:
    """It has made the first revision of them."""
    database = Database(mysql.address())
    async with database.transaction(asyncio.Lock(), "making", writes=True) as db:
        await db.execute(text(f"SELECT GET_LOCK({_LOCK}, 0)"))
        await db.run_sync(first_revision)
        opening = asyncio.create_task(Store.open(mysql.address()))
        states = "SELECT STATE FROM information_schema.PROCESSLIST"
        while "User lock" not in await asyncio.to_thread(mysql.query, states):
            await asyncio.sleep(0.01)
        await db.run_sync(migrate_upgrade)
        await db.execute(text(f"SELECT RELEASE_LOCK({_LOCK})"))
    await (await opening).close()
    await database.close()


async def test_a_start_that_died_half_way_is_completed(mysql: Schema) -> None:
    mysql.query(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);"
        " CREATE TABLE schema_info (version INT NOT NULL PRIMARY KEY, created_at DATETIME(6))"
    )
    store = await Store.open(mysql.address())
    await a_job(store)
    await store.close()


async def test_no_tables_are_no_revision(address: Address) -> None:
    database = Database(address)
    async with database.transaction(asyncio.Lock(), "testing") as db:
        assert await db.run_sync(revision) == ""
    await database.close()
