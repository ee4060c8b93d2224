"""Where the store is: what is understood, how secrets are kept, and whom ajrd talks to."""

from __future__ import annotations

from pathlib import Path

import pytest

from ajrd.cli.storeurl import store_address
from ajrd.config import load, parse
from ajrd.errors import ConfigError, StoreUnavailable
from ajrd.secret import read_secret
from ajrd.store.address import CREDENTIAL, Address, Server, Tls, parse_url
from ajrd.store.read import Reader
from ajrd.store.store import Store
from tests.database.server import Schema, a_certificate


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("sqlite:////var/lib/a.sqlite", Path("/var/lib/a.sqlite")),
        ("sqlite:///a.sqlite", Path("a.sqlite")),
        ("mysql://ajrd@db1/history", Server("ajrd", "db1", 3306, "history")),
        ("mariadb://a%40b@[::1]:3307/h", Server("a@b", "::1", 3307, "h")),
        (
            "mysql://ajrd@localhost/h?unix_socket=/run/mysqld/mysqld.sock",
            Server("ajrd", "localhost", 3306, "h", "/run/mysqld/mysqld.sock"),
        ),
    ],
)
def test_a_url_names_a_place(url: str, place: Path | Server) -> None:
    assert parse_url(url) == place


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nowhere", "sqlite:///PATH or mysql://"),
        ("mysql://ajrd@db1", "sqlite:///PATH or mysql://"),
        ("mysql://db1/history", "sqlite:///PATH or mysql://"),
        ("mysql://ajrd@db1:port/history", "sqlite:///PATH or mysql://"),
        ("mysql://ajrd@db1/history?charset=latin1", "unknown options: charset"),
        ("mysql://ajrd:secret@db1/history", "put it into a file and name that in `password_file`"),
    ],
)
def test_what_is_wrong_with_a_url_is_said_without_its_password(url: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(f"database:\n  url: {url}\n", "c.yaml")
    assert words in str(caught.value)
    assert str(caught.value).startswith("c.yaml:2: database.url: ")
    assert "secret" not in str(caught.value)


def test_a_client_certificate_needs_an_authority() -> None:
    with pytest.raises(ConfigError, match=r"c\.yaml:2: database\.tls: tls needs `ca`"):
        parse("database:\n  tls: {cert: /a.pem}\n", "c.yaml")


def test_the_password_file_goes_before_the_credential(tmp_path: Path) -> None:
    file, credential = tmp_path / "password", tmp_path / CREDENTIAL
    for each, text in ((file, "from the file\n"), (credential, "from systemd")):
        each.write_text(text)
        each.chmod(0o640)
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    url = "mysql://ajrd@db1/history"
    assert Address(url, str(file)).password(environ) == "from the file"
    assert Address(url).password(environ) == "from systemd"
    assert Address(url).password({}) == ""


def test_a_credential_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """As one that systemd keeps from this user; a name that is too long cannot be read by root."""
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    with pytest.raises(ConfigError, match="cannot read the password of the service"):
        read_secret(None, "x" * 300, "the service", environ)
    assert read_secret(None, "none", "the service", environ) == b""


def test_a_password_that_everybody_may_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret")
    file.chmod(0o644)
    with pytest.raises(ConfigError, match=r"everybody may read the password in .*: chmod o="):
        Address("mysql://ajrd@db1/history", str(file)).password()


@pytest.mark.parametrize(
    "section",
    [
        "{url: 'sqlite:////a.sqlite'}",
        "{url: 'mysql://a@b/c', password_file: /p, timeout: 2, tls: {ca: /c}, keep_days: 9}",
        "{password_file: /p}",
        "{url: 'sqlite:////a.sqlite', password_file: null, tls: {}}",
    ],
)
def test_commands_understand_the_section_as_the_service_does(tmp_path: Path, section: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"database: {section}\n")
    assert store_address(file) == load(file).database.address()


def test_commands_tell_a_mistake_in_the_section_as_the_service_does(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("database:\n  url: mysql://a:b@c/d\n")
    with pytest.raises(ConfigError, match="must not hold a password"):
        store_address(file)


async def test_a_password_may_hold_any_character(mysql: Schema) -> None:
    mysql.password_file.write_text("pä'ss\\🚀 %")
    mysql.query(f"SET PASSWORD FOR {mysql.name} = PASSWORD('pä''ss\\\\🚀 %')")
    store = await Store.open(mysql.address())
    await store.close()
    Reader(mysql.address()).close()


async def test_a_wrong_password_is_said(mysql: Schema) -> None:
    mysql.password_file.write_text("wrong")
    with pytest.raises(StoreUnavailable, match="Access denied"):
        await Store.open(mysql.address())
    with pytest.raises(StoreUnavailable, match="Access denied"):
        Reader(mysql.address())


async def test_a_trusted_server_is_spoken_to_in_tls_only(mysql: Schema) -> None:
    mysql.query(f"ALTER USER {mysql.name} REQUIRE SSL")
    trusting = Tls(ca=str(mysql.server.certificate))
    address = Address(mysql.url(), str(mysql.password_file), trusting)
    store = await Store.open(address)
    await store.close()
    Reader(address).close()
    with pytest.raises(StoreUnavailable, match="Access denied"):
        await Store.open(mysql.address())


@pytest.mark.parametrize("wrong", ["authority", "name"])
async def test_a_server_that_is_not_the_trusted_one_is_refused(
    mysql: Schema, tmp_path: Path, wrong: str
) -> None:
    trusted = mysql.server.certificate
    if wrong == "authority":
        trusted = a_certificate(tmp_path)
    host = "localhost" if wrong == "name" else "127.0.0.1"
    url = mysql.url().replace("127.0.0.1", host)
    address = Address(url, str(mysql.password_file), Tls(ca=str(trusted)))
    with pytest.raises(StoreUnavailable, match="certificate verify failed"):
        Reader(address)
    with pytest.raises(StoreUnavailable):
        await Store.open(address)


async def test_a_server_without_tls_is_refused_where_tls_is_asked_for(mysql: Schema) -> None:
    address = Address(mysql.url(), str(mysql.password_file), Tls(ca=str(mysql.server.certificate)))
    mysql.server.kill()
    mysql.server.start("--skip-ssl")
    try:
        with pytest.raises(StoreUnavailable, match="offers no TLS"):
            await Store.open(address)
        with pytest.raises(StoreUnavailable, match="SSL is required"):
            Reader(address)
    finally:
        mysql.server.kill()
        mysql.server.start()


async def test_a_socket_leads_to_the_server(mysql: Schema) -> None:
    url = mysql.url().replace(f"127.0.0.1:{mysql.server.port}", "localhost")
    address = Address(f"{url}?unix_socket={mysql.server.database.socket}", str(mysql.password_file))
    store = await Store.open(address)
    await store.close()
    Reader(address).close()
