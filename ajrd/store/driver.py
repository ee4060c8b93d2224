"""Reading with the database's own driver: what the commands use, without SQLAlchemy."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from ajrd.errors import StoreUnavailable
from ajrd.store.address import Address, Server
from ajrd.store.queries import Query
from ajrd.store.rows import Row

_NAMED = re.compile(r":(\w+)")


class Connection(Protocol):
    """One connection that only reads; raises StoreUnavailable."""

    def all(self, query: Query) -> Sequence[Row]:
        """The rows of a query."""

    def tables(self) -> frozenset[str]:
        """The names of the tables."""

    def now(self) -> datetime:
        """The database's clock."""

    def close(self) -> None:
        """Lets go."""


def connect(address: Address) -> Connection:
    """A connection to the place of an address."""
    place = address.place
    if isinstance(place, Path):
        return _Sqlite(place)
    return _MySql(address, place)


class _Sqlite:
    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise StoreUnavailable(
                f"there is no database at {path}: has the service (ajrd run) been started with"
                " this configuration?"
            )
        try:
            self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"cannot open the database {path}: {error}") from None
        self._db.row_factory = sqlite3.Row

    def all(self, query: Query) -> Sequence[Row]:
        try:
            return [dict(row) for row in self._db.execute(query.sql, dict(query.values))]
        except sqlite3.Error as error:
            raise StoreUnavailable(f"cannot read the database: {error}") from None

    def tables(self) -> frozenset[str]:
        return _names(self.all(Query("SELECT name FROM sqlite_master WHERE type = 'table'")))

    def now(self) -> datetime:
        return datetime.now(UTC)

    def close(self) -> None:
        self._db.close()


class _MySql:
    def __init__(self, address: Address, server: Server) -> None:
        import pymysql
        from pymysql.cursors import DictCursor

        self._error = pymysql.Error
        options: dict[str, Any] = {"ssl": address.tls.context()} if address.tls.ca else {}
        try:
            self._db = pymysql.connect(
                host=server.host,
                port=server.port,
                unix_socket=server.unix_socket,
                user=server.user,
                password=address.password(),
                database=server.name,
                charset="utf8mb4",
                autocommit=True,
                connect_timeout=address.timeout,
                read_timeout=address.timeout,
                write_timeout=address.timeout,
                cursorclass=DictCursor,
                **options,
            )
        except (pymysql.Error, OSError) as error:
            where = server.unix_socket or f"{server.host}:{server.port}"
            raise StoreUnavailable(
                f"cannot reach the database {server.name} at {where}: {_why(error)}"
            ) from None

    def all(self, query: Query) -> Sequence[Row]:
        sql = _NAMED.sub(r"%(\1)s", query.sql)
        try:
            with self._db.cursor() as cursor:
                cursor.execute(sql, dict(query.values))
                return list(cursor.fetchall())
        except (self._error, OSError) as error:
            raise StoreUnavailable(f"cannot read the database: {_why(error)}") from None

    def tables(self) -> frozenset[str]:
        ours = "FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
        return _names(self.all(Query(f"SELECT TABLE_NAME AS name {ours}")))

    def now(self) -> datetime:
        found: datetime = self.all(Query("SELECT UTC_TIMESTAMP(6) AS now"))[0]["now"]
        return found.replace(tzinfo=UTC)

    def close(self) -> None:
        self._db.close()


def _names(found: Sequence[Row]) -> frozenset[str]:
    return frozenset(row["name"] for row in found)


def _why(error: Exception) -> str:
    said = error.args[1] if len(error.args) > 1 else error
    return " ".join(str(said).split())[:300]
