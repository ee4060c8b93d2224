"""A database and its users: made with least rights, refused with a cause, dropped."""

from __future__ import annotations

import asyncio
import getpass
import secrets
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, cast

import pymysql
import pytest

from ajrd.errors import ConfigError, StoreUnavailable
from ajrd.store.address import Address, Tls
from ajrd.store.administration import (
    Admin,
    Lost,
    Refused,
    Session,
    as_service,
    cause,
    entered,
    quoted,
)
from ajrd.store.engine import Database
from ajrd.store.founding import (
    Account,
    create_account,
    create_database,
    drop_account,
    drop_database,
    examine,
    grant_service,
    missing_rights,
    new_password,
    refuse,
)
from ajrd.store.granting import Reader, allow_reader
from ajrd.store.inspection import inspect
from ajrd.store.migrate import upgrade_tables
from tests.database.server import Schema, Server, a_certificate

PASSWORD = "it's \\ a % secret"
ALL = "GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION"


@pytest.fixture
def server(mariadb: Server) -> Iterator[Server]:
    """The server, which has afterwards what it had before: databases, users, rights."""
    if not mariadb.daemon.alive:
        mariadb.start()
    before = everything(mariadb)
    yield mariadb
    assert everything(mariadb) == before


def everything(server: Server) -> str:
    return server.query(
        "SHOW DATABASES; SELECT * FROM mysql.global_priv ORDER BY 1, 2;"
        " SELECT * FROM mysql.db ORDER BY 1, 2, 3; SELECT * FROM mysql.tables_priv ORDER BY 1, 2;"
    )


@pytest.fixture
def admin(mariadb: Server) -> Admin:
    return Admin(user=getpass.getuser(), socket=str(mariadb.database.socket))


@pytest.fixture
def address(server: Server, tmp_path: Path) -> Address:
    """Of a database that is not there, with a name in which GRANT would see a pattern."""
    file = tmp_path / "db-password"
    file.write_text(PASSWORD)
    file.chmod(0o600)
    name = f"a_b%25{secrets.token_hex(3)}"
    user = f"u{secrets.token_hex(6)}"
    return Address(f"mysql://{user}@127.0.0.1:{server.port}/{name}", str(file))


@pytest.fixture
def account(address: Address) -> Account:
    place = address.place
    assert not isinstance(place, Path)
    return Account(place.user, "127.0.0.1")


def name_of(address: Address) -> str:
    assert not isinstance(address.place, Path)
    return address.place.name


@pytest.fixture
def founded(address: Address, admin: Admin, account: Account) -> Iterator[None]:
    """The database with its user, until the end of the test."""
    with entered(address, admin) as db:
        create_database(db, name_of(address))
        create_account(db, account, PASSWORD, tls=False)
        grant_service(db, account, name_of(address))
        yield
        drop_account(db, account)
        drop_database(db, name_of(address))


async def test_the_service_can_work_with_what_was_made(address: Address, founded: None) -> None:
    database = Database(address)
    try:
        await upgrade_tables(database)
        assert (await inspect(database)).faults() == []
    finally:
        await database.close()


@pytest.mark.parametrize(
    "more",
    [
        "SELECT User FROM mysql.user",
        "CREATE DATABASE mine",
        "CREATE USER mine",
        "GRANT SELECT ON `{ours}`.* TO mine",
        "CREATE TABLE `{alike}`.mine (a INT)",
        "CREATE VIEW `{ours}`.mine AS SELECT 1",
        "CREATE FUNCTION `{ours}`.mine() RETURNS INT RETURN 1",
        "SELECT 1 INTO OUTFILE 'stolen'",
        "SET GLOBAL max_connections = 1",
    ],
)
def test_it_may_do_no_more_than_that(address: Address, founded: None, more: str) -> None:
    ours = name_of(address)
    with as_service(address) as db, pytest.raises(StoreUnavailable, match="a right is missing"):
        db.rows(more.format(ours=ours, alike=ours.replace("_", "x")))


def test_what_is_there_is_seen_before(address: Address, admin: Admin, account: Account) -> None:
    seen = examine(address, admin)
    assert not any((seen.exists, seen.tables, seen.hosts, seen.missing))
    assert "MariaDB" in seen.version
    assert seen.client == "", "the administrator came by the socket, the service will not"


def test_this_host_is_known_by_the_name_under_which_it_comes(
    mysql: Schema, mariadb: Server
) -> None:
    mariadb.query(f"GRANT ALL ON *.* TO {mysql.name} WITH GRANT OPTION")
    boss = Admin(user=mysql.name, password_file=mysql.password_file)
    seen = examine(mysql.address(), boss)
    assert (seen.client, seen.exists, list(seen.hosts), seen.missing) == (
        "127.0.0.1", True, ["%"], (),
    )  # fmt: skip


def test_an_administrator_without_rights_is_told_which(mysql: Schema, address: Address) -> None:
    boss = Admin(user=mysql.name, password_file=mysql.password_file)
    seen = examine(address, boss)
    assert {"CREATE USER", "GRANT OPTION", "SELECT on mysql.user", "CREATE"} <= set(seen.missing)
    with pytest.raises(StoreUnavailable, match=r"lacks rights for .*: ALTER, CREATE, CREATE USER"):
        refuse(seen, name_of(address))


@pytest.mark.parametrize(
    ("grants", "missing"),
    [
        ([ALL], ()),
        (["GRANT PROXY ON ''@'%' TO 'root'@'localhost' WITH GRANT OPTION", ALL], ()),
        ([ALL.removesuffix(" WITH GRANT OPTION")], ("GRANT OPTION",)),
        (["GRANT USAGE ON *.* TO `a`@`%`", "GRANT `dba` TO `a`@`%`"], ()),
        (
            ["GRANT CREATE USER ON *.* TO `a`@`%`", "GRANT SELECT ON `mysql`.`user` TO `a`@`%`",
             "GRANT ALL PRIVILEGES ON `ajrd`.* TO `a`@`%` WITH GRANT OPTION"],
            (),
        ),
        (
            ["GRANT CREATE USER, SELECT ON *.* TO `a`@`%`",
             "GRANT ALL PRIVILEGES ON `ajrd\\_test`.* TO `a`@`%` WITH GRANT OPTION"],
            ("ALTER", "CREATE", "DELETE", "DROP", "GRANT OPTION", "INDEX", "INSERT", "REFERENCES",
             "UPDATE"),
        ),
    ],
)  # fmt: skip
def test_rights_are_read_from_what_the_server_shows(
    grants: list[str], missing: tuple[str, ...]
) -> None:
    assert missing_rights(grants, "ajrd") == missing


def test_tables_of_somebody_else_are_left_alone(mysql: Schema, admin: Admin) -> None:
    mysql.query("CREATE TABLE jobs (a INT); CREATE TABLE payroll (a INT)")
    seen = examine(mysql.address(), admin)
    assert seen.foreign == ("payroll",)
    with pytest.raises(StoreUnavailable, match=r"not ajrd's \(payroll\)"):
        refuse(seen, mysql.name, ours=True)
    mysql.query("DROP TABLE payroll")
    seen = examine(mysql.address(), admin)
    with pytest.raises(StoreUnavailable, match=r"not ajrd's \(jobs\)"):
        refuse(seen, mysql.name)
    refuse(seen, mysql.name, ours=True)


def test_tables_of_ajrd_are_known(mysql: Schema, admin: Admin) -> None:
    async def make() -> None:
        database = Database(mysql.address())
        await upgrade_tables(database)
        await database.close()

    asyncio.run(make())
    refuse(examine(mysql.address(), admin), mysql.name)


def test_a_wrong_password_is_called_that(address: Address, founded: None) -> None:
    with (
        pytest.raises(Refused, match=r"does not let 'u\w+'@'127.0.0.1' in: wrong name or password"),
        as_service(address, "wrong"),
    ):
        pass
    with pytest.raises(Refused, match="in: no password was given"), as_service(address, ""):
        pass


def failing(address: Address, admin: Admin) -> str:
    with pytest.raises(StoreUnavailable) as caught, entered(address, admin):
        pass
    return str(caught.value)


def at(address: Address, where: str) -> Address:
    return replace(address, url=f"mysql://ajrd@{where}/ajrd")


def test_a_server_that_is_not_there_is_told_by_its_cause(address: Address) -> None:
    nobody = Admin(user="root")
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        port = silent.getsockname()[1]
        slow = replace(at(address, f"127.0.0.1:{port}"), timeout=0.2)
        assert "did not answer" in failing(slow, nobody)
    assert "connection refused" in failing(at(address, f"127.0.0.1:{port}"), nobody)
    assert "no host of that name" in failing(at(address, "nowhere.invalid"), nobody)
    here = Admin(user="root", socket="/nowhere/mysqld.sock")
    assert "there is no socket /nowhere/mysqld.sock" in failing(address, here)


def test_something_else_that_answers_is_no_server(address: Address) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]

        def greet() -> None:
            connection, _ = other.accept()
            connection.sendall(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
            connection.close()

        thread = threading.Thread(target=greet)
        thread.start()
        said = failing(at(address, f"127.0.0.1:{port}"), Admin(user="root"))
        thread.join()
    assert "is no MySQL or MariaDB server" in said


def test_a_certificate_that_is_not_trusted_is_called_that(
    address: Address, admin: Admin, account: Account, founded: None, tmp_path: Path
) -> None:
    strange = replace(address, tls=Tls(ca=str(a_certificate(tmp_path))))
    with (
        pytest.raises(StoreUnavailable, match="certificate is not trusted: self-signed"),
        as_service(strange),
    ):
        pass


def test_a_certificate_for_another_name_is_called_that(
    address: Address, server: Server, founded: None
) -> None:
    tls = Tls(ca=str(server.certificate))
    other = replace(address, url=address.url.replace("127.0.0.1", "localhost"), tls=tls)
    with (
        pytest.raises(StoreUnavailable, match=r"not trusted: Hostname mismatch.*'localhost'"),
        as_service(other),
    ):
        pass


def test_with_certificates_the_user_gets_in_by_tls_alone(
    address: Address, admin: Admin, account: Account, server: Server
) -> None:
    with entered(address, admin) as db:
        create_database(db, name_of(address))
        create_account(db, account, PASSWORD, tls=True)
        try:
            with as_service(replace(address, tls=Tls(ca=str(server.certificate)))) as mine:
                assert mine.one("SELECT CURRENT_USER()") == str(account)
            with pytest.raises(pymysql.OperationalError, match="Access denied"):
                pymysql.connect(
                    host="127.0.0.1", port=server.port, user=account.name, password=PASSWORD,
                    ssl_disabled=True,
                )  # fmt: skip
        finally:
            drop_account(db, account)
            drop_database(db, name_of(address))


def test_a_database_that_is_there_is_not_taken_for_a_new_one(
    address: Address, admin: Admin, founded: None
) -> None:
    """A step that fails drops what it has made: never what another head node made just before."""
    with entered(address, admin) as db, pytest.raises(StoreUnavailable, match="database exists"):
        create_database(db, name_of(address))


def test_a_user_that_is_there_is_not_made_anew(
    address: Address, admin: Admin, account: Account, founded: None
) -> None:
    with entered(address, admin) as db, pytest.raises(StoreUnavailable, match="refused"):
        create_account(db, account, "another", tls=False)
    with as_service(address) as mine:
        assert mine.one("SELECT 1") == "1"


def test_a_password_passes_the_rules_of_servers_whatever_chance_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("secrets.token_urlsafe", lambda size: "a" * size)
    password = new_password()
    for kind in (str.isdigit, str.isupper, str.islower, lambda letter: not letter.isalnum()):
        assert any(kind(letter) for letter in password)


def test_a_reader_gets_its_table_in_a_database_of_any_name(
    address: Address, admin: Admin, founded: None
) -> None:
    reader = Reader(f"r{secrets.token_hex(6)}", "127.0.0.1")
    with entered(address, admin) as db:
        db.rows(f"CREATE TABLE {quoted(name_of(address))}.job_efficiency_records (a INT)")
        try:
            allow_reader(db, name_of(address), reader, PASSWORD)
            rights = db.rows("SHOW GRANTS FOR %s@%s", reader.name, reader.host)
            assert any("job_efficiency_records" in right for (right,) in rights)
        finally:
            drop_account(db, reader.account)


def test_an_option_file_that_holds_the_bare_password_does_not_show_it(
    address: Address, tmp_path: Path
) -> None:
    file = tmp_path / "my.cnf"
    file.write_text("hunter2=x\n")
    file.chmod(0o600)
    with pytest.raises(ConfigError, match=r"is no option file of MySQL") as caught:
        examine(address, Admin(defaults_file=file))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "error", [IndexError("short"), struct.error("4 bytes"), pymysql.InternalError("sequence")]
)
def test_a_server_that_talks_nonsense_may_have_done_what_it_was_told(error: Exception) -> None:
    class Broken:
        def cursor(self) -> NoReturn:
            raise error

    with pytest.raises(Lost):
        Session(cast("pymysql.Connection[Any]", Broken()), "db:3306", True).rows("DROP DATABASE a")


def test_what_a_server_says_cannot_steer_a_terminal() -> None:
    said = cause(pymysql.OperationalError(1105, "\x1b]0;owned\x07 and more"), "db:3306")
    assert said == r"the server at db:3306 refused: \x1b]0;owned\x07 and more"
