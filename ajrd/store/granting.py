"""A MySQL user that may read ``job_efficiency_records`` and nothing else, for reports.

Done with an administrator's rights, which the service itself does not have. Whoever has a name that
may do more is never touched.
"""

from __future__ import annotations

import configparser
import getpass
import os
import re
import secrets
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql

from ajrd.errors import ConfigError, StoreUnavailable
from ajrd.secret import read_secret
from ajrd.store.address import Address, Server

TABLE = "job_efficiency_records"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_HOST = re.compile(r"[A-Za-z0-9_.:%/-]{1,255}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Admin:
    """How to get in as an administrator: an option file of MySQL, or words for what it would say.

    Without any: as whoever runs the command, which a server on this host may believe by its socket.
    """

    defaults_file: Path | None = None
    user: str | None = None
    password_file: Path | None = None
    socket: str | None = None


@dataclass(frozen=True, slots=True)
class Reader:
    """``name``@``host``, checked; raises ConfigError for what cannot be one."""

    name: str
    host: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(f"{self.name!r} cannot be the name of a reader: letters, digits, _.-")
        if not _HOST.fullmatch(self.host):
            raise ConfigError(f"{self.host!r} is no host of a MySQL user")


def grant_reader(address: Address, admin: Admin, reader: Reader, file: Path | None) -> str | None:
    """Makes the user if it is not there, and gives it its one right.

    Returns the password of a new user if there is no ``file`` (0600, made here) to keep it in; None
    otherwise. A user that is there keeps its password. Raises ConfigError, StoreUnavailable.
    """
    server = address.place
    if not isinstance(server, Server):
        raise ConfigError("the database is a SQLite file, which knows no users")
    try:
        with closing(_connect(address, server, admin)) as db, db.cursor() as cursor:
            return _grant(cursor, server.name, reader, file)
    except (pymysql.Error, OSError) as error:
        said = error.args[1] if len(error.args) > 1 else error
        raise StoreUnavailable(f"the database refused: {' '.join(str(said).split())}") from None


def _grant(cursor: Any, database: str, reader: Reader, file: Path | None) -> str | None:
    who = (reader.name, reader.host)
    cursor.execute("SELECT 1 FROM mysql.user WHERE User = %s AND Host = %s", who)
    password = None
    if cursor.fetchone():
        _refuse_other_rights(cursor, database, reader)
    else:
        password = secrets.token_urlsafe(24)
        _create(cursor, who, password, file)
    table = f"{_quoted(database)}.{_quoted(TABLE)}"
    cursor.execute(f"GRANT SELECT ON {table} TO %s@%s", who)
    return password if file is None else None


def _create(cursor: Any, who: tuple[str, str], password: str, file: Path | None) -> None:
    """The password is kept before it is set; a user that cannot be made leaves no file."""
    if file is not None:
        _keep(file, password)
    try:
        cursor.execute("CREATE USER %s@%s IDENTIFIED BY %s", (*who, password))
    except pymysql.Error:
        if file is not None:
            file.unlink()
        raise


def _refuse_other_rights(cursor: Any, database: str, reader: Reader) -> None:
    ours = f"GRANT SELECT ON {_quoted(database)}.{_quoted(TABLE)} TO "
    cursor.execute("SHOW GRANTS FOR %s@%s", (reader.name, reader.host))
    for (grant,) in cursor.fetchall():
        harmless = grant.startswith(("GRANT USAGE ON *.* TO ", ours))
        if not harmless or "GRANT OPTION" in grant:
            raise ConfigError(
                f"{reader.name}@{reader.host} is there and may do more than read {TABLE}; choose"
                " another name"
            )


def _keep(file: Path, password: str) -> None:
    try:
        number = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ConfigError(f"cannot make {file} for the password: {error.strerror}") from None
    with os.fdopen(number, "w") as kept:
        kept.write(f"{password}\n")


def _connect(address: Address, server: Server, admin: Admin) -> pymysql.Connection[Any]:
    said = _options(admin.defaults_file)
    socket = admin.socket or said.get("socket") or server.unix_socket
    password = said.get("password", "")
    if admin.password_file is not None:
        secret = read_secret(str(admin.password_file), "", "the administrator")
        password = secret.decode("latin-1")
    options: dict[str, Any] = {}
    if address.tls.ca and not socket:
        options["ssl"] = address.tls.context()
    return pymysql.connect(
        host=said.get("host", server.host),
        port=int(said.get("port", server.port)),
        unix_socket=socket,
        user=admin.user or said.get("user") or getpass.getuser(),
        password=password,
        database=server.name,
        charset="utf8mb4",
        autocommit=True,
        connect_timeout=address.timeout,
        read_timeout=address.timeout,
        write_timeout=address.timeout,
        **options,
    )


def _options(file: Path | None) -> dict[str, str]:
    """The section ``client`` of an option file; one that everybody may read is refused."""
    if file is None:
        return {}
    parser = configparser.RawConfigParser(allow_no_value=True, strict=False)
    try:
        parser.read_string(read_secret(str(file), "", "the administrator").decode("latin-1"))
    except configparser.Error as error:
        raise ConfigError(f"{file} is no option file: {error.message}") from None
    section = dict(parser["client"]) if parser.has_section("client") else {}
    return {key: value.strip("'\"") for key, value in section.items() if value}


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"
