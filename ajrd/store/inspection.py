"""Can ajrd work with a database as it is? What ``ajrd db check`` finds out."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, text

from ajrd.store import migrate
from ajrd.store.engine import Database
from ajrd.store.schema import metadata

#: What the service needs, and what only a change of the tables does.
WORKING = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
CHANGING = frozenset({"CREATE", "ALTER", "DROP", "INDEX", "REFERENCES"})
_GRANT = re.compile(r"GRANT (?P<rights>.+?) ON `?(?P<schema>[^`]+?)`?\.\* TO ", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found. On SQLite there are neither rights nor forms of tables."""

    revision: str
    missing: frozenset[str] = frozenset()
    misshapen: tuple[str, ...] = ()

    def faults(self) -> list[str]:
        """What has to be done, a sentence each."""
        return list(self._faults())

    def _faults(self) -> Iterator[str]:
        if not self.revision:
            yield "it has no tables: start ajrd, or run `ajrd db upgrade --config FILE`"
        elif complaint := migrate.usable(self.revision):
            yield complaint
        if self.missing:
            rights = ", ".join(sorted(self.missing))
            yield f"its user lacks rights: GRANT {rights} ON the database TO the user of ajrd"
        for table in self.misshapen:
            yield (
                f"table {table} is not InnoDB with utf8mb4_bin: ALTER TABLE {table} ENGINE=InnoDB,"
                " CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
            )


async def inspect(database: Database) -> Inspection:
    """Looks at revision, rights and tables; raises StoreUnavailable."""
    if database.is_missing():
        return Inspection("")
    async with database.transaction(asyncio.Lock(), "looking at its tables") as db:
        return await db.run_sync(look)


def look(db: Connection) -> Inspection:
    """The same in a transaction that is open already."""
    revision = migrate.revision(db)
    if db.dialect.name == "sqlite":
        return Inspection(revision)
    return Inspection(revision, (WORKING | CHANGING) - _rights(db), _misshapen(db))


def _rights(db: Connection) -> frozenset[str]:
    """What the user may do in this database, as granted to it or to a role that is active."""
    schema = str(db.execute(text("SELECT DATABASE()")).scalar_one())
    rights: set[str] = set()
    for grant in db.execute(text("SHOW GRANTS")).scalars():
        found = _GRANT.match(grant)
        if found and covers(found["schema"], schema):
            rights |= {right.strip().upper() for right in found["rights"].split(",")}
    everything = {"ALL", "ALL PRIVILEGES"} & rights
    return WORKING | CHANGING if everything else frozenset(rights)


def covers(pattern: str, schema: str) -> bool:
    r"""A database in a grant may be a pattern: ``%`` and ``_``, unless behind a backslash."""
    parts = re.findall(r"\\.|.", pattern)
    forms = {"%": ".*", "_": ".", "*": ".*"}
    wanted = "".join(forms.get(part) or re.escape(part.removeprefix("\\")) for part in parts)
    return re.fullmatch(wanted, schema) is not None


def _misshapen(db: Connection) -> tuple[str, ...]:
    found = db.execute(
        text(
            "SELECT TABLE_NAME, ENGINE, TABLE_COLLATION FROM information_schema.TABLES"
            " WHERE TABLE_SCHEMA = DATABASE() ORDER BY TABLE_NAME"
        )
    )
    ours = (row for row in found if row[0] in metadata.tables)
    return tuple(name for name, engine, form in ours if (engine, form) != ("InnoDB", "utf8mb4_bin"))
