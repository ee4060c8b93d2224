"""The database: reachable, safe on its way, of the right form, with room, and no rights more."""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ajrd.config import Config
from ajrd.doctor.check import Broken, Check, Finding, Group, Look, NotAsked, fail, ok, skip, warn
from ajrd.doctor.tools import address_of, in_thread
from ajrd.logs.mounts import Mount, Mounts
from ajrd.store.address import HERE, Address, Server
from ajrd.store.driver import Connection, connect
from ajrd.store.engine import Database
from ajrd.store.inspection import Inspection, inspect
from ajrd.store.queries import Query
from ajrd.store.read import Reader

#: The oldest servers whose SQL the tests have run on, or whose manual promises it.
MARIADB, MYSQL, SQLITE = (10, 5), (8, 0), (3, 35)
#: Bytes: too little to go on, and little.
NO_ROOM, LITTLE_ROOM = 200 << 20, 2 << 30
#: Seconds: an answer that is slow, clocks that differ.
SLOW, SKEW = 0.5, 2.0
#: Days beyond `database.keep_days` for which a weekly prune may let jobs lie.
SLACK = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a MySQL or MariaDB server says of itself and of this session."""

    version: str
    charset: str
    folder: str
    grants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """The database as it was met; ``skew`` is its clock minus this host's, seconds."""

    seconds: float
    skew: float
    oldest: datetime | None
    server: ServerFacts | None
    now: datetime


async def met(look: Look) -> Seen:
    """Connects and asks a few things; raises StoreUnavailable."""
    address = address_of(look)
    if isinstance(address.place, Path) and not await in_thread(address.place.exists):
        raise Broken(f"there is no database at {address.place} yet", "ajrd db upgrade")
    return await in_thread(lambda: _meet(address))


def _meet(address: Address) -> Seen:
    began = time.monotonic()
    with closing(connect(address)) as db:
        tables, seconds = db.tables(), time.monotonic() - began
        before = datetime.now(UTC)
        skew = (db.now() - before).total_seconds()
        oldest = _oldest(db) if "jobs" in tables else None
        server = _server(db) if isinstance(address.place, Server) else None
    return Seen(seconds, skew, oldest, server, before)


def _oldest(db: Connection) -> datetime | None:
    found = db.all(Query("SELECT MIN(seen_at) AS oldest FROM jobs WHERE closed = 1"))[0]["oldest"]
    if isinstance(found, str):
        found = datetime.fromisoformat(found)
    return found.replace(tzinfo=UTC) if isinstance(found, datetime) else None


def _server(db: Connection) -> ServerFacts:
    facts = db.all(
        Query(
            "SELECT VERSION() AS version, @@character_set_database AS charset, @@datadir AS folder"
        )
    )[0]
    grants = (str(next(iter(row.values()))) for row in db.all(Query("SHOW GRANTS")))
    return ServerFacts(
        version=str(facts["version"]),
        charset=str(facts["charset"]),
        folder=str(facts["folder"]),
        grants=tuple(grants),
    )


async def seen(look: Look) -> Seen:
    """As :func:`met`, for checks that have nothing to say while it is away."""
    try:
        return await look.once(met)
    except Exception:  # the check that asks whether it is there says what is wrong
        raise NotAsked("not looked at: the database does not answer") from None


def judge_reached(found: Seen, config: Config) -> Finding:
    """It answers, and quickly."""
    said = f"{config.database.url} answers in {found.seconds:.2f} s"
    return warn(said, "ajrd db check") if found.seconds > SLOW else ok(said)


def judge_version(found: Seen, _config: Config) -> Finding:
    """New enough for the SQL of the service."""
    words = found.server.version if found.server else sqlite3.sqlite_version
    least, name = (SQLITE, "SQLite") if found.server is None else (MYSQL, "MySQL")
    if "mariadb" in words.lower():
        least, name = MARIADB, "MariaDB"
    numbers = tuple(int(part) for part in re.findall(r"\d+", words)[:2])
    said = f"{name} {words}"
    if numbers < least:
        need = ".".join(map(str, least))
        return fail(f"{said}; ajrd needs {need} or newer", "apt-get install mariadb-server")
    return ok(said)


def _remote(config: Config) -> bool:
    place = config.database.address().place
    return isinstance(place, Server) and not place.unix_socket and place.host not in HERE


async def cipher(look: Look) -> str:
    """By a connection as the service makes it: the commands' driver takes TLS unasked."""
    if (await seen(look)).server is None:
        raise NotAsked("SQLite has no network")
    database = Database(address_of(look))
    try:
        found = await database.all(Query("SHOW STATUS LIKE 'Ssl_cipher'"))
    finally:
        await database.close()
    return str(found[0]["Value"]) if found else ""


def judge_tls(found: str, config: Config) -> Finding:
    """In force where it is demanded, and demanded where the way is long."""
    if found:
        return ok(f"TLS, {found}")
    if config.database.tls.ca:
        return fail("database.tls is set, and the connection is not encrypted", "ajrd db check")
    if _remote(config):
        mend = "ajrd config check  # set database.tls.ca: docs/database.md"
        return warn("the way to the database is not encrypted", mend)
    return ok("no TLS, on this host")


async def inspected(look: Look) -> Inspection:
    """Revision, rights and form of the tables."""
    await seen(look)
    address = address_of(look)
    if isinstance(address.place, Path):
        return Inspection(await in_thread(lambda: _revision(address)))
    database = Database(address)
    try:
        return await inspect(database)
    finally:
        await database.close()


def _revision(address: Address) -> str:
    with closing(Reader(address)) as reader:
        return reader.revision()


def judge_tables(found: Inspection, _config: Config) -> Finding:
    """As ``ajrd db check``."""
    faults = found.faults()
    if not faults:
        return ok(f"revision {found.revision}")
    mend = "ajrd db upgrade" if not found.missing else "ajrd db check  # docs/database.md"
    return fail("; ".join(faults), mend)


def judge_least(found: Seen, _config: Config) -> Finding:
    """No rights on anything but this database."""
    if found.server is None:
        return skip("SQLite knows no rights")
    more = list(excessive(found.server.grants))
    if not more:
        return ok("no rights beyond this database")
    mend = (
        "mysql -e 'REVOKE ALL PRIVILEGES, GRANT OPTION FROM USER'  # then grant: docs/database.md"
    )
    return warn(f"the user of the service may do more than it needs: {', '.join(more)}", mend)


def excessive(grants: Iterable[str]) -> Iterable[str]:
    """What is granted on all databases, and leave to grant; never a password's hash."""
    for grant in grants:
        found = re.match(r"GRANT (.+?) ON (\S+) TO ", grant, re.IGNORECASE)
        if found is None:
            continue
        if found[2] == "*.*" and found[1].upper() != "USAGE":
            yield f"{found[1][:80]} ON *.*"
        if "WITH GRANT OPTION" in grant.upper():
            yield f"GRANT OPTION ON {found[2]}"


def judge_charset(found: Seen, config: Config) -> Finding:
    """Any character may stand in names and lines."""
    if found.server is None:
        return skip("SQLite stores UTF-8")
    place = config.database.address().place
    name = place.name if isinstance(place, Server) else ""
    if found.server.charset == "utf8mb4":
        return ok("utf8mb4")
    sql = f"ALTER DATABASE `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
    return warn(f"the database's character set is {found.server.charset}", _mysql(sql))


def _mysql(sql: str) -> str:
    return f"mysql -e {shlex.quote(sql)}"


def judge_clock(found: Seen, _config: Config) -> Finding:
    """Leases go by its clock; times in the history by the hosts'."""
    if found.server is None:
        return skip("SQLite has this host's clock")
    said = f"the database's clock differs from this host's by {found.skew:+.1f} s"
    return warn(said, "timedatectl set-ntp true") if abs(found.skew) > SKEW else ok(said)


def judge_retention(found: Seen, config: Config) -> Finding:
    """Nobody writes down when it was pruned: its oldest job tells."""
    keep = config.database.keep_days
    if found.oldest is None:
        return ok("no job is over yet")
    age = found.now - found.oldest
    said = f"the oldest job that is over was last seen {age.days} days ago, keep_days is {keep}"
    late = age > timedelta(days=keep) + SLACK
    return warn(said, "ajrd db prune  # and put it into a weekly timer") if late else ok(said)


@dataclass(frozen=True, slots=True)
class Room:
    """A folder on this host, its mount, and the bytes that are free there."""

    folder: str
    mount: Mount
    free: int


async def room(look: Look) -> Room:
    """Where the data lies; raises NotAsked if that is another host."""
    place = look.config.database.address().place
    folder = str(place.absolute().parent) if isinstance(place, Path) else ""
    if not folder and not _remote(look.config):
        server = (await seen(look)).server
        folder = server.folder if server else ""
    if not folder:
        raise NotAsked("the database is on another host")
    return await in_thread(lambda: _room(folder))


def _room(folder: str) -> Room:
    try:
        real = os.path.realpath(folder)
        free = os.statvfs(real)
    except FileNotFoundError:
        mend = f"install -d -m 0750 {shlex.quote(folder)}"
        raise Broken(f"the folder of the database, {folder}, is not there", mend) from None
    return Room(folder, Mounts().of(real), free.f_bavail * free.f_frsize)


def judge_room(found: Room, _config: Config) -> Finding:
    """A full disk stops the service from keeping anything."""
    said = f"{found.free / (1 << 30):.1f} GiB are free in {found.folder}"
    mend = f"df -h {shlex.quote(found.folder)}  # make room, or: ajrd db prune"
    if found.free < NO_ROOM:
        return fail(said, mend)
    return warn(said, mend) if found.free < LITTLE_ROOM else ok(said)


def judge_file_system(found: Room, config: Config) -> Finding:
    """SQLite needs locks and a shared map, which network file systems do not keep (sqlite.org)."""
    if isinstance(config.database.address().place, Server):
        return skip("the server looks after its files")
    said = f"{found.folder} lies on {found.mount.fstype or 'an unknown file system'}"
    if found.mount.local:
        return ok(said)
    return warn(f"{said}: SQLite needs a local disk", "ajrd config check  # change database.url")


_G, _MEND = Group.DATABASE, "ajrd db check"
CHECKS: tuple[Check[Any], ...] = (
    Check("reach", _G, "is it there, how fast", met, judge_reached, _MEND),
    Check("server", _G, "its version", seen, judge_version, _MEND),
    Check("tls", _G, "is TLS in force", cipher, judge_tls, _MEND),
    Check("tables", _G, "revision, rights, form of the tables", inspected, judge_tables, _MEND),
    Check(
        "least-rights", _G, "has its user rights that it does not need", seen, judge_least, _MEND
    ),
    Check("charset", _G, "its character set", seen, judge_charset, _MEND),
    Check("database-clock", _G, "its clock and this host's", seen, judge_clock, _MEND),
    Check("retention", _G, "is it pruned", seen, judge_retention, _MEND),
    Check("room", _G, "free space, if it is on this host", room, judge_room, "df -h"),
    Check("file-system", _G, "where a SQLite file lies", room, judge_file_system, "df -hT"),
)
