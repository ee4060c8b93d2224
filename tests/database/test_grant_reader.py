"""The user of a report may read one table, and nothing else of the server."""

from __future__ import annotations

import asyncio
import getpass
import secrets
import stat
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pymysql
import pytest
import yaml
from click.testing import CliRunner

from ajrd.cli.db import db
from ajrd.errors import ConfigError, StoreUnavailable
from ajrd.store.schema import metadata
from ajrd.store.store import Store
from tests.database.server import Schema

Run = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
def reader(mysql: Schema) -> Iterator[str]:
    """A name that nobody has; the user is gone afterwards."""
    name = f"r{secrets.token_hex(6)}"
    yield name
    mysql.query(f"DROP USER IF EXISTS {name}@localhost; DROP USER IF EXISTS {name}@'%'")


@pytest.fixture
async def tables(mysql: Schema) -> None:
    await (await Store.open(mysql.address())).close()


@pytest.fixture
def ajrd(mysql: Schema, tmp_path: Path, tables: None) -> Run:
    """Runs the command with the superuser's socket; its exit code and all it said."""
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"database": mysql.section()}))

    async def run(*argv: str, socket: bool = True) -> tuple[int, str]:
        way = ["--admin-socket", str(mysql.server.database.socket)] if socket else []
        command = ["grant-reader", *argv, *way, "--config", str(config)]
        done = await asyncio.to_thread(CliRunner().invoke, db, command)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, done.output

    return run


def password_in(said: str) -> str:
    return said.rsplit(": ", 1)[1].strip()


def enter(mysql: Schema, name: str, password: str) -> pymysql.Connection[pymysql.cursors.Cursor]:
    return pymysql.connect(
        unix_socket=str(mysql.server.database.socket), user=name, password=password
    )


async def test_it_reads_that_table_and_nothing_else(ajrd: Run, reader: str, mysql: Schema) -> None:
    _code, said = await ajrd(reader)
    with enter(mysql, reader, password_in(said)) as connection, connection.cursor() as cursor:
        for table in metadata.tables:
            query = f"SELECT COUNT(*) FROM {mysql.name}.{table}"  # noqa: S608 -- our own names
            if table == "job_efficiency_records":
                assert cursor.execute(query) == 1
            else:
                with pytest.raises(pymysql.err.OperationalError, match="denied"):
                    cursor.execute(query)
        connection.select_db(mysql.name)
        for forbidden in (
            "DELETE FROM job_efficiency_records",
            "UPDATE job_efficiency_records SET cause = ''",
            "DROP TABLE job_efficiency_records",
            "CREATE TABLE mine (a INT)",
            "SELECT User FROM mysql.user",
            "CREATE DATABASE mine",
            "SELECT LOAD_FILE('/etc/passwd') INTO OUTFILE 'stolen'",
        ):
            with pytest.raises(pymysql.err.OperationalError, match="denied"):
                cursor.execute(forbidden)
        cursor.execute("SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s",
                       (mysql.name,))  # fmt: skip
        assert cursor.fetchall() == (("job_efficiency_records",),)


async def test_it_may_be_repeated_and_the_password_stays(
    ajrd: Run, reader: str, mysql: Schema
) -> None:
    password = password_in((await ajrd(reader))[1])
    code, said = await ajrd(reader)
    assert (code, said) == (0, f"{reader}@localhost may read job_efficiency_records\n")
    enter(mysql, reader, password).close()


async def test_the_password_goes_into_a_file_of_its_own(
    ajrd: Run, reader: str, mysql: Schema, tmp_path: Path
) -> None:
    file = tmp_path / "reader-password"
    code, said = await ajrd(reader, "--password-file", str(file))
    assert (code, "password" in said) == (0, False)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    enter(mysql, reader, file.read_text().strip()).close()


async def test_a_file_that_is_there_is_not_written_and_nobody_is_made(
    ajrd: Run, reader: str, mysql: Schema, tmp_path: Path
) -> None:
    file = tmp_path / "thesis.tex"
    file.write_text("ten years of work")
    with pytest.raises(ConfigError, match=r"cannot make .*: File exists"):
        await ajrd(reader, "--password-file", str(file))
    assert file.read_text() == "ten years of work"
    assert reader not in mysql.query("SELECT User FROM mysql.user")


async def test_a_user_that_may_do_more_is_left_alone(ajrd: Run, reader: str, mysql: Schema) -> None:
    mysql.query(
        f"CREATE USER {reader}@localhost; GRANT SELECT ON {mysql.name}.* TO {reader}@localhost"
    )
    with pytest.raises(ConfigError, match="may do more than read"):
        await ajrd(reader)
    with pytest.raises(ConfigError, match="may do more than read"):
        await ajrd("root")


@pytest.mark.parametrize("words", [("a'b",), ("a b",), ("ok", "--host", "x';")])
async def test_what_cannot_be_a_user_is_refused(ajrd: Run, words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError):
        await ajrd(*words)


async def test_an_administrator_is_named_in_an_option_file(
    ajrd: Run, reader: str, mysql: Schema, tmp_path: Path
) -> None:
    file = tmp_path / "my.cnf"
    socket = mysql.server.database.socket
    file.write_text(f"[client]\nuser = {getpass.getuser()}\nsocket = '{socket}'\n")
    file.chmod(0o600)
    code, said = await ajrd(reader, "--admin-defaults-file", str(file), socket=False)
    assert (code, "password" in said) == (0, True)
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="everybody may read"):
        await ajrd(reader, "--admin-defaults-file", str(file), socket=False)


async def test_the_service_itself_may_make_nobody(ajrd: Run, reader: str, mysql: Schema) -> None:
    its_own = ("--admin-user", mysql.name, "--admin-password-file", str(mysql.password_file))
    with pytest.raises(StoreUnavailable, match=r"a right is missing: .*denied"):
        await ajrd(reader, *its_own, socket=False)


async def test_an_administrator_who_may_not_make_users_leaves_no_password(
    ajrd: Run, reader: str, mysql: Schema, tmp_path: Path
) -> None:
    mysql.query(f"GRANT SELECT ON mysql.user TO {mysql.name}")
    file = tmp_path / "reader-password"
    its_own = ("--admin-user", mysql.name, "--admin-password-file", str(mysql.password_file))
    with pytest.raises(StoreUnavailable, match="a right is missing"):
        await ajrd(reader, "--password-file", str(file), *its_own, socket=False)
    assert not file.exists()


async def test_a_sqlite_file_has_no_users(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"database": {"url": f"sqlite:///{tmp_path}/a.sqlite"}}))
    done = CliRunner().invoke(db, ["grant-reader", "grafana", "--config", str(config)])
    assert isinstance(done.exception, ConfigError)
