"""Can the history be kept where it was said, and may the service's user be made there?"""

from __future__ import annotations

import asyncio
import os
import pwd
from pathlib import Path
from urllib.parse import quote

from ajrd.errors import ConfigError, StoreUnavailable
from ajrd.logs.mounts import Mounts
from ajrd.setup.answers import Answers, DatabaseAnswers, Kind
from ajrd.setup.job import Job
from ajrd.setup.questions import LOCAL
from ajrd.setup.trial import REQUEST, Tried, Wrong, held, tls
from ajrd.store.address import Address
from ajrd.store.administration import Admin, Refused, as_service
from ajrd.store.engine import Database
from ajrd.store.founding import Examined, examine, refuse
from ajrd.store.inspection import inspect

_STATE = "/var/lib/ajrd"


async def try_database(job: Job) -> Tried:
    """Looks at disk or server; raises Wrong."""
    if job.answers.database.kind is Kind.SQLITE:
        return await asyncio.to_thread(_sqlite, job)
    _try_pair(job.answers)
    await asyncio.to_thread(_try_uid, job)
    return await _server(job)


def _sqlite(job: Job) -> Tried:
    if job.answers.host.pair:
        raise Wrong("database.kind", "a pair of head nodes needs mysql: both must reach it")
    folder = str(job.host.path(_STATE))
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
    if answers.database.host in LOCAL:
        said = f"on the other head node {answers.database.host} is another host"
        raise Wrong("database.host", said)


def _try_uid(job: Job) -> None:
    """The number must be free, or that of the user ajrd already."""
    wanted = job.answers.host.uid
    if wanted is None:
        return
    with_number = next((each.pw_name for each in pwd.getpwall() if each.pw_uid == wanted), "ajrd")
    if with_number != "ajrd":
        raise Wrong("host.uid", f"user {with_number} has the number {wanted} on this host")
    has = next((each.pw_uid for each in pwd.getpwall() if each.pw_name == "ajrd"), wanted)
    if has != wanted:
        said = f"the user ajrd of this host has the number {has}, not {wanted}: userdel ajrd first"
        raise Wrong("host.uid", said)


# A server


async def _server(job: Job) -> Tried:
    database, address = job.answers.database, address_of(job.answers.database)
    refused = await _try_service(address, job)
    if not refused and database.password_file and not database.reader:
        return Tried((f"{_where(address)}, as {database.user}, who may do what it must",))
    found = await asyncio.to_thread(_examined, address, job, refused)
    _judge(found, job, refused)
    tables = "is there" if found.exists else "will be made"
    return Tried((f"{_version(found)} at {_where(address)}; database {database.name} {tables}",))


def address_of(database: DatabaseAnswers) -> Address:
    """Where it is; raises Wrong for files that cannot be used."""
    host = f"[{database.host}]" if ":" in database.host else database.host
    url = f"mysql://{quote(database.user, '')}@{host}:{database.port}/{quote(database.name, '')}"
    if database.socket:
        url += f"?unix_socket={quote(database.socket, '')}"
    section = tls("database.ca", database.ca)
    try:
        return Address(url, None, section.files(), REQUEST)
    except ConfigError as error:
        raise Wrong("database.host", f"the address {error}") from None


def _version(found: Examined) -> str:
    """MariaDB says its name in its version, MySQL does not."""
    name = "MariaDB" if "mariadb" in found.version.lower() else "MySQL"
    return f"{name} {found.version.partition('-')[0]}"


def _where(address: Address) -> str:
    encrypted = ", by TLS" if address.tls.ca else ""
    return address.url.partition("@")[2].partition("/")[0] + encrypted


async def _try_service(address: Address, job: Job) -> str:
    """Why the service's user, if there is one, cannot work with what is there; "" if it can."""
    database = job.answers.database
    if not database.password_file:
        return ""
    try:
        await asyncio.to_thread(_enter, address, job.secrets.database)
    except Refused as error:
        return str(error)
    except StoreUnavailable as error:
        raise Wrong(_key(database, error), str(error)) from None
    with held(job.secrets.database) as file:
        store = Database(Address(address.url, file, address.tls, address.timeout))
        try:
            found = await inspect(store)
        except StoreUnavailable as error:
            return str(error)
        finally:
            await store.close()
    lacks = ", ".join(sorted(found.missing))
    return f"{database.user} lacks rights on database {database.name}: {lacks}" if lacks else ""


def _enter(address: Address, password: str) -> None:
    with as_service(address, password):
        pass


def _examined(address: Address, job: Job, refused: str) -> Examined:
    """What an administrator sees; ``refused`` says why one is needed."""
    database = job.answers.database
    options = database.admin_defaults_file
    admin = Admin(
        defaults_file=Path(options) if options else None,
        user=database.admin_user,
        password=job.secrets.admin,
    )
    try:
        return examine(address, admin)
    except Refused as error:
        if refused:
            raise Wrong("database.password_file", f"{refused}; and {error}") from None
        key = "database.admin_password_file" if database.admin_user else "database.admin_user"
        raise Wrong(key, str(error)) from None
    except StoreUnavailable as error:
        raise Wrong(_key(database, error), str(error)) from None
    except ConfigError as error:
        raise Wrong("database.admin_defaults_file", str(error)) from None


def _key(database: DatabaseAnswers, error: StoreUnavailable) -> str:
    """Which answer is wrong when a server cannot be reached."""
    if any(word in str(error) for word in ("TLS", "certificate", "database.ca")):
        return "database.ca"
    return "database.socket" if database.socket else "database.host"


def _judge(found: Examined, job: Job, refused: str) -> None:
    """What an administrator has seen must let the steps succeed."""
    database = job.answers.database
    if found.missing:
        lacks = ", ".join(found.missing)
        raise Wrong("database.admin_user", f"this administrator lacks rights: {lacks}")
    try:
        refuse(found, database.name)
    except StoreUnavailable as error:
        raise Wrong("database.name", str(error)) from None
    if refused and found.client in found.hosts:
        raise Wrong("database.password_file", refused)
    if found.hosts and not job.secrets.database:
        hosts = ", ".join(sorted(found.hosts))
        raise Wrong(
            "database.password_file",
            f"there is a user {database.user} already (from {hosts}): name the file with its"
            " password, or another user",
        )
