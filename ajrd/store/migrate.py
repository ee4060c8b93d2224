"""The revision of a database's tables, and the way to the newest one.

Alembic's ``alembic_version`` names the revision. Databases from before it have ``schema_info``,
which stands for the first one. All functions take a connection inside a transaction.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, inspect, text

from ajrd.errors import StoreUnavailable
from ajrd.store.engine import Database
from ajrd.store.schema import REVISION

#: Seconds that a process waits for another one to finish changing the tables.
PATIENCE = 30
_LOCK = "CONCAT('ajrd-schema-', LEFT(DATABASE(), 40))"


def revision(db: Connection) -> str:
    """The revision of the tables; "" if there are none."""
    look = inspect(db)
    if look.has_table("alembic_version"):
        found = db.execute(text("SELECT version_num FROM alembic_version")).scalar()
        if found is not None:
            return str(found)
    return "0001" if look.has_table("schema_info") and _adoptable(db) else ""


def _adoptable(db: Connection) -> bool:
    """``schema_info`` holds its row; one that a broken-off start has left holds none."""
    return db.execute(text("SELECT version FROM schema_info")).scalar() is not None


def prepare(db: Connection) -> None:
    """Makes the tables in an empty database; raises StoreUnavailable for those of another ajrd.

    An older revision may be that of a process which is making the tables: it is waited for.
    """
    if "" < revision(db) < REVISION:
        with _alone(db):
            pass
    if not revision(db):
        upgrade(db)
    complaint = usable(revision(db))
    if complaint:
        raise StoreUnavailable(complaint)


def usable(found: str) -> str:
    """What speaks against using tables of this revision, and what to do; "" if nothing does."""
    if found == REVISION:
        return ""
    if found > REVISION:
        return (
            f"the database has revision {found}, made by a newer ajrd than this one, which knows"
            f" {REVISION}: use that ajrd, or point `database.url` at another database"
        )
    return (
        f"the tables of the database have revision {found or 'none'}, this ajrd needs {REVISION}:"
        " stop ajrd everywhere and run `ajrd db upgrade --config FILE`"
    )


def upgrade(db: Connection) -> None:
    """Brings the tables to the newest revision; one process at a time, the others wait."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "ajrd.store:migrations")
    config.attributes["connection"] = db
    with _alone(db):
        if revision(db) == "0001" and not inspect(db).has_table("alembic_version"):
            command.stamp(config, "0001")
        if revision(db) < REVISION:
            command.upgrade(config, "head")


async def upgrade_tables(database: Database) -> tuple[str, str]:
    """Brings the tables of a database to the newest revision: the one before, the one after.

    There is no time limit: a large table takes as long as it takes.
    """
    async with database.transaction(
        asyncio.Lock(), "upgrading its tables", writes=True, limit=math.inf
    ) as db:
        before = await db.run_sync(revision)
        if before > REVISION:
            raise StoreUnavailable(usable(before))
        await db.run_sync(upgrade)
        return before, await db.run_sync(revision)


@contextmanager
def _alone(db: Connection) -> Iterator[None]:
    """On MySQL by a named lock; on SQLite the transaction itself keeps others out.

    Who waits lets go of the tables that it has read: the other one could not change them.
    """
    if db.dialect.name == "sqlite":
        yield
        return
    db.exec_driver_sql("COMMIT")
    if not db.execute(text(f"SELECT GET_LOCK({_LOCK}, {PATIENCE})")).scalar():
        raise StoreUnavailable("another process has been changing the tables for too long")
    try:
        yield
        db.exec_driver_sql("COMMIT")
    finally:
        db.execute(text(f"SELECT RELEASE_LOCK({_LOCK})"))
