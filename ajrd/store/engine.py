"""How the service reaches its database: connections, time limits, and what counts as away.

Every transaction has one time limit around all of it, the way in and the rollback included. What
runs into it is broken off, its connection is thrown away: no answer of one transaction is ever
read by another.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiomysql
from pymysql.constants import CLIENT
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ajrd.errors import StoreUnavailable
from ajrd.store import queries, rows
from ajrd.store.address import Address, Server
from ajrd.store.breaker import Breaker

#: One connection writes, one renews the lease beside it, the rest read.
READERS = 2
_POOL = READERS + 2
#: SQLite: disk full, read-only, I/O error, cannot open, damaged, not a database.
_SQLITE_AWAY = frozenset({13, 8, 10, 14, 11, 26})
#: MySQL, besides errors of connections: full, read-only, too many connections, no rights, ending.
_MYSQL_AWAY = frozenset({
    1021, 1026, 1030, 1040, 1041, 1044, 1045, 1049, 1053, 1114, 1129, 1130, 1142, 1152, 1158, 1159,
    1160, 1161, 1180, 1184, 1203, 1226, 1290, 1792, 1836, 1927, 4031,
})  # fmt: skip
#: Is told of each transaction: whether it writes, its seconds, and "" or why it failed.
Meter = Callable[[bool, float, str], None]
#: That a connection which the server has dropped cannot be closed properly is no news.
logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
_STRICT = "STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,NO_ENGINE_SUBSTITUTION"


def unmetered(_writes: bool, _seconds: float, _error: str) -> None:
    """For those who count nothing."""


class Database:
    """The connections to one database, and whether it is there."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._engine = _engine(address)
        self._readers = asyncio.Semaphore(READERS)
        self.breaker = Breaker()
        self.meter: Meter = unmetered
        self.is_mysql = isinstance(address.place, Server)

    def is_missing(self) -> bool:
        """True for a SQLite file that is not there: connecting would make it."""
        place = self._address.place
        return isinstance(place, Path) and not place.exists()

    async def close(self) -> None:
        """Lets go of the connections; those of a dead server are not waited for."""
        try:
            async with asyncio.timeout(self._address.timeout):
                await self._engine.dispose()
        except (SQLAlchemyError, OSError):
            return

    async def all(self, query: queries.Query) -> Sequence[rows.Row]:
        """The rows of a query."""
        async with self.transaction(self._readers, "reading") as db:
            found = await db.execute(text(query.sql), query.values)
            return [dict(row) for row in found.mappings()]

    @asynccontextmanager
    async def transaction(
        self,
        turn: AbstractAsyncContextManager[Any],
        doing: str,
        *,
        writes: bool = False,
        limit: float | None = None,
    ) -> AsyncIterator[AsyncConnection]:
        """One transaction, kept at the end or not at all; raises StoreUnavailable.

        ``turn`` is what calls queue for; the time limit (``limit`` s, else that of the address)
        begins when it is theirs.
        """
        async with turn:
            self.breaker.let_through()
            began = time.monotonic()
            try:
                async with asyncio.timeout(limit or self._address.timeout):
                    async with self._engine.begin() as db:
                        if writes and not self.is_mysql:
                            await db.exec_driver_sql("BEGIN IMMEDIATE")
                        yield db
            except (SQLAlchemyError, OSError) as error:
                why = _why(error)
                kind = "away" if _is_away(error) else "statement"
                self.meter(writes, time.monotonic() - began, kind)
                await self._note(error, why)
                raise StoreUnavailable(f"the database failed while {doing}: {why}") from error
            except BaseException:
                self.breaker.broken_off()
                raise
            self.breaker.answered()
            self.meter(writes, time.monotonic() - began, "")

    async def _note(self, error: Exception, why: str) -> None:
        if not _is_away(error):
            self.breaker.answered()
            return
        self.breaker.failed(why)
        await self.close()


def _engine(address: Address) -> AsyncEngine:
    options: dict[str, Any] = {
        "pool_size": _POOL,
        "max_overflow": 0,
        "pool_reset_on_return": None,
    }
    place = address.place
    if isinstance(place, Path):
        engine = create_async_engine(f"sqlite+aiosqlite:///{place}", **options)
        event.listen(engine.sync_engine, "connect", partial(_sqlite_settings, address.timeout))
        return engine
    secrets = address.password(), address.tls.context()
    return create_async_engine(
        "mysql+aiomysql://",
        async_creator=partial(_connect, place, address.timeout, *secrets),
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        **options,
    )


def _sqlite_settings(timeout: float, connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    patience = int(timeout * 500)
    for setting in (
        "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={patience}",
    ):  # fmt: skip
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()


async def _connect(
    server: Server, timeout: float, password: str, tls: ssl.SSLContext | None
) -> aiomysql.Connection:
    connection = await aiomysql.connect(
        host=server.host,
        port=server.port,
        unix_socket=server.unix_socket,
        user=server.user,
        password=password,
        db=server.name,
        charset="utf8mb4",
        ssl=tls,
        client_flag=CLIENT.FOUND_ROWS,
        init_command=session(timeout),
        program_name="ajrd",
    )
    if tls and not (connection.server_capabilities & CLIENT.SSL):
        connection.close()
        raise ConnectionError(f"{server.host} offers no TLS, which database.tls demands")
    return connection


def session(timeout: float) -> str:
    """The server drops what a lost or frozen client holds, so that others can go on."""
    lock, idle = max(1, int(timeout / 2)), max(10, int(timeout * 2))
    return (
        f"SET SESSION sql_mode = '{_STRICT}', SESSION innodb_lock_wait_timeout = {lock},"
        f" SESSION wait_timeout = {idle}"
    )


def _is_away(error: Exception) -> bool:
    """Could the database not be reached or not keep anything? Else it was the statement."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, OSError | PoolTimeout)
    cause = error.orig
    if error.connection_invalidated or cause is None:
        return True
    if isinstance(cause, sqlite3.Error):
        return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _SQLITE_AWAY
    code = cause.args[0] if cause.args else None
    if not isinstance(code, int) or code in _MYSQL_AWAY:
        return True
    return code < 1000 or 2000 <= code < 3000


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return " ".join(str(cause).split())[:300]
