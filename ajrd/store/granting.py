"""A MySQL user that may read ``job_efficiency_records`` and nothing else, for reports.

Done with an administrator's rights, which the service itself does not have. Whoever has a name that
may do more is never touched.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from ajrd.errors import ConfigError, StoreUnavailable
from ajrd.store.address import Address
from ajrd.store.administration import Admin, Session, entered, quoted, server_of
from ajrd.store.founding import Account, create_account, is_there, new_password

TABLE = "job_efficiency_records"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_HOST = re.compile(r"[A-Za-z0-9_.:%/-]{1,255}")


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

    @property
    def account(self) -> Account:
        """As the server knows it."""
        return Account(self.name, self.host)


def grant_reader(address: Address, admin: Admin, reader: Reader, file: Path | None) -> str | None:
    """Makes the user if it is not there, and gives it its one right.

    Returns the password of a new user if there is no ``file`` (0600, made here) to keep it in; None
    otherwise. A user that is there keeps its password. Raises ConfigError, StoreUnavailable.
    """
    password = new_password()
    with entered(address, admin) as db:
        new = not is_there(db, reader.account)
        if new and file is not None:
            _keep(file, password)
        try:
            allow_reader(db, server_of(address).name, reader, password)
        except StoreUnavailable:
            if new and file is not None:
                file.unlink()
            raise
    return password if new and file is None else None


def allow_reader(db: Session, database: str, reader: Reader, password: str) -> None:
    """The same in a session; the password is that of a user who is not there yet."""
    if is_there(db, reader.account):
        _refuse_other_rights(db, database, reader)
    else:
        create_account(db, reader.account, password, tls=False)
    table = f"{quoted(database)}.{quoted(TABLE)}".replace("%", "%%")
    db.rows(f"GRANT SELECT ON {table} TO %s@%s", reader.name, reader.host)


def _refuse_other_rights(db: Session, database: str, reader: Reader) -> None:
    ours = f"GRANT SELECT ON {quoted(database)}.{quoted(TABLE)} TO "
    for (grant,) in db.rows("SHOW GRANTS FOR %s@%s", reader.name, reader.host):
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
