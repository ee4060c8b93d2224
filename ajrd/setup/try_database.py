"""Can the history be kept where it was said, and may the service's user be made there?"""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from ajrd.errors import ConfigError, StoreUnavailable
from ajrd.logs.mounts import Mounts
from ajrd.setup import wanted
from ajrd.setup.answers import Answers, DatabaseAnswers, Kind
from ajrd.setup.job import Job
from ajrd.setup.questions import is_made, reader_is_new
from ajrd.setup.trial import REQUEST, Tried, Wrong, foreseen, held, tls
from ajrd.store.address import HERE, Address
from ajrd.store.administration import Refused, as_service, entered
from ajrd.store.engine import Database
from ajrd.store.founding import Examined, examine, hosts_of
from ajrd.store.granting import Reader
from ajrd.store.inspection import inspect

_STEPS = ("database", "tables", "reader")
_OTHER = (
    "database.clients names no hosts: to set up the other head node, an administrator of the"
    " database will be asked for again"
)


async def try_database(job: Job) -> Tried:
    """Looks at disk or server; raises Wrong."""
    if job.answers.database.kind is Kind.SQLITE:
        seen = await asyncio.to_thread(_sqlite, job)
    else:
        _try_pair(job.answers)
        await asyncio.to_thread(_try_uid, job)
        seen = await _server(job)
    return replace(seen, doubts=(*seen.doubts, *_left(job)))


def _left(job: Job) -> Iterator[str]:
    """Users whom an earlier run has made, and whom these answers do not name any more."""
    database, on_server = job.answers.database, job.answers.database.kind is Kind.MYSQL
    left = [
        f"{name}@{host}"
        for name, host in sorted(job.facts.made)
        if not on_server
        or not (_is_service(database, name, host) or _is_reader(database, name, host))
    ]
    if left:
        yield (
            f"{', '.join(left)}, made by an earlier run, may still enter their database: DROP USER,"
            " or in the end ajrd uninstall --purge"
        )


def _is_service(database: DatabaseAnswers, name: str, host: str) -> bool:
    return name == database.user and (not database.clients or host in database.clients)


def _is_reader(database: DatabaseAnswers, name: str, host: str) -> bool:
    return (name, host) == (database.reader, database.reader_host)


def _sqlite(job: Job) -> Tried:
    if job.answers.host.pair:
        raise Wrong("database.kind", "a pair of head nodes needs mysql: both must reach it")
    folder = str(job.host.path(wanted.STATE[0]))
    mount = Mounts().of(os.path.realpath(folder))
    if not mount.local:
        raise Wrong(
            "database.kind",
            f"{folder} lies on {mount.fstype or 'an unknown file system'}: SQLite needs a local"
            " disk (mount one there, or take mysql)",
        )
    return Tried((f"a SQLite file in {folder}, which is on a local disk ({mount.fstype})",))


def _try_pair(answers: Answers) -> None:
    if not answers.host.pair:
        return
    if answers.database.socket:
        raise Wrong("database.socket", "the other head node cannot reach a socket of this host")
    if answers.database.host in HERE:
        said = f"on the other head node {answers.database.host} is another host"
        raise Wrong("database.host", said)


def _try_uid(job: Job) -> None:
    """The number must be free, or that of the user ajrd already."""
    uid = job.answers.host.uid
    if uid is None:
        return
    seen = job.host.user(wanted.USER)
    if seen is not None and seen.uid != uid:
        raise Wrong("host.uid", f"the user {seen.name} has the number {seen.uid} on this host")
    with suppress(KeyError):
        name = pwd.getpwuid(uid).pw_name
        if name != wanted.USER:
            raise Wrong("host.uid", f"the user {name} has the number {uid} on this host")


# A server


async def _server(job: Job) -> Tried:
    database, address = job.answers.database, await asyncio.to_thread(_address, job)
    refused = await _try_service(address, job)
    if not refused and is_made(job):
        await asyncio.to_thread(foreseen, job, "database.name", *_STEPS)
        return Tried((f"{_where(address)}, as {database.user}, who may do what it must",))
    found = await asyncio.to_thread(_examined, address, job, refused)
    _judge(found, job, refused)
    if reader_is_new(job):
        await asyncio.to_thread(_try_reader, address, job)
    await asyncio.to_thread(foreseen, job, "database.name", *_STEPS)
    tables = "is there" if found.exists else "will be made"
    well = f"{_version(found)} at {_where(address)}; database {database.name} {tables}"
    return Tried((well,), (_OTHER,) if job.answers.host.pair and not database.clients else ())


def _address(job: Job) -> Address:
    """Where it is; raises Wrong for what cannot be used."""
    tls(job, "database.ca")
    try:
        return replace(wanted.address(job.answers.database, job.facts, None), timeout=REQUEST)
    except ConfigError as error:
        raise Wrong("database.host", f"the address {error}") from None


def _version(found: Examined) -> str:
    """MariaDB says its name in its version, MySQL does not."""
    name = "MariaDB" if "mariadb" in found.version.lower() else "MySQL"
    return f"{name} {found.version.partition('-')[0]}"


def _where(address: Address) -> str:
    encrypted = ", by TLS" if address.tls.ca else ""
    return address.url.partition("@")[2].partition("/")[0] + encrypted


async def _try_service(address: Address, job: Job) -> Wrong | None:
    """Why the service's user, if there is one, cannot work with what is there; None if it can."""
    database = job.answers.database
    if not database.password_file:
        return None
    try:
        sees = await asyncio.to_thread(_sees, address, job)
    except Refused as error:
        return Wrong("database.password_file", str(error))
    except StoreUnavailable as error:
        raise Wrong(_key(database, error), str(error)) from None
    if not sees:
        said = f"{database.user} gets in, and sees no database {database.name}"
        return Wrong("database.name", said)
    return await _lacking(address, job)


async def _lacking(address: Address, job: Job) -> Wrong | None:
    """The rights that the service lacks in its database."""
    database = job.answers.database
    with held(job.secrets.database) as file:
        store = Database(replace(address, password_file=file))
        try:
            found = await inspect(store)
        finally:
            await store.close()
    lacks = ", ".join(sorted(found.missing))
    said = f"{database.user} lacks rights on database {database.name}: {lacks}"
    return Wrong("database.user", said) if lacks else None


def _sees(address: Address, job: Job) -> bool:
    """Does the service see its database? Raises StoreUnavailable."""
    password = job.secrets.database.encode("utf-8", "surrogateescape").decode("latin-1")
    with as_service(address, password) as db:
        name = job.answers.database.name
        return bool(db.rows("SHOW DATABASES WHERE `Database` = %s", name))


def _examined(address: Address, job: Job, refused: Wrong | None) -> Examined:
    """What an administrator sees; ``refused`` says why one is needed."""
    database = job.answers.database
    try:
        return examine(address, wanted.admin(database, job.facts, job.secrets))
    except Refused as error:
        if refused:
            raise Wrong(refused.key, f"{refused.said}; and {error}") from None
        key = "database.admin_password_file" if database.admin_user else "database.admin_user"
        raise Wrong(key, str(error)) from None
    except StoreUnavailable as error:
        raise Wrong(_key(database, error), str(error)) from None
    except ConfigError as error:
        raise Wrong("database.admin_defaults_file", str(error)) from None


def _try_reader(address: Address, job: Job) -> None:
    """Its name must be free."""
    database = job.answers.database
    try:
        reader = Reader(database.reader or "", database.reader_host)
    except ConfigError as error:
        raise Wrong("database.reader", str(error)) from None
    with entered(address, wanted.admin(database, job.facts, job.secrets)) as db:
        if reader.host in hosts_of(db, reader.name):
            said = f"there is a user {reader.account} already: give another name"
            raise Wrong("database.reader", said)


def _key(database: DatabaseAnswers, error: StoreUnavailable) -> str:
    """Which answer is wrong when a server cannot be reached."""
    if any(word in str(error) for word in ("TLS", "certificate", "database.ca")):
        return "database.ca"
    return "database.socket" if database.socket else "database.host"


def _judge(found: Examined, job: Job, refused: Wrong | None) -> None:
    """What an administrator has seen must let the steps succeed."""
    database = job.answers.database
    if found.missing:
        lacks = ", ".join(found.missing)
        raise Wrong("database.admin_user", f"this administrator lacks rights: {lacks}")
    if not (found.client or database.clients):
        raise Wrong(
            "database.clients",
            "the administrator comes to the server by another way than the service will: name the"
            " hosts from which it connects, as the server sees them",
        )
    if refused and found.client in found.hosts:
        raise refused
    known = job.secrets.database or database.user in job.facts.begun
    if found.hosts and not known:
        hosts = ", ".join(sorted(found.hosts))
        raise Wrong(
            "database.password_file",
            f"there is a user {database.user} already (from {hosts}): name the file with its"
            " password, or another user",
        )
