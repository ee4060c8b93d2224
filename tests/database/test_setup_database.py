"""A head node with its history on a real server: set up, repeated, joined by a twin, taken off."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ajrd.cli.main import cli
from ajrd.errors import SetupError, StoreUnavailable
from ajrd.setup import wanted
from ajrd.setup.answers import Answers
from ajrd.setup.book import Book, DatabaseUser
from ajrd.setup.job import Secrets
from ajrd.setup.making import Work
from ajrd.setup.remove import removal, remove, require_admin
from ajrd.setup.run import preview
from ajrd.setup.steps import database as steps
from ajrd.store.administration import Admin, Lost, as_service
from ajrd.store.founding import create_account
from tests.database.server import Schema, Server
from tests.database.test_founding import everything as everything_on
from tests.unit.setup_world import HeadNode


@pytest.fixture
def server(mariadb: Server) -> Iterator[Server]:
    """The server, which has afterwards what it had before: databases, users, rights."""
    if not mariadb.daemon.alive:
        mariadb.start()
    before = everything_on(mariadb)
    yield mariadb
    assert everything_on(mariadb) == before


@pytest.fixture
def boss(server: Server) -> Iterator[tuple[str, str]]:
    """An administrator who comes as the service will, name and password."""
    name, password = f"b{secrets.token_hex(6)}", secrets.token_hex(8)
    server.query(
        f"CREATE USER {name}@127.0.0.1 IDENTIFIED BY '{password}';"
        f" GRANT ALL ON *.* TO {name}@127.0.0.1 WITH GRANT OPTION"
    )
    yield name, password
    server.query(f"DROP USER {name}@127.0.0.1")


@pytest.fixture
def node(tmp_path: Path, quick_disk: None) -> HeadNode:
    return HeadNode.make(tmp_path / "head1", systemd=False)


@pytest.fixture
def answers(server: Server, boss: tuple[str, str]) -> Answers:
    database = {
        "kind": "mysql", "host": "127.0.0.1", "port": server.port, "admin_user": boss[0],
        "name": f"ajrd_{secrets.token_hex(4)}", "user": f"u{secrets.token_hex(6)}",
        "reader": f"r{secrets.token_hex(6)}", "ca": str(server.certificate),
    }  # fmt: skip
    return Answers.model_validate({"database": database})


def admin(boss: tuple[str, str]) -> Admin:
    return Admin(user=boss[0], password=boss[1])


def take_off(node: HeadNode, boss: tuple[str, str]) -> None:
    plan = removal(node.host, purge=True)
    require_admin(plan, admin(boss))
    remove(node.host, plan, admin(boss), lambda _said: None)


def with_database(answers: Answers, **more: object) -> Answers:
    return answers.model_copy(update={"database": answers.database.model_copy(update=more)})


def test_database_and_users_are_made_once_and_dropped_with_the_rest(
    node: HeadNode, answers: Answers, boss: tuple[str, str], server: Server
) -> None:
    before = node.tree()
    said = node.set_up(answers, Secrets(admin=boss[1]))
    assert f"create database {answers.database.name}" in said
    without = with_database(answers, admin_user="nobody")
    assert preview(node.job(without)) == [], "nothing is missing, and no administrator is asked"
    address = wanted.address(
        answers.database, node.job(answers).facts, str(node.host.path(wanted.DB_PASSWORD))
    )
    with as_service(address) as db:
        tables = {row[0] for row in db.rows(f"SHOW TABLES IN `{answers.database.name}`")}
    assert {"jobs", "leases", "job_efficiency_records"} <= tables
    kept = node.read(wanted.ANSWERS) + node.read(wanted.CONFIG)
    assert boss[0] not in kept
    assert boss[1] not in kept
    take_off(node, boss)
    assert node.tree() == before


@pytest.fixture
def uninstall(node: HeadNode, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command, before which somebody sits."""
    monkeypatch.setattr("ajrd.cli.uninstall.Host", lambda: node.host)
    monkeypatch.setattr("ajrd.cli.uninstall._somebody_is_there", lambda: True)
    monkeypatch.setattr("ajrd.cli.uninstall._is_root", lambda: True)

    def run(*argv: str, says: str = "") -> Result:
        return CliRunner().invoke(cli, ["uninstall", *argv], input=says)

    return run


def test_without_an_administrator_of_the_database_nothing_goes_and_one_is_asked_for(
    node: HeadNode, answers: Answers, boss: tuple[str, str], uninstall: Callable[..., Result]
) -> None:
    first = node.tree()
    node.set_up(answers, Secrets(admin=boss[1]))
    whole = node.tree()
    failed = uninstall("--purge", "--yes", "--admin-user", "nobody").exception
    assert "Nothing is removed yet: give --admin-user and --admin-password-file" in str(failed)
    said = uninstall("--purge", says=f"{boss[0]}\nwrong\n{boss[0]}\n{boss[1]}\nn\n").output
    assert "in: wrong name or password" in said
    assert boss[1] not in said
    assert node.tree() == whole
    uninstall("--purge", says=f"{boss[0]}\n{boss[1]}\ny\n")
    assert node.tree() == first


def test_the_second_head_node_takes_the_password_of_the_first(
    node: HeadNode, answers: Answers, boss: tuple[str, str], tmp_path: Path
) -> None:
    pair = answers.model_copy(update={"host": answers.host.model_copy(update={"pair": True})})
    node.set_up(pair, Secrets(admin=boss[1]))
    second = HeadNode.make(tmp_path / "head2", systemd=False)
    first = second.tree()
    with pytest.raises(SetupError, match=r"is there, and its password is not known: give"):
        second.set_up(pair, Secrets(admin=boss[1]))
    password = node.read(wanted.DB_PASSWORD).strip()
    second.set_up(with_database(pair, admin_user=None), Secrets(database=password))
    second.take_off()
    assert second.tree() == first
    assert preview(node.job(pair)) == [], "the first one still has its database"
    take_off(node, boss)


def test_a_database_of_somebody_else_is_not_touched(
    node: HeadNode, answers: Answers, boss: tuple[str, str], mysql: Schema
) -> None:
    mysql.query("CREATE TABLE payroll (a INT)")
    theirs = with_database(answers, name=mysql.name)
    with pytest.raises(SetupError, match=r"holds tables that are not ajrd's \(payroll\)"):
        node.set_up(theirs, Secrets(admin=boss[1]))
    assert mysql.query("SHOW TABLES") == "payroll\n"
    take_off(node, boss)


def test_a_step_that_fails_leaves_nothing_on_the_server(
    node: HeadNode, answers: Answers, boss: tuple[str, str], server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def refused(*_: object) -> None:
        raise StoreUnavailable("the server has gone away")

    before = everything_on(server)
    monkeypatch.setattr("ajrd.setup.steps.database.grant_service", refused)
    with pytest.raises(SetupError, match="step database: the server has gone away"):
        node.set_up(answers, Secrets(admin=boss[1]))
    assert everything_on(server) == before
    take_off(node, boss)


def test_what_may_have_been_made_when_the_connection_broke_is_dropped(
    node: HeadNode, answers: Answers, boss: tuple[str, str], server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def breaks(*given: Any, **more: Any) -> None:
        create_account(*given, **more)
        raise Lost("the connection broke")

    before = everything_on(server)
    monkeypatch.setattr("ajrd.setup.steps.database.create_account", breaks)
    with pytest.raises(SetupError, match="the connection broke"):
        node.set_up(answers, Secrets(admin=boss[1]))
    assert everything_on(server) == before
    take_off(node, boss)


def test_a_purge_may_leave_a_server_alone_that_lets_nobody_in(
    node: HeadNode, answers: Answers, boss: tuple[str, str], server: Server
) -> None:
    first = node.tree()
    node.set_up(answers, Secrets(admin=boss[1]))
    plan = removal(node.host, purge=True, keep_database=True)
    assert not plan.needs_admin()
    remove(node.host, plan, Admin(), lambda _said: None)
    assert node.tree() == first
    database, user = answers.database.name, answers.database.user
    server.query(
        f"DROP DATABASE {database}; DROP USER {user}@127.0.0.1, {answers.database.reader}@localhost"
    )


_SELDOM = pytest.mark.full


@pytest.mark.parametrize(
    ("done", "late"),
    [
        pytest.param("create_database", False, marks=_SELDOM),
        pytest.param("create_database", True, marks=_SELDOM),
        pytest.param("create_account", False, marks=_SELDOM),
        pytest.param("create_account", True),
        pytest.param("grant_service", True, marks=_SELDOM),
        pytest.param("allow_reader", False, marks=_SELDOM),
        pytest.param("allow_reader", True, marks=_SELDOM),
    ],
)
def test_a_run_that_dies_there_is_completed_by_the_next_one(
    node: HeadNode, answers: Answers, boss: tuple[str, str], monkeypatch: pytest.MonkeyPatch,
    done: str, late: bool,
) -> None:  # fmt: skip
    """What dies takes nothing back: its roll-back does not come to pass."""
    real = getattr(steps, done)

    def dies(*given: object, **more: object) -> None:
        if late:
            real(*given, **more)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Work, "roll_back", lambda _self: [])
        patch.setattr(f"ajrd.setup.steps.database.{done}", dies)
        with pytest.raises(KeyboardInterrupt):
            node.set_up(answers, Secrets(admin=boss[1]))
    node.set_up(answers, Secrets(admin=boss[1]))
    assert preview(node.job(with_database(answers, admin_user="nobody"))) == []
    take_off(node, boss)


def test_a_history_that_was_left_for_a_file_is_found_again(
    node: HeadNode, answers: Answers, boss: tuple[str, str]
) -> None:
    """Its password is known nowhere else; a new one would not open it."""
    node.set_up(answers, Secrets(admin=boss[1]))
    password = node.read(wanted.DB_PASSWORD)
    node.set_up(Answers())
    assert node.read(wanted.DB_PASSWORD) == password
    without = with_database(answers, admin_user="nobody")
    node.set_up(without)
    assert preview(node.job(without)) == []
    take_off(node, boss)


@pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
def test_ctrl_c_while_a_user_is_made_leaves_none(
    node: HeadNode, answers: Answers, boss: tuple[str, str], server: Server,
    monkeypatch: pytest.MonkeyPatch, late: bool,
) -> None:  # fmt: skip
    def interrupted(*given: Any, **more: Any) -> None:
        if late:
            create_account(*given, **more)
        raise KeyboardInterrupt

    before = everything_on(server)
    monkeypatch.setattr("ajrd.setup.steps.database.create_account", interrupted)
    with pytest.raises(KeyboardInterrupt):
        node.set_up(answers, Secrets(admin=boss[1]))
    assert everything_on(server) == before
    monkeypatch.undo()
    node.set_up(answers, Secrets(admin=boss[1]))
    take_off(node, boss)


def test_a_purge_drops_no_table_that_somebody_has_put_beside_ajrds(
    node: HeadNode, answers: Answers, boss: tuple[str, str], server: Server
) -> None:
    node.set_up(answers, Secrets(admin=boss[1]))
    name = answers.database.name
    server.query(f"CREATE TABLE {name}.payroll (a INT)")
    before = node.tree()
    with pytest.raises(SetupError, match=r"not ajrd's \(payroll\): .*--keep-database"):
        take_off(node, boss)
    assert node.tree() == before
    server.query(f"DROP TABLE {name}.payroll")
    take_off(node, boss)


def test_every_server_is_asked_before_anything_is_gone(
    node: HeadNode, answers: Answers, boss: tuple[str, str]
) -> None:
    node.set_up(answers, Secrets(admin=boss[1]))
    elsewhere = DatabaseUser("mysql://ajrd@127.0.0.1:1/ajrd", None, "ajrd", "head1")
    Book.read(node.host).add(elsewhere)
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:1: nothing listens there"):
        take_off(node, boss)
    Book.read(node.host).drop(elsewhere)
    take_off(node, boss)
