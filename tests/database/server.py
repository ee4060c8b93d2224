"""A private MariaDB for tests: one server a test worker, a database and its user for each test."""

from __future__ import annotations

import getpass
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest

from ajrd.store.address import Address
from labcluster.database import Database
from labcluster.ports import free_block
from labcluster.processes import Daemon

#: What the service's user needs; docs/database.md says the same.
RIGHTS = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES"


class Server:
    """A running server; it can be killed and started again on the same port and data."""

    def __init__(self, root: Path) -> None:
        self.database = Database(root, free_block(1))
        self.database.create()
        self.certificate = a_certificate(root)
        self.daemon: Daemon = self.start()

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return self.database.port

    def query(self, sql: str) -> str:
        """Runs SQL as the superuser."""
        return self.database.query(sql)

    def kill(self) -> None:
        """As a crash of the host would, for the server."""
        self.daemon.end(patience=0)

    def start(self, *options: str) -> Daemon:
        """Starts it, also again; it speaks TLS if it is asked to."""
        tls = [f"--ssl-cert={self.certificate}", f"--ssl-key={self.certificate}"]
        self.daemon = self.database.up(*tls, *options)
        return self.daemon


def a_certificate(folder: Path) -> Path:
    """A key and the certificate of 127.0.0.1 in one file, its own authority."""
    file = folder / "server.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    argv += ["-nodes", "-subj", "/CN=ajrd test", "-addext", "subjectAltName=IP:127.0.0.1"]
    argv += ["-days", "30", "-keyout", str(file), "-out", str(folder / "certificate.pem")]
    subprocess.run(argv, check=True, capture_output=True, timeout=60)
    with file.open("a") as both:
        both.write((folder / "certificate.pem").read_text())
    return file


@dataclass(frozen=True)
class Schema:
    """An empty database with a user of its own; ``password_file`` holds that user's password."""

    server: Server
    name: str
    password_file: Path

    def url(self, port: int | None = None) -> str:
        """As the configuration names it; ``port`` is that of a proxy."""
        return f"mysql://{self.name}@127.0.0.1:{port or self.server.port}/{self.name}"

    def address(self, port: int | None = None, timeout: float = 5.0) -> Address:
        """As the store takes it."""
        return Address(self.url(port), str(self.password_file), timeout=timeout)

    def section(self, port: int | None = None, timeout: float = 5.0) -> dict[str, Any]:
        """The section ``database`` of a configuration."""
        secret = str(self.password_file)
        return {"url": self.url(port), "password_file": secret, "timeout": timeout}

    def query(self, sql: str) -> str:
        """Runs SQL in it as the superuser."""
        return self.server.query(f"USE {self.name}; {sql}")

    @contextmanager
    def locked(self, table: str) -> Iterator[None]:
        """Keeps everybody else from using a table meanwhile."""
        admin = pymysql.connect(
            unix_socket=str(self.server.database.socket), user=getpass.getuser(), database=self.name
        )
        with admin.cursor() as cursor:
            cursor.execute(f"LOCK TABLES {table} WRITE")
        try:
            yield
        finally:
            admin.close()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    """The server of this test worker."""
    with tempfile.TemporaryDirectory(prefix="ajrd-db-") as folder:
        server = Server(Path(folder))
        try:
            yield server
        finally:
            server.daemon.end()


@pytest.fixture
def mysql(mariadb: Server, tmp_path: Path) -> Iterator[Schema]:
    """An empty database on it."""
    if not mariadb.daemon.alive:
        mariadb.start()
    name, password = f"t{secrets.token_hex(6)}", secrets.token_hex(8)
    file = tmp_path / "password"
    file.write_text(f"{password}\n")
    file.chmod(0o600)
    mariadb.query(
        f"CREATE DATABASE {name}; CREATE USER {name} IDENTIFIED BY '{password}';"
        f" GRANT {RIGHTS} ON {name}.* TO {name};"
    )
    yield Schema(mariadb, name, file)
    if not mariadb.daemon.alive:
        mariadb.start()
    mariadb.query(f"DROP DATABASE {name}; DROP USER {name};")
