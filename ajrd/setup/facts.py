"""What is found on the host before anything is asked or changed."""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ajrd.config import Config, SlurmSection
from ajrd.doctor import slurm
from ajrd.doctor.check import DEFAULT, Level, Look, NotAsked, Verdict, examine, unattended
from ajrd.errors import SetupError, SlurmUnavailable
from ajrd.setup.answers import SlurmAnswers
from ajrd.setup.book import Book, DatabaseUser
from ajrd.setup.host import Host

#: Where servers of the distributions listen.
_SOCKETS = ("/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock")  # noqa: S108
_INSTALLED = "/usr/bin/ajrd"
#: A path that means in a unit what it says: no space, no % of a specifier, no $ of a variable.
_PLAIN = re.compile(r"/[\w@+=:,./-]+", re.ASCII)
#: A user who may do nothing, as the service may not: nobody.
_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
#: Checks of the doctor that look at what is not set up yet.
_LATER = frozenset({"rights", "partitions", "pyslurm"})


@dataclass(frozen=True, slots=True)
class SlurmFacts:
    """Slurm, as it answers: ``settings`` are those of ``scontrol show config``.

    ``accounting``: slurmdbd answers and knows this cluster. ``here``: slurmctld runs on this host.
    """

    version: str
    cluster: str
    conf: str
    user: str
    partitions: tuple[str, ...]
    accounting: bool
    here: bool
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """What an administrator wants to see of it at once."""
        accounts = "slurmdbd answers" if self.accounting else "no slurmdbd"
        where = "on this host" if self.here else "on another host"
        names = ", ".join(self.partitions) or "none"
        return (
            f"Slurm {self.version}, cluster {self.cluster}, slurmctld {where}, {accounts};"
            f" partitions: {names}"
        )


@dataclass(frozen=True, slots=True)
class Facts:
    """This host.

    ``program`` is the path by which ajrd is started; ``mysql_socket`` that of a server that runs
    here, "" if there is none. ``made``: users of the database (name, host) whom setup has made;
    ``begun``: the names of those also with whom it has begun.
    """

    hostname: str
    program: str
    slurm: SlurmFacts
    mysql_socket: str = ""
    made: frozenset[tuple[str, str]] = frozenset()
    begun: frozenset[str] = frozenset()


#: Before anything was looked at.
NOTHING = Facts("", "", SlurmFacts("", "", "", "", (), accounting=False, here=False))


@dataclass(frozen=True, slots=True)
class Found:
    """The facts, and what the doctor has to say of Slurm's settings."""

    facts: Facts
    doubts: tuple[Verdict, ...]


async def gather(host: Host, program: str, answers: SlurmAnswers) -> Found:
    """Looks at Slurm and this host; raises SlurmUnavailable, SetupError."""
    unattended()
    section = SlurmSection(conf=answers.conf, bin_dir=answers.bin_dir)
    look = Look(DEFAULT, Config(slurm=section), "", None)
    try:
        found = await _slurm(look, socket.gethostname())
        verdicts = await examine(look, (c for c in slurm.CHECKS if c.name not in _LATER))
    finally:
        await look.end()
    doubts = (each for each in verdicts if each.finding.level in (Level.WARN, Level.FAIL))
    users = _users(host)
    facts = Facts(
        hostname=socket.gethostname(),
        program=program,
        slurm=found,
        mysql_socket=mysql_socket(host),
        made=frozenset((user.name, user.host) for user in users if user.complete),
        begun=frozenset(user.name for user in users),
    )
    return Found(facts, tuple(doubts))


async def _slurm(look: Look, hostname: str) -> SlurmFacts:
    settings = await look.once(slurm.asked)
    return SlurmFacts(
        version=settings["SLURM_VERSION"],
        cluster=settings["ClusterName"],
        conf=settings["SLURM_CONF"],
        user=settings["SlurmUser"].partition("(")[0],
        partitions=tuple(sorted(await look.once(slurm.partitions))),
        accounting=await _accounting(look),
        here=hostname_among(hostname, settings.values),
        settings=settings.values,
    )


async def _accounting(look: Look) -> bool:
    try:
        return await look.once(slurm.accounting) == ""
    except (NotAsked, SlurmUnavailable):
        return False


def hostname_among(hostname: str, settings: Mapping[str, str]) -> bool:
    """Is this one of the hosts of slurmctld (``SlurmctldHost[0]``: NAME or NAME(ADDRESS))?"""
    named = {
        value.partition("(")[0]
        for key, value in settings.items()
        if re.fullmatch(r"SlurmctldHost\[\d+\]", key)
    }
    short = {name.partition(".")[0] for name in named}
    return hostname in named or hostname.partition(".")[0] in short


def _users(host: Host) -> list[DatabaseUser]:
    """Those that stand in the book; raises SetupError for one that cannot be read."""
    return [record for record in Book.read(host).records if isinstance(record, DatabaseUser)]


def mysql_socket(host: Host) -> str:
    """The first socket of a MySQL or MariaDB server on this host; "" if there is none."""
    return next((name for name in _SOCKETS if host.path(name).is_socket()), "")


def program(host: Host, argv: Sequence[str]) -> str:
    """The absolute path by which the service's user can start ajrd; raises SetupError.

    It is the installed one, else the one that runs, else the first of ``PATH``.
    """
    found = next(_programs(host, argv[0]), None)
    if found is None:
        raise SetupError(f"no program ajrd is installed: neither {_INSTALLED} nor in PATH")
    if not _PLAIN.fullmatch(found):
        raise SetupError(
            f"{found!r} cannot stand in a unit: install ajrd where the path has no spaces or signs"
        )
    done = host.tried(*_NOBODY, found, "--version", limit=30.0)
    if done.code:
        said = (done.said.strip().splitlines() or [f"exit status {done.code}"])[-1]
        raise SetupError(
            f"{found} cannot be started by a user without rights ({said[:200]}): install ajrd where"
            " everybody may run it, by the package or in /opt, not below /root"
        )
    return found


def _programs(host: Host, argv0: str) -> Iterator[str]:
    if host.path(_INSTALLED).exists():
        yield _INSTALLED
    running = Path(argv0).absolute()
    if running.name == "ajrd" and os.access(running, os.X_OK):
        yield str(running)
    if there := shutil.which("ajrd", path=host.environ.get("PATH")):
        yield there
