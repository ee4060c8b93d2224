"""Where a store is and how to get in: the words of the configuration, understood and checked.

Imports nothing heavy: the reading commands need it and must start at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from ajrd.errors import ConfigError
from ajrd.secret import read_secret

if TYPE_CHECKING:
    import ssl

#: The password's name among the credentials that systemd hands to the service.
CREDENTIAL = "ajrd-db-password"
#: Names of this host, as a server may be called that runs here.
HERE = frozenset({"localhost", "127.0.0.1", "::1"})
#: Seconds for connecting and for one transaction.
TIMEOUT = 5.0
_FORMS = "sqlite:///PATH or mysql://USER@HOST[:PORT]/NAME[?unix_socket=PATH]"


@dataclass(frozen=True)
class Tls:
    """Files in PEM form. With ``ca`` the server's certificate and host name are verified."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        if (self.cert or self.key) and not self.ca:
            raise ConfigError("tls needs `ca`: without it nobody verifies whom ajrd talks to")
        if self.key and not self.cert:
            raise ConfigError("tls needs `cert` beside `key`")

    def context(self) -> ssl.SSLContext | None:
        """What a driver takes; None without TLS; raises ConfigError for files it cannot use."""
        if not self.ca:
            return None
        import ssl

        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.cert:
                context.load_cert_chain(self.cert, self.key)
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot use the files of database.tls: {error}") from None
        return context


@dataclass(frozen=True)
class Server:
    """A MySQL or MariaDB server and a database in it."""

    user: str
    host: str
    port: int
    name: str
    unix_socket: str | None = None


@dataclass(frozen=True)
class Address:
    """One store; raises ConfigError for a URL it does not understand.

    ``place`` is the SQLite file or the server; ``timeout`` (s) limits connecting and each
    transaction.
    """

    url: str
    password_file: str | None = None
    tls: Tls = Tls()
    timeout: float = TIMEOUT
    place: Path | Server = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", parse_url(self.url))

    @classmethod
    def of(cls, where: str | Address) -> Address:
        """An address as it is, or one without secrets from its URL."""
        return cls(where) if isinstance(where, str) else where

    def password(self, environ: Mapping[str, str] = os.environ) -> str:
        """The password, "" if there is none; raises ConfigError for a file it must not use.

        Its bytes are kept one by one: the drivers encode it as Latin-1, whatever it is.
        """
        secret = read_secret(self.password_file, CREDENTIAL, "the database", environ)
        return secret.decode("latin-1")


def parse_url(url: str) -> Path | Server:
    """The place that a URL names; a driver (``mysql+aiomysql:``) is allowed and ignored."""
    scheme = url.partition(":")[0].partition("+")[0]
    rest = url.partition(":")[2]
    if scheme == "sqlite" and rest.startswith("///") and len(rest) > len("///"):
        return Path(rest.removeprefix("///"))
    if scheme in ("mysql", "mariadb"):
        return _server(url)
    raise ConfigError(f"is not {_FORMS}")


def _server(url: str) -> Server:
    try:
        parts = urlsplit(url)
        port = parts.port or 3306
        options = parse_qs(parts.query, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise ConfigError(f"is not {_FORMS}: {error}") from None
    if parts.password is not None:
        raise ConfigError(
            "must not hold a password: put it into a file and name that in `password_file`, or"
            f" give it to the service as the systemd credential {CREDENTIAL}"
        )
    if set(options) - {"unix_socket"}:
        raise ConfigError(f"has unknown options: {', '.join(sorted(options))}")
    name = unquote(parts.path.removeprefix("/"))
    if not (parts.username and name and "/" not in name):
        raise ConfigError(f"is not {_FORMS}")
    return Server(
        user=unquote(parts.username),
        host=parts.hostname or "localhost",
        port=port,
        name=name,
        unix_socket=options.get("unix_socket", [None])[0],
    )
