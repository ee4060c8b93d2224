"""A database server, entered as its administrator: for a moment, with a password kept nowhere.

Every way in which that can fail becomes one sentence that names the cause.
"""

from __future__ import annotations

import configparser
import os
import pwd
import re
import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql

from ajrd.errors import ConfigError, StoreUnavailable
from ajrd.secret import read_secret
from ajrd.store.address import Address, Server
from ajrd.store.engine import session
from ajrd.text import printable

#: What a server answers to somebody it does not let in, and to one who may not do a thing.
_NOT_IN = frozenset({1045, 1698})
_MAY_NOT = frozenset({1044, 1142, 1143, 1227, 1370, 1410})
_NO_HOST, _NO_DATABASE, _TOO_MANY, _NO_TLS, _LOST = 1130, 1049, (1040, 1203), 2026, (2006, 2013)
#: What the driver stumbles over if something else than such a server answers.
_NONSENSE = (LookupError, ValueError, struct.error, pymysql.InternalError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admin:
    """How to get in as an administrator: an option file of MySQL, or words for what it would say.

    Without any: as whoever runs the command, which a server on this host may believe by its socket.
    """

    defaults_file: Path | None = None
    user: str | None = None
    password_file: Path | None = None
    password: str = field(default="", repr=False)
    socket: str | None = None


@dataclass(frozen=True, slots=True)
class _Way:
    """Where to go and as whom, from the options and the address together."""

    host: str
    port: int
    socket: str | None
    user: str
    password: str = field(repr=False)

    @property
    def where(self) -> str:
        return self.socket or f"{self.host}:{self.port}"


class Session:
    """A connection in which statements are run; raises StoreUnavailable with the cause."""

    def __init__(self, db: pymysql.Connection[Any], where: str, same_way: bool) -> None:
        self._db = db
        self._where = where
        #: Does the service come to the server as this session did, or by another way?
        self.same_way = same_way

    def rows(self, sql: str, *values: object) -> Sequence[tuple[Any, ...]]:
        """What a statement answers; values are data and never part of it."""
        try:
            with self._db.cursor() as cursor:
                cursor.execute(sql, values or None)
                return list(cursor.fetchall())
        except (pymysql.Error, OSError) as error:
            is_lost = isinstance(error, (OSError, pymysql.InternalError)) or _code(error) in _LOST
            raise (Lost if is_lost else StoreUnavailable)(cause(error, self._where)) from None
        except _NONSENSE:
            raise Lost(f"the server at {self._where} answers nothing that makes sense") from None

    def one(self, sql: str, *values: object) -> str:
        """The first field of the first row, "" if there is none."""
        rows = self.rows(sql, *values)
        return str(rows[0][0]) if rows else ""


def server_of(address: Address) -> Server:
    """The server of an address; raises ConfigError for a SQLite file."""
    if isinstance(address.place, Server):
        return address.place
    raise ConfigError("the database is a SQLite file, which knows no users")


@contextmanager
def entered(address: Address, admin: Admin) -> Iterator[Session]:
    """The server of an address, as its administrator; raises ConfigError, StoreUnavailable."""
    server = server_of(address)
    way = _way(server, admin)
    session = _connected(address, way)
    with closing(session):
        yield Session(session, way.where, way.where == _own_way(server).where)


@contextmanager
def as_service(address: Address, password: str | None = None) -> Iterator[Session]:
    """The same as the service itself, but into no database, so that only its name is judged.

    The password is that of the address if none is given.
    """
    own = _own_way(server_of(address))
    secret = address.password() if password is None else password
    way = _Way(own.host, own.port, own.socket, own.user, secret)
    session = _connected(address, way)
    with closing(session):
        yield Session(session, way.where, same_way=True)


def into_database(address: Address) -> pymysql.Connection[Any]:
    """A connection of the service into its database, for SQLAlchemy; raises StoreUnavailable."""
    server = server_of(address)
    own = _own_way(server)
    way = _Way(own.host, own.port, own.socket, own.user, address.password())
    return _connected(address, way, database=server.name, init_command=session(address.timeout))


class Refused(StoreUnavailable):
    """The server answers, and does not let this user in with this password."""


class Lost(StoreUnavailable):
    """The connection broke in a statement: it may have been carried out."""


def _own_way(server: Server) -> _Way:
    return _Way(server.host, server.port, server.unix_socket, server.user, "")


def _way(server: Server, admin: Admin) -> _Way:
    said = _options(admin.defaults_file)
    password = admin.password.encode().decode("latin-1") or said.get("password", "")
    if admin.password_file is not None:
        secret = read_secret(str(admin.password_file), "", "the administrator")
        password = secret.decode("latin-1")
    try:
        port = int(said.get("port", server.port))
    except ValueError:
        raise ConfigError(f"{admin.defaults_file}: port {said['port']} is no number") from None
    return _Way(
        host=said.get("host", server.host),
        port=port,
        socket=admin.socket or said.get("socket") or server.unix_socket,
        user=admin.user or said.get("user") or pwd.getpwuid(os.geteuid()).pw_name,
        password=password,
    )


def _connected(address: Address, way: _Way, **options: Any) -> pymysql.Connection[Any]:
    if way.socket and not Path(way.socket).exists():
        raise StoreUnavailable(f"cannot reach the server: there is no socket {way.socket}")
    if address.tls.ca and not way.socket:
        options["ssl"] = address.tls.context()
    try:
        return pymysql.connect(
            host=way.host,
            port=way.port,
            unix_socket=way.socket,
            user=way.user,
            password=way.password,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=address.timeout,
            read_timeout=address.timeout,
            write_timeout=address.timeout,
            **options,
        )
    except pymysql.OperationalError as error:
        kind = Refused if _code(error) in (*_NOT_IN, _NO_HOST) else StoreUnavailable
        raise kind(cause(error, way.where)) from None
    except _NONSENSE:
        raise StoreUnavailable(
            f"what answers at {way.where} is no MySQL or MariaDB server"
        ) from None
    except RuntimeError as error:  # of the driver: caching_sha2_password without TLS
        raise StoreUnavailable(
            f"the server at {way.where} takes this user's password by TLS or by its socket alone:"
            f" give database.ca ({error})"
        ) from None
    except (pymysql.Error, OSError) as error:
        raise StoreUnavailable(cause(error, way.where)) from None


def _options(file: Path | None) -> dict[str, str]:
    """The section ``client`` of an option file; one that everybody may read is refused."""
    if file is None:
        return {}
    parser = configparser.RawConfigParser(allow_no_value=True, strict=False)
    try:
        parser.read_string(read_secret(str(file), "", "the administrator").decode("latin-1"))
    except configparser.Error:  # its message quotes the line, which may be the password itself
        raise ConfigError(
            f"{file} is no option file of MySQL, with a section [client] and lines key = value"
        ) from None
    section = dict(parser["client"]) if parser.has_section("client") else {}
    return {key: value.strip("'\"") for key, value in section.items() if value}


def quoted(name: str) -> str:
    """A name of a database or table, as a statement takes it."""
    return f"`{name.replace('`', '``')}`"


def as_pattern(database: str) -> str:
    """The same where GRANT takes a pattern: this database, and none that is called alike."""
    return quoted(re.sub(r"([\\%_])", r"\\\1", database))


# Why something failed


def cause(error: Exception, where: str) -> str:
    """One sentence: what is wrong with a server, or with what was asked of it."""
    code, said = _code(error), _said(error)
    reached = getattr(error, "original_exception", error)
    if isinstance(reached, OSError):
        return f"cannot reach the server at {where}: {_of_the_way(reached)}"
    for codes, sentence in _SENTENCES:
        if code in codes:
            return sentence(where, said)
    return f"the server at {where} refused: {said}"


def _not_in(where: str, said: str) -> str:
    who = re.search(r"'[^']*'@'[^']*'", said)
    why = "no password was given" if "password: NO" in said else "wrong name or password"
    return f"the server at {where} does not let {who[0] if who else 'this user'} in: {why}"


_SENTENCES: Sequence[tuple[frozenset[int], Callable[[str, str], str]]] = (
    (_NOT_IN, _not_in),
    (_MAY_NOT, lambda where, said: f"the server at {where} refused, a right is missing: {said}"),
    (frozenset({_NO_HOST}), lambda where, said: f"the server at {where} lets nobody in from this"
                                                f" host: {said}"),
    (frozenset({_NO_DATABASE}), lambda where, said: f"the server at {where} has no such database:"
                                                    f" {said}"),
    (frozenset(_TOO_MANY), lambda where, _said: f"the server at {where} has too many connections"),
    (frozenset({_NO_TLS}), lambda where, _said: f"the server at {where} offers no TLS, which"
                                                " database.ca demands"),
    (frozenset(_LOST), lambda where, said: f"the server at {where} did not answer to the end:"
                                           f" {said}"),
)  # fmt: skip


def _of_the_way(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "there is no host of that name"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there (connection refused)"
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}"
    return " ".join(str(error.strerror or error).split())


def _code(error: Exception) -> int:
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


def _said(error: Exception) -> str:
    said = error.args[1] if len(error.args) > 1 else error
    return printable(" ".join(str(said)[:2000].split())[:300])
