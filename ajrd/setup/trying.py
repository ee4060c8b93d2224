"""Tries what was answered, a group at a time, before anything is changed.

A trial changes nothing. It either gives what it has seen, or ends in one sentence that names the
cause and the key of the answer that has to be another one.
"""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from ajrd.config import HardwareApiSection, LokiAuth, LokiSection, Mode, TlsSection, WebSection
from ajrd.doctor.check import unattended
from ajrd.errors import AjrdError, ConfigError, LokiDenied, LokiRefused, LokiUnavailable, SetupError
from ajrd.hooks import install
from ajrd.logs.mounts import Mounts
from ajrd.loki.checkup import client_of, newest
from ajrd.loki.client import Loki
from ajrd.secret import read_secret
from ajrd.setup.answers import Answers, Kind, Rights
from ajrd.setup.job import Job
from ajrd.setup.questions import LOCAL, Group, value
from ajrd.web.places import tcp_socket
from ajrd.yamlmodel import Section

S = TypeVar("S", bound=Section)
#: Seconds for a group; for one request in it.
LIMIT, REQUEST = 30.0, 8.0
#: Minutes for which Loki is asked whether it has lines.
MINUTES = 10
#: The longest path of a socket (unix(7)), and the last port that only root may have.
_LONGEST_SOCKET, _PRIVILEGED = 107, 1023
_STATE, _RUN = "/var/lib/ajrd", "/run/ajrd"
#: The field of the secrets with the keys whose files hold it, and whose it is.
_FILES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "admin": (("database.admin_password_file",), "the administrator"),
    "database": (("database.password_file",), "the service"),
    "loki": (("loki.password_file", "loki.token_file"), "Loki"),
    "hardware": (("hardware.token_file",), "the hardware service"),
}


class Wrong(SetupError):
    """What was answered to ``key`` does not work, for the reason in the message."""

    def __init__(self, key: str, said: str) -> None:
        super().__init__(said)
        self.key = key


@dataclass(frozen=True, slots=True)
class Tried:
    """What a trial has seen that is well, and what an administrator should know."""

    good: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


Trial = Callable[[Job], Awaitable[Tried]]


async def tried(group: Group, job: Job) -> Tried:
    """Tries a group; raises Wrong, after :data:`LIMIT` seconds at the latest."""
    unattended()
    key = {Group.HOST: "host.start"}.get(group, _FIRST[group])
    try:
        async with asyncio.timeout(LIMIT):
            return await TRIALS[group](job)
    except TimeoutError:
        raise Wrong(key, f"there was no answer within {LIMIT:g} s") from None
    except Wrong:
        raise
    except AjrdError as error:
        raise Wrong(key, "; ".join(str(error).splitlines())) from None


# secrets


def with_secrets(job: Job) -> Job:
    """The job with the secrets in the files that the answers name; raises Wrong."""
    secrets = job.secrets
    for field, (keys, whose) in _FILES.items():
        for key in keys:
            if file := value(job.answers, key):
                secrets = replace(secrets, **{field: _secret(key, file, whose)})
    return replace(job, secrets=secrets)


def _secret(key: str, file: str, whose: str) -> str:
    try:
        found = read_secret(file, "", whose).decode("latin-1")
    except ConfigError as error:
        raise Wrong(key, str(error)) from None
    if not found:
        raise Wrong(key, f"{file} is empty")
    return found


@contextmanager
def held(secret: str) -> Iterator[str | None]:
    """A file with the secret for what reads it from one: in memory, for this process alone."""
    if not secret:
        yield None
        return
    number = os.memfd_create("secret")
    try:
        os.fchmod(number, 0o600)
        os.write(number, secret.encode("latin-1", "replace"))
        yield f"/proc/self/fd/{number}"
    finally:
        os.close(number)


# Slurm


async def _slurm(_job: Job) -> Tried:
    """Facts were gathered from it: it answers."""
    return Tried()


async def _recovery(job: Job) -> Tried:
    recovery, facts = job.answers.recovery, job.facts.slurm
    if unknown := sorted(set(recovery.partitions) - set(facts.partitions)):
        there = ", ".join(facts.partitions)
        said = f"Slurm knows no partition {', '.join(unknown)}; there are: {there}"
        raise Wrong("recovery.partitions", said)
    await asyncio.to_thread(_try_rights, job)
    return Tried()


def _try_rights(job: Job) -> None:
    rights, facts = job.answers.slurm.rights, job.facts.slurm
    if job.answers.recovery.mode is Mode.ACT and rights is Rights.NONE:
        raise Wrong("slurm.rights", "to act it needs a right: accounting, slurm-user or given")
    if rights is Rights.ACCOUNTING and not facts.accounting:
        raise Wrong(
            "slurm.rights",
            "accounting gives no rights here: slurmdbd does not answer, does not know cluster"
            f" {facts.cluster}, or there is none (sacctmgr show cluster)",
        )
    if rights is Rights.SLURM_USER and not _user(facts.user):
        raise Wrong("slurm.rights", f"this host has no user {facts.user}, which is SlurmUser")


def _user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


# the database


async def _database(job: Job) -> Tried:
    if job.answers.database.kind is Kind.SQLITE:
        return await asyncio.to_thread(_sqlite, job)
    _try_pair(job.answers)
    await asyncio.to_thread(_try_uid, job)
    return await asyncio.to_thread(_mysql, job)


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


# Loki


async def _loki(job: Job) -> Tried:
    answers = job.answers.loki
    if not answers.url:
        return Tried()
    with held(job.secrets.loki) as file:
        section = _checked(
            "loki", LokiSection, url=answers.url, tenants=answers.tenants, jobs=answers.jobs,
            nodes=answers.nodes, tls=_tls("loki.ca", answers.ca), timeout=REQUEST,
            auth=LokiAuth(
                user=answers.user,
                password_file=file if answers.user else None,
                token_file=None if answers.user else file,
            ),
        )  # fmt: skip
        tenants = section.tenants or ("",)
        every = [await _tenant(section, tenant) for tenant in tenants]
    return Tried(
        tuple(said for each in every for said in each.good),
        tuple(said for each in every for said in each.doubts),
    )


async def _tenant(section: LokiSection, tenant: str) -> Tried:
    whose = f" as {tenant}" if tenant else ""
    try:
        client = client_of(section, tenant)
    except ConfigError as error:
        raise Wrong("loki.ca", str(error)) from None
    try:
        await client.ready()
        version = await client.version()
        doubts = [said for name in section.jobs if (said := await _doubt(client, section, name))]
        doubts += [said for name in section.nodes if (said := await _doubt(client, section, name))]
    except LokiUnavailable as error:
        raise Wrong(_loki_key(section, error), f"{error}{whose}") from None
    finally:
        await client.close()
    return Tried((f"Loki {version} is ready{whose}",), tuple(f"{said}{whose}" for said in doubts))


def _loki_key(section: LokiSection, error: LokiUnavailable) -> str:
    """Which answer is wrong."""
    if isinstance(error, LokiDenied):
        if section.auth.user:
            return "loki.password_file"
        return "loki.token_file" if section.auth.token_file else "loki.user"
    if isinstance(error, LokiRefused) and "TLS" in str(error):
        return "loki.ca"
    return "loki.jobs" if "parse error" in str(error) else "loki.url"


async def _doubt(client: Loki, section: LokiSection, selector: str) -> str:
    seen = await newest(client, section, selector, MINUTES)
    if not seen.lines:
        return f"{selector} has no line of the last {MINUTES} minutes: is anything shipped there?"
    if not seen.useful:
        return f"no line of {selector} names its job: see loki.labels in docs/loki.md"
    return ""


def _checked(name: str, model: type[S], **values: object) -> S:
    """A section of the configuration; raises Wrong with the key of the answer."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        said = fault["msg"].removeprefix("Value error, ")
        raise Wrong(f"{name}.{fault['loc'][0] if fault['loc'] else 'url'}", said) from None


def _tls(key: str, ca: str | None) -> TlsSection:
    section = TlsSection(ca=ca)
    try:
        section.files().context()
    except ConfigError:
        raise Wrong(key, f"{ca} cannot be read, or holds no certificate (PEM)") from None
    return section


# the hardware service


async def _hardware(job: Job) -> Tried:
    answers = job.answers.hardware
    if not answers.url:
        return Tried()
    _checked(
        "hardware", HardwareApiSection, url=answers.url, verdict_url=answers.verdict_url,
        tls=_tls("hardware.ca", answers.ca),
    )  # fmt: skip
    return Tried()


# pages, API, hooks, the host


async def _web(job: Job) -> Tried:
    answers = job.answers.web
    _checked("web", WebSection, socket=answers.socket, listen=answers.listen)
    await asyncio.to_thread(_try_people, job)
    await asyncio.to_thread(_try_socket, job)
    if answers.listen:
        await asyncio.to_thread(_try_port, answers.listen)
    return Tried()


def _try_people(job: Job) -> None:
    for name in job.answers.web.operators:
        if not _user(name):
            raise Wrong("web.operators", f"this host has no user {name}")
    groups = {each.gr_name for each in grp.getgrall()}
    for name in job.answers.web.operator_groups:
        if name not in groups:
            raise Wrong("web.operator_groups", f"this host has no group {name}")


def _try_socket(job: Job) -> None:
    if not job.answers.web.socket:
        return
    where = Path(job.answers.web.socket)
    there = job.host.path(str(where))
    if not where.is_absolute() or len(os.fsencode(where)) > _LONGEST_SOCKET:
        said = f"{where} is not an absolute path of at most {_LONGEST_SOCKET} bytes"
        raise Wrong("web.socket", said)
    if there.exists() and not there.is_socket():
        raise Wrong("web.socket", f"{where} is there already and is no socket")
    if str(where.parent) != _RUN and not there.parent.is_dir():
        raise Wrong("web.socket", f"there is no folder {where.parent}")


def _try_port(listen: str) -> None:
    if 0 < int(listen.rpartition(":")[2]) <= _PRIVILEGED:
        said = f"only root may listen on a port below {_PRIVILEGED + 1}, and the service is not"
        raise Wrong("web.listen", said)
    with tcp_socket(listen):
        pass


async def _hooks(job: Job) -> Tried:
    return await asyncio.to_thread(_try_hooks, job)


def _try_hooks(job: Job) -> Tried:
    answers = job.answers.hooks
    if answers.controller and not job.facts.slurm.here:
        said = f"slurmctld does not run on this host ({job.facts.hostname})"
        raise Wrong("hooks.controller", said)
    doubts = _shared(job, answers.shared_dir) if answers.shared_dir else ()
    if answers.edit_slurm_conf:
        _try_slurm_conf(job)
    return Tried((), doubts)


def _shared(job: Job, folder: str) -> tuple[str, ...]:
    if not folder.startswith("/") or not job.host.path(folder).is_dir():
        raise Wrong("hooks.shared_dir", f"there is no folder {folder}")
    try:
        install.text_of("epilog", folder, None)
    except ConfigError as error:
        raise Wrong("hooks.shared_dir", str(error)) from None
    mount = Mounts().of(os.path.realpath(job.host.path(folder)))
    if not mount.local:
        return ()
    return (
        f"{folder} lies on a disk of this host ({mount.fstype}): do the nodes have it mounted"
        " at the same place?",
    )


def _try_slurm_conf(job: Job) -> None:
    conf = job.host.path(job.facts.slurm.conf)
    try:
        text = conf.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Wrong("hooks.edit_slurm_conf", f"cannot read {conf}: {error}") from None
    if not os.access(conf, os.W_OK) or not os.access(conf.parent, os.W_OK):
        raise Wrong("hooks.edit_slurm_conf", f"{conf} cannot be written: a read-only file system?")
    try:
        install.with_lines(text, Path("/etc/ajrd/hooks"), hooks_wanted(job.answers))
    except ConfigError as error:
        raise Wrong("hooks.edit_slurm_conf", str(error)) from None


def hooks_wanted(answers: Answers) -> tuple[str, ...]:
    """The names of the hooks."""
    controller = ("epilog-slurmctld", "prolog-slurmctld") if answers.hooks.controller else ()
    return controller + (("epilog", "srun-prolog") if answers.hooks.shared_dir else ())


async def _host(job: Job) -> Tried:
    if job.answers.host.start and not job.host.systemd:
        return Tried((), ("systemd does not run here: nothing can be started by it",))
    return Tried()


_FIRST: Mapping[Group, str] = {
    Group.SLURM: "slurm.conf",
    Group.RECOVERY: "recovery.mode",
    Group.DATABASE: "database.kind",
    Group.LOKI: "loki.url",
    Group.HARDWARE: "hardware.url",
    Group.WEB: "web.listen",
    Group.HOOKS: "hooks.shared_dir",
    Group.HOST: "host.start",
}
TRIALS: Mapping[Group, Trial] = {
    Group.SLURM: _slurm,
    Group.RECOVERY: _recovery,
    Group.DATABASE: _database,
    Group.LOKI: _loki,
    Group.HARDWARE: _hardware,
    Group.WEB: _web,
    Group.HOOKS: _hooks,
    Group.HOST: _host,
}
