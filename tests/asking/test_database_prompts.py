"""Each answer about the database given wrongly once, against a real server.

A sentence names the cause, the group is asked again, and nothing is made.
"""

from __future__ import annotations

import asyncio
import socket as sockets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import pytest

from ajrd.logs.mounts import Mounts
from ajrd.setup import try_database, wanted
from ajrd.setup.book import Book, DatabaseUser
from ajrd.setup.console import Tone
from ajrd.setup.host import Host
from ajrd.setup.questions import Group
from ajrd.setup.trial import Tried, Wrong
from ajrd.setup.trying import tried
from ajrd.setup.wizard import ask_group
from labcluster.ports import free_block
from tests.asking.conftest import MakeJob
from tests.asking.scripted import END, Scripted
from tests.database.server import Schema, Server, a_certificate
from tests.loki.double import Double

HOST, PORT, READER = "Host of the server", "Its port", "User for Grafana"
CA, NAME, USER = "File with the certificates", "Name of the database", "User of the service"
FILE, ADMIN, PASSWORD = "File with its password", "Administrator", "Password of the administrator"
BOSS = "right-\u00e4-horse"
EVERYTHING = (
    "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA; SELECT User, Host FROM mysql.user"
)


@pytest.fixture(scope="module")
def boss(mariadb: Server) -> Iterator[Server]:
    """A server with an administrator ``boss``."""
    if not mariadb.daemon.alive:
        mariadb.start()
    mariadb.query(
        f"CREATE USER boss IDENTIFIED BY '{BOSS}'; GRANT ALL ON *.* TO boss WITH GRANT OPTION"
    )
    yield mariadb
    mariadb.query("DROP USER boss")


@pytest.fixture
def server(boss: Server) -> Iterator[Server]:
    """The same, on which nobody makes anything."""
    before = boss.query(EVERYTHING)
    yield boss
    assert boss.query(EVERYTHING) == before, "something was made that nobody has agreed to"


def script(server: Server, **wrong: str) -> dict[str, list[str]]:
    """Right answers to everything, and before them the wrong ones."""
    right = {HOST: "127.0.0.1", PORT: str(server.port), ADMIN: "boss", PASSWORD: BOSS}
    before = {HOST: wrong.get("host"), PORT: wrong.get("port"), PASSWORD: wrong.get("typed")}
    answers = {words: [right[words], right[words]] for words in right}
    for words, answer in before.items():
        if answer is not None:
            answers[words][0] = answer
    return {"Kind": ["mysql"], **answers}


def test_right_answers_are_asked_for_once(server: Server, job: MakeJob) -> None:
    console = Scripted(script(server))
    found = ask_group(console, Group.DATABASE, job())
    assert console.said(Tone.FAULT) == []
    (well,) = console.said(Tone.GOOD)
    assert well.startswith("MariaDB 1")
    assert well.endswith(f" at 127.0.0.1:{server.port}; database ajrd will be made")
    assert (found.answers.database.admin_user, found.secrets.admin) == ("boss", BOSS)
    assert found.answers.database.admin_password_file is None


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"host": "nowhere.invalid"}, "database.host: cannot reach the server at nowhere.invalid:"),
        ({"port": "1"}, "database.host: cannot reach the server at 127.0.0.1:1: nothing listens"),
        ({"typed": "wrong"}, "database.admin_password_file: the server at 127.0.0.1:"),
    ],
    ids=["host", "port", "password"],
)
def test_a_wrong_answer_is_named_and_asked_for_again(
    server: Server, job: MakeJob, wrong: dict[str, str], fault: str
) -> None:
    console = Scripted(script(server, **wrong))
    found = ask_group(console, Group.DATABASE, job())
    assert console.fault.startswith(fault)
    assert len(console.fault.splitlines()) == 1
    assert found.answers.database.port == server.port
    assert found.secrets.admin == BOSS


def test_what_was_right_is_the_default_when_a_group_is_asked_again(
    server: Server, job: MakeJob
) -> None:
    answers = script(server, host="nowhere.invalid")
    answers[HOST], answers[PORT], answers[PASSWORD] = answers[HOST], [str(server.port)], [BOSS]
    console = Scripted(answers)
    ask_group(console, Group.DATABASE, job())
    assert [each for each in console.asked if each.startswith(PORT)][1].endswith(f"[{server.port}]")
    assert console.hidden == [f"{PASSWORD} [none]", f"{PASSWORD} [as before]"]
    assert BOSS not in console.shown


def test_by_a_socket_of_this_host_nobody_needs_a_password(server: Server, job: MakeJob) -> None:
    socket = str(server.database.socket)
    console = Scripted({"Kind": ["mysql"]})
    found = ask_group(console, Group.DATABASE, job(socket=socket, database={"socket": socket}))
    assert console.said(Tone.FAULT) == console.hidden == []
    assert found.answers.database.admin_user is None
    assert f"Its socket [{socket}]" in console.asked


def test_a_socket_that_is_not_there(server: Server, job: MakeJob) -> None:
    right = str(server.database.socket)
    console = Scripted({"Kind": ["mysql"], "Its socket": ["/none.sock", right]})
    ask_group(console, Group.DATABASE, job(socket=right))
    assert console.fault.endswith("there is no socket /none.sock")
    assert console.fault.startswith("database.socket: ")


def test_a_wrong_password_is_not_offered_again(server: Server, job: MakeJob) -> None:
    console = Scripted(script(server, typed="wrong"))
    ask_group(console, Group.DATABASE, job())
    assert console.hidden == [f"{PASSWORD} [none]"] * 2
    assert "wrong name or password" in console.fault
    assert "using password" not in console.shown


def test_a_server_that_says_nothing_is_not_waited_for(
    server: Server, job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(try_database, "REQUEST", 0.5)
    with sockets.create_server(("127.0.0.1", free_block(1))) as silent:
        port = str(silent.getsockname()[1])
        console = Scripted(script(server, port=port))
        ask_group(console, Group.DATABASE, job())
    assert f"127.0.0.1:{port}" in console.fault


def test_something_that_is_no_database_server(
    server: Server, job: MakeJob, double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(try_database, "REQUEST", 0.5)
    console = Scripted(script(server, port=str(double.port)))
    ask_group(console, Group.DATABASE, job())
    assert console.fault.startswith("database.host:")


def test_an_administrator_without_rights(server: Server, job: MakeJob, mysql: Schema) -> None:
    password = mysql.password_file.read_text().strip()
    answers = script(server)
    answers[ADMIN], answers[PASSWORD] = [mysql.name, "boss"], [password, BOSS]
    console = Scripted(answers)
    ask_group(console, Group.DATABASE, job())
    assert console.fault.startswith("database.admin_user: this administrator lacks rights: ")
    assert "CREATE USER" in console.fault


def test_a_certificate_that_nobody_vouches_for(
    server: Server, job: MakeJob, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = a_certificate(tmp_path / "other")
    right = server.certificate.with_name("certificate.pem")
    console = Scripted({**script(server), CA: [str(other), str(right)]})
    found = ask_group(console, Group.DATABASE, job())
    assert console.fault.startswith("database.ca: cannot reach the server at")
    assert "certificate is not trusted" in console.fault
    assert found.answers.database.ca == str(right)
    assert "by TLS" in console.said(Tone.GOOD)[0]


@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "rubbish"])
def test_a_file_of_certificates_that_is_none(
    server: Server, job: MakeJob, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    console = Scripted({**script(server), CA: [str(file), "none"]})
    ask_group(console, Group.DATABASE, job())
    assert console.fault == f"database.ca: {file} cannot be read, or holds no certificate (PEM)"


def test_a_database_of_somebody_else(server: Server, job: MakeJob, mysql: Schema) -> None:
    mysql.query("CREATE TABLE orders (id INT)")
    console = Scripted({**script(server), NAME: [mysql.name, "ajrd"]})
    ask_group(console, Group.DATABASE, job())
    assert console.fault.startswith(f"database.name: database {mysql.name} holds tables that are")
    assert "orders" in console.fault


def test_a_user_that_exists_and_whose_password_nobody_named(
    server: Server, job: MakeJob, mysql: Schema
) -> None:
    answers = {**script(server), USER: [mysql.name], NAME: [mysql.name]}
    answers[FILE] = ["none", str(mysql.password_file)]
    console = Scripted(answers)
    ask_group(console, Group.DATABASE, job())
    assert console.fault.startswith(
        f"database.password_file: there is a user {mysql.name} already (from %)"
    )


def test_what_an_administrator_of_databases_has_made_needs_none(
    server: Server, job: MakeJob, mysql: Schema
) -> None:
    console = Scripted({
        "Kind": ["mysql"], HOST: ["127.0.0.1"], PORT: [str(server.port)], NAME: [mysql.name],
        USER: [mysql.name], FILE: [str(mysql.password_file)],
    })  # fmt: skip
    found = ask_group(console, Group.DATABASE, job())
    assert console.said(Tone.FAULT) == []
    assert not any(each.startswith(ADMIN) for each in console.asked)
    assert found.secrets.database == mysql.password_file.read_text().strip()


def test_a_user_that_exists_without_a_database(server: Server, job: MakeJob, mysql: Schema) -> None:
    answers = {**script(server), USER: [mysql.name], NAME: ["other", mysql.name]}
    answers[FILE] = [str(mysql.password_file)]
    console = Scripted(answers)
    ask_group(console, Group.DATABASE, job())
    assert console.fault.startswith(f"database.name: {mysql.name} gets in, and sees no database")


def test_what_an_earlier_run_has_made_needs_no_administrator(
    server: Server, job: MakeJob, mysql: Schema, tmp_path: Path
) -> None:
    name = mysql.name
    before = {
        "kind": "mysql", "host": "127.0.0.1", "port": server.port, "name": name, "user": name,
        "password_file": str(mysql.password_file), "reader": "grafana",
    }  # fmt: skip
    made = job(database=before)
    (tmp_path / "set-up/etc").mkdir(parents=True)
    host, url = Host(tmp_path / "set-up"), wanted.database_url(made.answers.database, made.facts)
    for user, place in ((name, "%"), ("grafana", "localhost")):
        Book.read(host).add(DatabaseUser(url, None, user, place, complete=True))
    users = frozenset({(name, "%"), ("grafana", "localhost")})
    made = replace(made, host=host, facts=replace(made.facts, made=users))
    console = Scripted()
    ask_group(console, Group.DATABASE, made)
    assert console.said(Tone.FAULT) == []
    assert not any(each.startswith(ADMIN) for each in console.asked)


def test_a_reader_whose_name_is_taken(server: Server, job: MakeJob) -> None:
    answers = {**script(server), READER: ["boss", "a b", "grafana"], "Host from": ["%", "%", "%"]}
    console = Scripted(answers)
    ask_group(console, Group.DATABASE, job())
    assert console.said(Tone.FAULT) == [
        "database.reader: there is a user boss@% already: give another name",
        "database.reader: 'a b' cannot be the name of a reader: letters, digits, _.-",
    ]


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        ("wrong\n", 0o600, "does not let"),
        ("\n", 0o600, "is empty"),
        ("secret\n", 0o644, "everybody may read"),
        (None, 0, "cannot read"),
    ],
    ids=["wrong", "empty", "open", "missing"],
)
def test_a_password_file_that_cannot_be_used(
    server: Server, job: MakeJob, mysql: Schema, root: Path, content: str | None, mode: int,
    words: str,
) -> None:  # fmt: skip
    bad = mysql.password_file.with_name("bad")
    if content is not None:
        bad.write_text(content)
        bad.chmod(mode)
    console = Scripted({
        "Kind": ["mysql"], HOST: ["127.0.0.1"], PORT: [str(server.port)], NAME: [mysql.name],
        USER: [mysql.name], FILE: [str(bad), str(mysql.password_file)], ADMIN: ["boss"],
        PASSWORD: [BOSS],
    })  # fmt: skip
    ask_group(console, Group.DATABASE, job())
    assert console.fault.startswith("database.password_file:")
    assert words in console.fault


def test_a_pair_needs_a_server_that_both_reach(server: Server, job: MakeJob) -> None:
    console = Scripted({**script(server, host="localhost"), "Does a second": ["y", "n"]})
    ask_group(console, Group.DATABASE, job())
    assert console.fault == ("database.host: on the other head node localhost is another host")


def test_a_pair_needs_more_than_a_socket(server: Server, job: MakeJob) -> None:
    pair = {"kind": "mysql", "host": "db", "socket": "/run/mysqld/mysqld.sock"}
    with pytest.raises(Wrong, match="the other head node cannot reach a socket of this") as wrong:
        asyncio.run(tried(Group.DATABASE, job(host={"pair": True}, database=pair)))
    assert wrong.value.key == "database.socket"


def test_a_number_that_another_user_has(server: Server, job: MakeJob) -> None:
    answers = {**script(server), "Number of the user": ["1", "none"]}
    console = Scripted(answers)
    ask_group(console, Group.DATABASE, job(host={"uid": 1}))
    assert console.fault == "host.uid: the user daemon has the number 1 on this host"


def test_sqlite_wants_a_local_disk(job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    table = "1 1 0:1 / / rw - nfs4 server:/root rw\n"
    monkeypatch.setattr(try_database, "Mounts", lambda: Mounts(lambda: table))
    console = Scripted({"Kind": ["sqlite", "mysql"], HOST: [END]})
    with pytest.raises(click.Abort):
        ask_group(console, Group.DATABASE, job())
    assert console.fault.startswith("database.kind: ")
    assert "lies on nfs4: SQLite needs a local disk" in console.fault


@pytest.mark.parametrize(
    ("more", "left"),
    [
        ({"kind": "sqlite"}, ["ajrd@%", "grafana@localhost"]),
        ({"kind": "mysql", "reader": "grafana"}, []),
        ({"kind": "mysql", "reader": "reports"}, ["grafana@localhost"]),
        ({"kind": "mysql", "reader": "grafana", "clients": ["head1"]}, ["ajrd@%"]),
    ],
    ids=["file", "same", "reader", "host"],
)
def test_users_that_are_not_wanted_any_more_are_told(
    job: MakeJob, monkeypatch: pytest.MonkeyPatch, more: dict[str, object], left: list[str]
) -> None:
    async def well(_job: object) -> Tried:
        return Tried()

    monkeypatch.setattr(try_database, "_server", well)
    monkeypatch.setattr(try_database, "_sqlite", lambda _job: Tried())
    made = job(database=more)
    users = frozenset({("ajrd", "%"), ("grafana", "localhost")})
    made = replace(made, facts=replace(made.facts, made=users))
    _, seen = asyncio.run(tried(Group.DATABASE, made))
    assert [said.partition(", made by")[0] for said in seen.doubts] == (
        [", ".join(left)] if left else []
    )
