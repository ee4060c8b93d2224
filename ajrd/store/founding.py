"""Makes the database of the service and its user, with an administrator's rights, and drops them.

Whatever is there already is looked at before and left to its owner: the tables of somebody else,
and a user whose password is not known.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from ajrd.errors import StoreUnavailable
from ajrd.store.address import Address
from ajrd.store.administration import Admin, Session, as_pattern, entered, quoted, server_of
from ajrd.store.inspection import CHANGING, WORKING, covers
from ajrd.store.schema import metadata

#: By one of these tables a database is known as ajrd's.
_MARKS = frozenset({"alembic_version", "schema_info"})
#: What the service's user gets in its database, and nothing anywhere else.
RIGHTS = ", ".join(sorted(WORKING | CHANGING))
#: The host of those who come by a socket; there is no TLS on it.
_HERE = "localhost"
_GRANT = re.compile(
    r"GRANT (?P<rights>.+?) ON (?:`?(?P<schema>[^`]+?)`?\.`?(?P<table>[^`]+?)`?) TO .*?"
    r"(?P<more> WITH .*)?$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Account:
    """A user of a server: a name, and the host (or pattern) from which it comes."""

    name: str
    host: str

    def __str__(self) -> str:
        return f"{self.name}@{self.host}"


@dataclass(frozen=True, slots=True)
class Examined:
    """What an administrator saw, before anything is changed.

    ``client`` is this host as the server sees the service come, "" if that cannot be told;
    ``tables`` those in the database, ``hosts`` those for which the service's user is there;
    ``missing`` the rights that the administrator lacks.
    """

    version: str
    client: str
    exists: bool
    tables: frozenset[str]
    hosts: frozenset[str]
    missing: tuple[str, ...]

    @property
    def others(self) -> tuple[str, ...]:
        """Tables of a name that none of ajrd's has."""
        return tuple(sorted(self.tables - metadata.tables.keys() - _MARKS))

    @property
    def foreign(self) -> tuple[str, ...]:
        """Tables that are not ajrd's: with one of them the database is somebody else's."""
        return self.others or tuple(sorted(self.tables if not self.tables & _MARKS else ()))


def examine(address: Address, admin: Admin) -> Examined:
    """Looks, and changes nothing; raises ConfigError, StoreUnavailable with the cause."""
    server = server_of(address)
    with entered(address, admin) as db:
        missing = missing_rights((row[0] for row in db.rows("SHOW GRANTS")), server.name)
        exists = bool(db.rows(
            "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s", server.name
        ))  # fmt: skip
        tables = db.rows(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s", server.name
        )
        return Examined(
            version=db.one("SELECT VERSION()"),
            client=db.one("SELECT USER()").rpartition("@")[2] if db.same_way else "",
            exists=exists,
            tables=frozenset(row[0] for row in tables),
            hosts=hosts_of(db, server.user) if not missing else frozenset(),
            missing=missing,
        )


def hosts_of(db: Session, user: str) -> frozenset[str]:
    """The hosts for which there is a user of that name."""
    return frozenset(row[0] for row in db.rows("SELECT Host FROM mysql.user WHERE User = %s", user))


def missing_rights(grants: Iterable[str], database: str) -> tuple[str, ...]:
    """What ``SHOW GRANTS`` lacks for making database and users; () if a role may hold the rest."""
    wanted = {
        "CREATE USER": ("*", "*"),
        "GRANT OPTION": (database, "*"),
        "SELECT on mysql.user": ("mysql", "user"),
        **dict.fromkeys(WORKING | CHANGING, (database, "*")),
    }
    for line in grants:
        if " ON " not in line.upper():
            return ()
        found = _GRANT.match(line)
        if not found:
            continue
        given = {right.strip().upper() for right in found["rights"].split(",")}
        if "GRANT OPTION" in (found["more"] or "").upper():
            given.add("GRANT OPTION")
        wanted = {
            right: place
            for right, place in wanted.items()
            if not _gives(given, found["schema"], found["table"], right, place)
        }
    return tuple(sorted(wanted))


def _gives(given: set[str], schema: str, table: str, right: str, place: tuple[str, str]) -> bool:
    everywhere = schema == "*"
    if not everywhere and not (covers(schema, place[0]) and table in ("*", place[1])):
        return False
    if place == ("*", "*") and not everywhere:
        return False
    name = right.partition(" on ")[0]
    return name in given or (right != "GRANT OPTION" and bool({"ALL", "ALL PRIVILEGES"} & given))


# Making


def new_password() -> str:
    """One that nobody can guess, and that the rules of servers let pass.

    validate_password of MySQL and simple_password_check of MariaDB demand a digit, letters of both
    cases and something else, which may all be missing where only chance is asked.
    """
    return f"{secrets.token_urlsafe(24)}-aA0"


def create_database(db: Session, name: str) -> None:
    """An empty database; raises StoreUnavailable if it is there: it is somebody else's then."""
    db.rows(f"CREATE DATABASE {quoted(name)} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")


def create_account(db: Session, account: Account, password: str, *, tls: bool) -> None:
    """A user that may do nothing yet; raises StoreUnavailable if it is there.

    With ``tls`` it gets in by TLS alone, unless it comes by the socket of the server's own host.
    """
    secure = " REQUIRE SSL" if tls and account.host != _HERE else ""
    db.rows(f"CREATE USER %s@%s IDENTIFIED BY %s{secure}", account.name, account.host, password)


def grant_service(db: Session, account: Account, database: str) -> None:
    """The rights of the service in its database."""
    db.rows(
        f"GRANT {RIGHTS} ON {as_pattern(database).replace('%', '%%')}.* TO %s@%s",
        account.name, account.host,
    )  # fmt: skip


def is_there(db: Session, account: Account) -> bool:
    """Is there such a user?"""
    return account.host in hosts_of(db, account.name)


# Dropping


def drop_account(db: Session, account: Account) -> None:
    """Takes the user away, with its rights; one that is not there is no fault."""
    db.rows("DROP USER IF EXISTS %s@%s", account.name, account.host)


def drop_database(db: Session, name: str) -> None:
    """Takes the database away, with all that is in it."""
    db.rows(f"DROP DATABASE IF EXISTS {quoted(name)}")


def refuse(found: Examined, name: str, *, ours: bool = False) -> None:
    """Raises StoreUnavailable for what must not be used; ``ours``: begun by an earlier run."""
    if found.missing:
        raise StoreUnavailable(
            f"this administrator lacks rights for making database {name} and its user:"
            f" {', '.join(found.missing)}"
        )
    others = found.foreign
    if others and not (ours and found.tables <= metadata.tables.keys() | _MARKS):
        raise StoreUnavailable(
            f"database {name} holds tables that are not ajrd's ({', '.join(others[:5])}): give"
            " another database.name"
        )
