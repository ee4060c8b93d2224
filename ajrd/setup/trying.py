"""Tries what was answered, a group at a time, before anything is changed.

A trial changes nothing. It either gives what it has seen, or ends in one sentence that names the
cause and the key of the answer that has to be another one.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from ajrd.config import Config, Mode, WebSection
from ajrd.doctor.check import DEFAULT, Look, unattended
from ajrd.doctor.slurm import NEEDED
from ajrd.doctor.web import port
from ajrd.errors import AjrdError, ConfigError, WebUnavailable
from ajrd.hooks import install
from ajrd.logs.mounts import Mounts
from ajrd.setup.answers import Rights
from ajrd.setup.job import Job
from ajrd.setup.questions import Group
from ajrd.setup.reach import written_by_others
from ajrd.setup.trial import Trial, Tried, Wrong, checked, foreseen, with_secrets
from ajrd.setup.try_database import try_database
from ajrd.setup.try_hardware import try_hardware
from ajrd.setup.try_loki import try_loki
from ajrd.web.places import tcp_socket

#: Seconds for a group.
LIMIT = 30.0
#: The longest path of a socket (unix(7)), and the last port that only root may have.
_LONGEST_SOCKET, _PRIVILEGED = 107, 1023
_RUN = "/run/ajrd"


async def tried(group: Group, job: Job) -> tuple[Job, Tried]:
    """Reads the secrets of a group and tries it; the job with them, and what was seen.

    Raises Wrong, after :data:`LIMIT` seconds at the latest.
    """
    unattended()
    try:
        async with asyncio.timeout(LIMIT):
            job = await asyncio.to_thread(with_secrets, group, job)
            return job, await TRIALS[group](job)
    except TimeoutError:
        raise Wrong(_FIRST[group], f"there was no answer within {LIMIT:g} s") from None
    except Wrong:
        raise
    except (AjrdError, OSError, ValueError) as error:
        raise Wrong(_FIRST[group], "; ".join(str(error).splitlines())) from None


# Slurm


async def _slurm(job: Job) -> Tried:
    """What can be told before Slurm is asked for its settings."""
    await asyncio.to_thread(_try_places, job)
    return Tried()


def _try_places(job: Job) -> None:
    conf, folder = job.answers.slurm.conf, job.answers.slurm.bin_dir
    if conf and not Path(conf).is_file():
        raise Wrong("slurm.conf", f"there is no file {conf}")
    missing = [name for name in NEEDED if not shutil.which(name, path=folder or None)]
    if missing:
        said = f"{', '.join(missing)} not in {folder or 'PATH'}: install Slurm's commands"
        raise Wrong("slurm.bin_dir", said)


async def _recovery(job: Job) -> Tried:
    recovery, facts = job.answers.recovery, job.facts.slurm
    if unknown := sorted(set(recovery.partitions) - set(facts.partitions)):
        there = ", ".join(facts.partitions)
        said = f"Slurm knows no partition {', '.join(unknown)}; there are: {there}"
        raise Wrong("recovery.partitions", said)
    await asyncio.to_thread(_try_rights, job)
    as_root = job.answers.slurm.rights is Rights.SLURM_USER and facts.user == "root"
    return Tried((), ("SlurmUser is root, and so will be the service",) if as_root else ())


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
    if rights is Rights.SLURM_USER and not job.host.user(facts.user):
        raise Wrong("slurm.rights", f"this host has no user {facts.user}, which is SlurmUser")


# pages, API, hooks, the host


async def _web(job: Job) -> Tried:
    answers = job.answers.web
    section = checked("web", WebSection, socket=answers.socket, listen=answers.listen)
    await asyncio.to_thread(_try_people, job)
    await asyncio.to_thread(_try_socket, job)
    if answers.listen:
        await _listening(section, answers.listen)
    return Tried()


async def _listening(section: WebSection, listen: str) -> None:
    try:
        await asyncio.to_thread(_try_port, listen)
    except WebUnavailable:
        if not await _is_ours(section):
            raise


async def _is_ours(section: WebSection) -> bool:
    """Does an ajrd listen there, as after an earlier run?"""
    config = Config(web=section)
    try:
        answer = await port(Look(DEFAULT, config, "", None))
    except AjrdError:
        return False
    return answer.document().get("alive") is True


def _try_people(job: Job) -> None:
    for name in job.answers.web.operators:
        if not job.host.user(name):
            raise Wrong("web.operators", f"this host has no user {name}")
    for name in job.answers.web.operator_groups:
        if job.host.group(name) is None:
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
    foreseen(job, "hooks.shared_dir" if answers.shared_dir else "hooks.controller", "hooks")
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
    said = f"{folder} lies on a disk of this host ({mount.fstype})"
    return (f"{said}: do the nodes have it mounted at the same place?",)


def _try_slurm_conf(job: Job) -> None:
    conf = job.host.path(job.facts.slurm.conf)
    try:
        conf.read_bytes()
    except OSError as error:
        raise Wrong("hooks.edit_slurm_conf", f"cannot read {conf}: {error}") from None
    if not os.access(conf, os.W_OK) or not os.access(conf.parent, os.W_OK):
        raise Wrong("hooks.edit_slurm_conf", f"{conf} cannot be written: a read-only file system?")


async def _host(job: Job) -> Tried:
    return Tried((), tuple(await asyncio.to_thread(lambda: [*_host_doubts(job)])))


def _host_doubts(job: Job) -> Iterator[str]:
    if job.answers.host.start and not job.host.systemd:
        yield "systemd does not run here: nothing can be started by it"
    if where := written_by_others(job.host, job.facts.program):
        yield (
            f"others than root may write {where}, and so put something in the place of"
            f" {job.facts.program}, which may take on the rights of every user: install ajrd where"
            " root alone may write"
        )


_FIRST: Mapping[Group, str] = {
    Group.SLURM: "slurm.conf",
    Group.RECOVERY: "recovery.mode",
    Group.DATABASE: "database.host",
    Group.LOKI: "loki.url",
    Group.HARDWARE: "hardware.url",
    Group.WEB: "web.listen",
    Group.HOOKS: "hooks.shared_dir",
    Group.HOST: "host.start",
}
TRIALS: Mapping[Group, Trial] = {
    Group.SLURM: _slurm,
    Group.RECOVERY: _recovery,
    Group.DATABASE: try_database,
    Group.LOKI: try_loki,
    Group.HARDWARE: try_hardware,
    Group.WEB: _web,
    Group.HOOKS: _hooks,
    Group.HOST: _host,
}
