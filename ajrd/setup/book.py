"""What setup has made on this host: ``/etc/ajrd/setup-made.json``.

A record is written before the thing is made, and only for what was not there before. So whatever
happens in between, nothing of ajrd's can stand on the host without its record, and nothing of
others' has one. The book lies in a folder that root alone may write: it says what root deletes, and
a service that had been taken over could else have files of others deleted.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ajrd.errors import SetupError
from ajrd.setup.host import Host, sync, unfinished

HOME = "/etc/ajrd"
BOOK = f"{HOME}/setup-made.json"
#: Where the folder of the book is made, or ends, with the book in it.
_NASCENT = "/etc/.ajrd-setup"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Before:
    """A file as it was. ``text`` keeps each byte (surrogateescape)."""

    text: str
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that was not there; it goes when it is empty."""

    path: str


@dataclass(frozen=True, slots=True)
class State:
    """A folder that the service fills. ``before``: the names in it; None: it was not there."""

    path: str
    before: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class File:
    """A file: ``sha256`` of what setup wrote (the last two), and what was there before."""

    path: str
    sha256: tuple[str, ...]
    before: Before | None = None


@dataclass(frozen=True, slots=True)
class SystemUser:
    """A user of the host. ``gid``: of the group of its name, if that was there; else None."""

    name: str
    gid: int | None


@dataclass(frozen=True, slots=True)
class MadeDatabase:
    """A database: where, as an address, and its name."""

    url: str
    ca: str | None
    name: str


@dataclass(frozen=True, slots=True)
class DatabaseUser:
    """A user of the database's server. ``complete``: it has its rights, too."""

    url: str
    ca: str | None
    name: str
    host: str
    complete: bool = False


@dataclass(frozen=True, slots=True)
class SlurmAccount:
    """A user in Slurm's accounting. ``before``: its admin level; "": it was not there."""

    name: str
    before: str


@dataclass(frozen=True, slots=True)
class SlurmConf:
    """The lines of the hooks in slurm.conf. ``complete``: Slurm has read them.

    ``open_end``: its last line had no newline.
    """

    path: str
    open_end: bool
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Enabled:
    """A unit that was not enabled."""

    unit: str


Record = (
    Folder | State | File | SystemUser | MadeDatabase | DatabaseUser | SlurmAccount | SlurmConf
    | Enabled
)  # fmt: skip
_KINDS: Mapping[str, type[Any]] = {
    "folder": Folder,
    "state": State,
    "file": File,
    "user": SystemUser,
    "database": MadeDatabase,
    "database-user": DatabaseUser,
    "slurm-user": SlurmAccount,
    "slurm-conf": SlurmConf,
    "enabled": Enabled,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


class Book:
    """The records in the order in which things were made."""

    def __init__(
        self, host: Host, records: tuple[Record, ...] = (), *, restart: bool = False
    ) -> None:
        self._host = host
        self.records = records
        #: Has something been changed that a running service learns only at a restart?
        self.restart = restart

    @classmethod
    def read(cls, host: Host) -> Book:
        """The book of a host, empty if it has none; raises SetupError for one it cannot read."""
        path = host.path(BOOK)
        _require_safe(path.parent)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls(host)
        except (OSError, ValueError) as error:
            raise SetupError(f"cannot read {BOOK}: {error}; nothing was touched") from None
        try:
            if content["version"] != _VERSION:
                raise ValueError(f"version {content['version']}")
            records = tuple(_record(entry) for entry in content["made"])
            return cls(host, records, restart=bool(content["restart"]))
        except (LookupError, TypeError, ValueError) as error:
            raise SetupError(
                f"{BOOK} is not understood ({error}): damaged, or made by another ajrd, which is to"
                " be used then; nothing was touched"
            ) from None

    def add(self, record: Record) -> None:
        """Writes a record, for the first time or anew."""
        self._require_home()
        self._put((*(r for r in self.records if key(r) != key(record)), record))

    def change(self, record: Record) -> None:
        """Writes a record anew, where it stands."""
        self._put(tuple(record if key(r) == key(record) else r for r in self.records))

    def drop(self, record: Record) -> None:
        """The thing is gone."""
        self._put(tuple(r for r in self.records if key(r) != key(record)))

    def find(self, like: Record) -> Record | None:
        """The record of the same thing."""
        return next((r for r in self.records if key(r) == key(like)), None)

    def file(self, path: str) -> File | None:
        """The record of a file."""
        found = self.find(File(path, ()))
        return found if isinstance(found, File) else None

    def mark(self, *, restart: bool) -> None:
        """Notes that a running service has to be started anew, or was."""
        if restart != self.restart:
            self.restart = restart
            self._put(self.records)

    def close(self) -> None:
        """Ends an empty book, and with it the folder if setup has made it and nobody uses it."""
        home, nascent = self._host.path(HOME), self._host.path(_NASCENT)
        if not self._host.path(BOOK).exists():
            clear(self._host)
            return
        if self.records not in ((), (Folder(HOME),)):
            return
        self._host.path(unfinished(BOOK)).unlink(missing_ok=True)
        if self.records and os.listdir(home) == [Path(BOOK).name]:
            os.rename(home, nascent)
            sync(nascent.parent)
        self._host.path(BOOK).unlink(missing_ok=True)
        clear(self._host)

    def begin(self) -> None:
        """Makes the folder, with a book in it that says so."""
        self._require_home()

    def _require_home(self) -> None:
        """The folder comes into being with the book in it, or not at all."""
        if self._host.path(HOME).exists():
            return
        clear(self._host)
        nascent = self._host.path(_NASCENT)
        nascent.mkdir(mode=0o755)
        nascent.chmod(0o755)
        self._put((Folder(HOME), *self.records), f"{_NASCENT}/{Path(BOOK).name}")
        os.rename(nascent, self._host.path(HOME))
        sync(nascent.parent)

    def _put(self, records: tuple[Record, ...], name: str = BOOK) -> None:
        """Raises SetupError, also for what could not be read again."""
        for record in records:
            _require_readable(record)
        made = [{"kind": _NAMES[type(record)], **asdict(record)} for record in records]
        content = {"version": _VERSION, "restart": self.restart, "made": made}
        text = json.dumps(content, indent=1) + "\n"
        try:
            self._host.write(name, text.encode("ascii"), 0o600, os.geteuid(), os.getegid())
        except OSError as error:
            raise SetupError(f"cannot write {BOOK}: {error.strerror or error}") from None
        self.records = records


def _require_safe(home: Path) -> None:
    """What stands in the book is deleted one day: only root may say what that is."""
    if not home.exists():
        return
    seen = home.stat()
    if seen.st_uid not in (0, os.geteuid()) or seen.st_mode & 0o022:
        raise SetupError(f"{home} must belong to root, who alone may write: chmod go-w {home}")


def clear(host: Host) -> None:
    """Deletes what a run has left that was ended while it made, or removed, the book's folder."""
    shutil.rmtree(host.path(_NASCENT), ignore_errors=True)


def key(record: Record) -> tuple[object, ...]:
    """What a record is about; two records with the same key are about the same thing."""
    match record:
        case DatabaseUser():
            return "database-user", record.url, record.name, record.host
        case MadeDatabase():
            return "database", record.url, record.name
        case SystemUser() | SlurmAccount():
            return type(record), record.name
        case Enabled():
            return "enabled", record.unit
        case _:
            return type(record), record.path


def _record(entry: Mapping[str, Any]) -> Record:
    kind = _KINDS[entry["kind"]]
    values = {name: value for name, value in entry.items() if name != "kind"}
    if values.keys() != {field.name for field in fields(kind)}:
        raise ValueError(f"a {entry['kind']} with {', '.join(values)}")
    record: Record = kind(**values)
    for check in _CHECKS:
        record = check(record)
    return record


def _file(record: Record) -> Record:
    if not isinstance(record, File):
        return record
    before = record.before
    known = Before(**before) if isinstance(before, dict) else None
    return replace(record, sha256=tuple(record.sha256), before=known)


def _state(record: Record) -> Record:
    if not isinstance(record, State) or record.before is None:
        return record
    return replace(record, before=tuple(record.before))


def _absolute(record: Record) -> Record:
    path = getattr(record, "path", "/")
    if not isinstance(path, str) or not path.startswith("/") or ".." in path.split("/"):
        raise ValueError(f"path {path!r}")
    return record


def _require_readable(record: Record) -> None:
    try:
        _absolute(record)
    except ValueError as error:
        raise SetupError(f"{error}: an absolute path is wanted, without .. in it") from None


_CHECKS: tuple[Callable[[Record], Record], ...] = (_absolute, _file, _state)
