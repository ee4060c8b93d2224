"""Taking back what stands in the book: for a step that has failed, and for an uninstall.

Everything here may be repeated, and finds its thing gone already. Folders that the service's user
may write are taken for hostile: no symbolic link in them is followed.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ajrd.errors import SetupError
from ajrd.hooks import install
from ajrd.setup.book import (
    DatabaseUser,
    Enabled,
    File,
    Folder,
    MadeDatabase,
    Record,
    SlurmAccount,
    SlurmConf,
    State,
    SystemUser,
)
from ajrd.setup.host import Host, unfinished
from ajrd.setup.making import Change, Work, look_behind, put_back, remove_folder, rewrite, saying
from ajrd.setup.slurmtools import Tools
from ajrd.setup.systemd import Systemd
from ajrd.store.address import Address, Tls
from ajrd.store.administration import Admin, entered
from ajrd.store.founding import Account, drop_account, drop_database


def take_back(record: Record, host: Host, tools: Tools, admin: Admin) -> None:
    """Takes back one thing, whichever; raises SetupError, StoreUnavailable, ConfigError."""
    match record:
        case Folder(path):
            remove_folder(host.path(path))
        case State():
            state(host, record)
        case File(path, _, before):
            with saying(f"take {path} away"):
                put_back(host, path, before)
        case SystemUser():
            system_user(host, record)
        case MadeDatabase(url, ca, name):
            with entered(Address(url, tls=Tls(ca=ca)), admin) as db:
                drop_database(db, name)
        case DatabaseUser(url, ca, name, place):
            with entered(Address(url, tls=Tls(ca=ca)), admin) as db:
                drop_account(db, Account(name, place))
        case SlurmAccount():
            slurm_account(tools, record)
        case SlurmConf():
            slurm_conf(host, tools, record)
        case Enabled():
            enabled(host, record)


def obsolete(work: Work, record: Record | None, *, restart: bool = False) -> Iterator[Change]:
    """What an earlier run has made, and these answers do not want any more."""
    if record is None:
        return
    if restart:
        work.restarts = True
    yield Change(f"take back: {words(record)}", lambda: _forget(work, record, restart=restart))


def _forget(work: Work, record: Record, *, restart: bool) -> None:
    if restart:
        work.book.mark(restart=True)
    take_back(record, work.host, Tools.of(work.job), Admin())
    work.book.drop(record)


def words(record: Record) -> str:
    """The thing, in words."""
    match record:
        case Folder(path):
            return f"folder {path}"
        case State(path, before):
            return f"folder {path} with all in it" if before is None else f"what is new in {path}"
        case File(path, _, before):
            return f"file {path}" if before is None else f"file {path}: back to what it was"
        case SystemUser(name):
            return f"system user {name}"
        case MadeDatabase(url, _, name):
            return f"database {name} with all in it, of {url}"
        case DatabaseUser(_, _, name, place):
            return f"database user {name}@{place}"
        case SlurmAccount(name, before):
            return f"user {name} in Slurm's accounting" + (f", {before} again" if before else "")
        case SlurmConf(path):
            return f"ajrd's lines in {path}; scontrol reconfigure"
        case Enabled(unit):
            return f"start of {unit} with the host"


def enabled(host: Host, made: Enabled) -> None:
    """A unit ends, and does not start with the host."""
    systemd = Systemd(host)
    systemd.stop(made.unit)
    systemd.disable(made.unit)
    systemd.forget(made.unit)


def slurm_account(tools: Tools, made: SlurmAccount) -> None:
    """A user gets the level back that it had, or goes."""
    level = tools.level_of(made.name)
    if level and level != made.before:
        tools.account(*_account_words(made))


def by_hand(made: SlurmAccount) -> str:
    """The command for it."""
    return f"sacctmgr {' '.join(_account_words(made))}"


def _account_words(made: SlurmAccount) -> tuple[str, ...]:
    if made.before:
        where = ("where", f"name={made.name}", "set", f"adminlevel={made.before}")
        return "modify", "user", *where
    return "delete", "user", f"name={made.name}"


def slurm_conf(host: Host, tools: Tools, made: SlurmConf) -> None:
    """The lines go, and Slurm is told; without slurm.conf there is nobody to tell."""
    conf = host.path(made.path)
    if not conf.exists():
        return
    with saying(f"take ajrd's lines out of {made.path}"):
        host.path(unfinished(made.path)).unlink(missing_ok=True)
        before = look_behind(host, made.path)
        seen = before.text if before else ""
        left = install.without_lines(seen)
        if left != seen:
            rewrite(host, made.path, left.removesuffix("\n") if made.open_end else left)
    if host.has(tools.command("scontrol")):  # else Slurm is off this host for good
        tools.reconfigure()


def system_user(host: Host, made: SystemUser) -> None:
    """The user goes, with the group of its name if setup has made that, too."""
    if host.user(made.name) is not None:
        host.run("userdel", made.name)
    group = host.group(made.name)
    if made.gid is None and group is not None:
        host.run("groupdel", made.name)
    if made.gid is not None and group is None:
        host.run("groupadd", "--system", "--gid", str(made.gid), made.name)


def state(host: Host, made: State) -> None:
    """A folder goes with all in it, or what was not in it before; raises SetupError.

    Only the folder's own name lies where root alone may write; shutil.rmtree opens everything below
    by its parent's descriptor and follows no link (rmtree.avoids_symlink_attacks).
    """
    path = host.path(made.path)
    with saying(f"empty {made.path}"):
        if made.before is None:
            _remove(path, made.path)
            return
        with suppress(FileNotFoundError):
            for name in os.listdir(path):
                if not _was_there(name, made.before):
                    _remove(path / name, f"{made.path}/{name}")


def _was_there(name: str, before: Sequence[str]) -> bool:
    """Also -wal and -shm of a SQLite file that was: without them it may lose its last words."""
    return name in before or any(name.startswith(f"{old}-") for old in before)


def _remove(path: Path, name: str) -> None:
    try:
        seen = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(seen.st_mode):
        path.unlink()
        return
    if not shutil.rmtree.avoids_symlink_attacks:
        raise SetupError(f"this system cannot delete {name} safely: rm -r {name}")
    shutil.rmtree(path)
