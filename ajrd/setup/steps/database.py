"""The database on a server: itself, the service's user, the tables, and a reader for reports.

An administrator is asked for only if something is missing: who comes in as the service and sees its
tables needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from ajrd.errors import SetupError, StoreUnavailable
from ajrd.setup import wanted
from ajrd.setup.answers import Kind
from ajrd.setup.book import DatabaseUser, MadeDatabase
from ajrd.setup.making import Change, Entry, Owner, Text, Work, encoded, file, look
from ajrd.store import inspection, migrate
from ajrd.store.address import Address
from ajrd.store.administration import (
    Admin,
    Lost,
    Refused,
    Session,
    as_service,
    entered,
    into_database,
)
from ajrd.store.founding import (
    Account,
    Examined,
    create_account,
    create_database,
    drop_account,
    drop_database,
    examine,
    grant_service,
    hosts_of,
    new_password,
    refuse,
)
from ajrd.store.granting import Reader, allow_reader

#: Seconds for one statement that makes a table.
_TABLES = 60.0


def address_of(work: Work) -> Address:
    """The database as the service reaches it, with its password where setup keeps it."""
    file = str(work.host.path(wanted.DB_PASSWORD))
    return wanted.address(work.job.answers.database, work.job.facts, file)


def admin_of(work: Work) -> Admin:
    """Who makes it."""
    return wanted.admin(work.job.answers.database, work.job.facts, work.job.secrets)


def _on_server(work: Work) -> bool:
    return work.job.answers.database.kind is Kind.MYSQL


# Database and user


def database(work: Work) -> Iterator[Change]:
    """An empty database, and a user for each host of the service."""
    if not _on_server(work):
        return
    address, known = address_of(work), _known(work)
    in_as_service = _service_sees(work, address)
    if in_as_service and all(record.complete for record in known) and not _more(work, known):
        return
    if in_as_service is not None and not known:
        if in_as_service:
            return
        raise SetupError(
            f"the database user {work.job.answers.database.user} is there, and sees no database"
            f" {work.job.answers.database.name}: make it and give it the rights, as"
            " docs/database.md tells"
        )
    found = examine(address, admin_of(work))
    name = work.job.answers.database.name
    made = MadeDatabase(address.url, address.tls.ca, name)
    refuse(found, name, ours=work.book.find(made) is not None)
    if not found.exists:
        yield Change(f"create database {name}", lambda: _create(work, address, made))
    for account in _accounts(work, found):
        yield from _account(work, address, account, found)


def _known(work: Work) -> list[DatabaseUser]:
    url, user = address_of(work).url, work.job.answers.database.user
    records = (r for r in work.book.records if isinstance(r, DatabaseUser))
    return [record for record in records if (record.url, record.name) == (url, user)]


def _more(work: Work, known: list[DatabaseUser]) -> bool:
    """Are there hosts that an earlier run of setup, which has made the user, did not know?"""
    return bool(known) and not {*work.job.answers.database.clients} <= {r.host for r in known}


def _service_sees(work: Work, address: Address) -> bool | None:
    """Does the service see its database? None: its user does not get in, or has no password."""
    password = encoded(work.job.secrets.database).decode("latin-1")
    if not password and look(work.host, wanted.DB_PASSWORD) is None:
        return None
    with suppress(Refused), as_service(address, password or None) as db:
        name = work.job.answers.database.name
        return bool(db.rows("SHOW DATABASES WHERE `Database` = %s", name))
    return None


def _accounts(work: Work, found: Examined) -> list[Account]:
    hosts = work.job.answers.database.clients or (found.client,)
    if "" in hosts:
        raise SetupError(
            "the administrator comes to the database by another way than the service will, so"
            " nobody knows how the server sees this host: name it in database.clients"
        )
    return [Account(work.job.answers.database.user, host) for host in hosts]


def _account(work: Work, address: Address, account: Account, found: Examined) -> Iterator[Change]:
    record = DatabaseUser(address.url, address.tls.ca, account.name, account.host)
    known = work.book.find(record)
    if account.host not in found.hosts:
        tls = " by TLS alone" if address.tls.ca else ""
        yield Change(
            f"create database user {account}{tls}", lambda: _create_user(work, address, record)
        )
    elif known is None:
        raise SetupError(
            f"the database user {account} is there, and its password is not known: give"
            f" database.password_file (on a pair: {wanted.DB_PASSWORD} of the other head node)"
        )
    if known is None or (isinstance(known, DatabaseUser) and not known.complete):
        name = work.job.answers.database.name
        yield Change(
            f"grant {account} what the service needs on {name}.*",
            lambda: _grant(work, address, record),
        )


def _create(work: Work, address: Address, made: MadeDatabase) -> None:
    entry = work.record(made)
    with _admin(work, address) as db, _undone_by(entry, lambda: _drop(work, address, None)):
        create_database(db, made.name)


def _create_user(work: Work, address: Address, record: DatabaseUser) -> None:
    entry = work.record(record)
    account = Account(record.name, record.host)
    with _admin(work, address) as db, _undone_by(entry, lambda: _drop(work, address, account)):
        create_account(db, account, _password(work), tls=bool(address.tls.ca))


def _grant(work: Work, address: Address, record: DatabaseUser) -> None:
    with _admin(work, address) as db:
        grant_service(db, Account(record.name, record.host), work.job.answers.database.name)
    work.book.change(replace(record, complete=True))


@contextmanager
def _admin(work: Work, address: Address) -> Iterator[Session]:
    with entered(address, admin_of(work)) as db:
        yield db


@contextmanager
def _undone_by(entry: Entry, undo: Callable[[], object]) -> Iterator[None]:
    """What is made, or may have been made, is dropped again; not what the server refused to make.

    That may be there already, made by somebody else in this moment.
    """
    try:
        yield
    except BaseException as error:  # Ctrl-C comes before the statement, in it, or after it
        if isinstance(error, Lost) or not isinstance(error, StoreUnavailable):
            entry.undo = undo
        raise
    entry.undo = undo


def _drop(work: Work, address: Address, account: Account | None) -> None:
    with _admin(work, address) as db:
        if account is None:
            drop_database(db, work.job.answers.database.name)
        else:
            drop_account(db, account)


def _password(work: Work) -> str:
    seen = look(work.host, wanted.DB_PASSWORD)
    password = seen.text.rstrip("\r\n") if seen else ""
    if not password or not password.isprintable():
        raise SetupError(f"the password in {wanted.DB_PASSWORD} is none that can be set: printable")
    return password


# Tables


def tables(work: Work) -> Iterator[Change]:
    """ajrd's tables, made by the service's own user. Older ones are for ``ajrd db upgrade``."""
    if not _on_server(work):
        return
    address = address_of(work)
    name = work.job.answers.database.name
    if not _service_sees(work, address):
        yield Change(f"make the tables in {name}", lambda: _make_tables(address))
        return
    if look(work.host, wanted.DB_PASSWORD) is None:  # given, and not written yet
        return
    with _opened(address) as db:
        found = inspection.look(db)
    if not found.revision:
        yield Change(f"make the tables in {name}", lambda: _make_tables(address))
    elif faults := found.faults():
        raise SetupError("; ".join(faults))


def _make_tables(address: Address) -> None:
    with _opened(replace(address, timeout=_TABLES)) as db:
        migrate.upgrade(db)
        faults = inspection.look(db).faults()
    if faults:
        raise SetupError("; ".join(faults))


@contextmanager
def _opened(address: Address) -> Iterator[Connection]:
    """A transaction of the service in its database; raises StoreUnavailable."""
    engine = create_engine(
        "mysql+pymysql://", creator=lambda: into_database(address), poolclass=NullPool,
        isolation_level="READ COMMITTED",
    )  # fmt: skip
    try:
        with engine.begin() as db:
            yield db
    except SQLAlchemyError as error:
        said = " ".join(str(error).split())[:300]
        raise StoreUnavailable(f"the database refused to make ajrd's tables: {said}") from error


# The reader


def reader(work: Work) -> Iterator[Change]:
    """A user that reads one table, made by the head node that has made the service's user."""
    answers = work.job.answers.database
    if not (_on_server(work) and answers.reader) or _is_second(work):
        return
    address = address_of(work)
    who = Reader(answers.reader, answers.reader_host)
    record = DatabaseUser(address.url, address.tls.ca, who.name, who.host)
    known = work.book.find(record)
    if isinstance(known, DatabaseUser) and known.complete:
        return
    if known is None and who.host in _hosts(work, address, who):
        raise SetupError(f"the database user {who.account} is there: give another database.reader")
    seen = look(work.host, wanted.READER_PASSWORD)
    secret = seen.text if seen else f"{new_password()}\n"
    text = Text(wanted.READER_PASSWORD, secret, 0o600, Owner(), secret=True)
    yield from file(work, text)
    yield Change(
        f"create database user {who.account}, who may read job_efficiency_records",
        lambda: _make_reader(work, address, who, secret.strip()),
    )


def _is_second(work: Work) -> bool:
    """Is this the head node of a pair that has got the password of the other one?"""
    return work.job.answers.host.pair and not _known(work) and bool(work.job.secrets.database)


def _hosts(work: Work, address: Address, who: Reader) -> frozenset[str]:
    with _admin(work, address) as db:
        return hosts_of(db, who.name)


def _make_reader(work: Work, address: Address, who: Reader, password: str) -> None:
    record = DatabaseUser(address.url, address.tls.ca, who.name, who.host)
    entry = work.record(record)
    with _admin(work, address) as db:
        if who.host not in hosts_of(db, who.name):
            with _undone_by(entry, lambda: _drop(work, address, who.account)):
                create_account(db, who.account, password, tls=False)
        allow_reader(db, work.job.answers.database.name, who, password)
    work.book.change(replace(record, complete=True))
