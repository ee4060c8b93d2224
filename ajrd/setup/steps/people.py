"""The user of the service."""

from __future__ import annotations

from collections.abc import Iterator

from ajrd.errors import SetupError
from ajrd.setup import undoing, wanted
from ajrd.setup.answers import Rights
from ajrd.setup.book import SystemUser
from ajrd.setup.host import User
from ajrd.setup.making import Change, Owner, Text, Work, file, look

_SHIPPED = "/usr/lib/sysusers.d/ajrd.conf"
#: Where setup writes it, if no package has.
OWN = "/etc/sysusers.d/ajrd.conf"


def user(work: Work) -> Iterator[Change]:
    """A system user, unless it is there or the service is somebody else."""
    name = wanted.service_user(work.job.answers, work.job.facts)
    seen = work.host.user(name)
    if work.job.answers.slurm.rights is Rights.SLURM_USER:
        if seen is None:
            raise SetupError(f"this host knows no user {name}, who is SlurmUser")
        return
    if seen is not None:
        _require_number(work, seen)
        return
    text = wanted.sysusers(work.job.answers.host.uid)
    shipped = look(work.host, _SHIPPED)
    path = _SHIPPED if shipped and shipped.text == text else OWN
    if path == OWN:
        yield from file(work, Text(OWN, text, 0o644, Owner()))
    yield Change(f"make the system user {name}: systemd-sysusers {path}", lambda: _make(work, path))


def _require_number(work: Work, seen: User) -> None:
    uid = work.job.answers.host.uid
    if uid is not None and seen.uid != uid:
        raise SetupError(
            f"user {seen.name} is there with number {seen.uid}, and host.uid asks for {uid}: change"
            " one of them"
        )


def _make(work: Work, path: str) -> None:
    made = SystemUser(wanted.USER, work.host.group(wanted.USER))
    work.record(made, lambda: undoing.system_user(work.host, made))
    work.host.run("systemd-sysusers", str(work.host.path(path)))
    seen = work.host.user(made.name)
    if seen is None:
        raise SetupError(f"systemd-sysusers has made no user {made.name}; see {path}")
    _require_number(work, seen)


def service_group(work: Work) -> str:
    """The group of the service's user, by name."""
    name = wanted.service_user(work.job.answers, work.job.facts)
    seen = work.host.user(name)
    if seen is None or work.host.group(name) == seen.gid:
        return name
    return work.host.group_name(seen.gid)
