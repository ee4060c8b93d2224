"""How a step says what it would change, makes it with a record of it, and takes it back.

A step looks, and gives its changes in order; each has its words, and what makes it. Whatever makes
something tells first how it is undone, so that a step that fails leaves nothing.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from ajrd.errors import AjrdError, SetupError
from ajrd.setup.book import Before, Book, File, Folder, Record, State
from ajrd.setup.host import Host, unfinished
from ajrd.setup.job import Job


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a step would do, in words, and how it does it."""

    said: str
    make: Callable[[], None]


@dataclass(slots=True)
class Entry:
    """Something that the present step has made: how it is undone, and its record set right."""

    settle: Callable[[], None]
    undo: Callable[[], object]


@dataclass(slots=True)
class Work:
    """One run: its job, the book, and how to take back what the present step has made."""

    job: Job
    book: Book
    now: datetime
    replace_config: bool = False
    #: Has something been changed, or would be, that a running service learns only at a restart?
    restarts: bool = False
    entries: list[Entry] = field(default_factory=list)

    @property
    def host(self) -> Host:
        """Where it is done."""
        return self.job.host

    def record(self, record: Record, undo: Callable[[], object] | None = None) -> Entry:
        """Writes down what is about to be made, and how it is undone."""
        known = self.book.find(record)
        if known is None:
            self.book.add(record)
            return self._entry(undo, lambda: self.book.drop(record))
        self.book.change(record)
        return self._entry(undo, lambda: self.book.change(known))

    def undone_by(self, undo: Callable[[], object]) -> None:
        """What is about to be done has no record of its own."""
        self._entry(undo, lambda: None)

    def _entry(self, undo: Callable[[], object] | None, settle: Callable[[], None]) -> Entry:
        entry = Entry(settle, undo or (lambda: None))
        self.entries.append(entry)
        return entry

    def roll_back(self) -> list[str]:
        """Takes back what the step has made, the last first; gives what could not be.

        What could not be taken back keeps its record.
        """
        failed = []
        while self.entries:
            entry = self.entries.pop()
            try:
                entry.undo()
                entry.settle()
            except (OSError, AjrdError) as error:
                failed.append(str(error))
        return failed


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a file or folder is, by name; resolved when it is made."""

    user: str = "root"
    group: str = "root"

    def numbers(self, host: Host) -> tuple[int, int]:
        """Both numbers; raises SetupError for names that the host does not know."""
        if self.user == "root" and self.group == "root":
            return os.geteuid(), os.getegid()
        user = host.user(self.user)
        uid = os.geteuid() if self.user == "root" else user.uid if user else None
        gid = os.getegid() if self.group == "root" else host.group(self.group)
        if uid is None or gid is None:
            raise SetupError(f"this host knows no {self.user}:{self.group}")
        return uid, gid

    def give(self, host: Host, there: Path, mode: int) -> None:
        """Makes a folder that; the mode comes last, for a change of owner takes bits from it."""
        os.chown(there, *self.numbers(host))
        there.chmod(mode)

    def __str__(self) -> str:
        return f"{self.user}:{self.group}"


@dataclass(frozen=True, slots=True)
class Text:
    """A file as it is to be."""

    path: str
    text: str
    mode: int
    owner: Owner
    secret: bool = False
    #: A running service learns of it only when it is started anew.
    restart: bool = False


def folder(work: Work, path: str, mode: int, owner: Owner) -> Iterator[Change]:
    """A folder, if there is none of that name; one that setup has made is kept as it must be."""
    there = work.host.path(path)
    if not there.is_dir():
        said = f"make folder {path} ({mode:o} {owner})"
        yield Change(said, lambda: _make_folder(work, path, mode, owner))
    elif any(work.book.find(made) for made in (Folder(path), State(path, None))):
        yield from mended(work, path, mode, owner)


def mended(work: Work, path: str, mode: int, owner: Owner) -> Iterator[Change]:
    """Mode and owner of a folder, where they are others: the service may have got another user."""
    seen = work.host.path(path).stat()
    was = stat.S_IMODE(seen.st_mode), (seen.st_uid, seen.st_gid)
    if was != (mode, _numbers(work.host, owner)):
        yield Change(
            f"give folder {path} to {owner} ({mode:o})", lambda: _mend(work, path, mode, owner)
        )


def _mend(work: Work, path: str, mode: int, owner: Owner) -> None:
    there = work.host.path(path)
    seen = there.stat()

    def as_it_was() -> None:
        os.chown(there, seen.st_uid, seen.st_gid)
        there.chmod(stat.S_IMODE(seen.st_mode))

    work.undone_by(as_it_was)
    with saying(f"change folder {path}"):
        owner.give(work.host, there, mode)


def _numbers(host: Host, owner: Owner) -> tuple[int, int] | None:
    """None: the user is still to be made."""
    try:
        return owner.numbers(host)
    except SetupError:
        return None


def _make_folder(work: Work, path: str, mode: int, owner: Owner) -> None:
    there = work.host.path(path)
    if there.is_dir():
        return
    for above in reversed(Path(path).parents):
        _make_one(work, str(above), 0o755, Owner())
    _make_one(work, path, mode, owner)


def _make_one(work: Work, path: str, mode: int, owner: Owner) -> None:
    there = work.host.path(path)
    if there.is_dir():
        return
    work.record(Folder(path), lambda: remove_folder(there))
    with saying(f"make folder {path}"):
        there.mkdir(exist_ok=True)
        owner.give(work.host, there, mode)


def file(work: Work, wanted: Text) -> Iterator[Change]:
    """A file with this text, mode and owner, if it is not that already."""
    seen = look(work.host, wanted.path)
    if seen is not None and _is_as(work.host, seen, wanted):
        return
    work.restarts |= wanted.restart
    yield Change(_said(seen, wanted), lambda: _make_file(work, wanted))


def look(host: Host, path: str) -> Before | None:
    """A file as it is; None if there is none; raises SetupError for what is no plain file."""
    there = host.path(path)
    try:
        status = there.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise SetupError(f"{path} is no plain file (masked?): take it away")
        text = there.read_bytes().decode("utf-8", "surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SetupError(f"cannot read {path}: {error.strerror}") from None
    return Before(text, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)


def look_behind(host: Host, path: str) -> Before | None:
    """The same of what a link leads to, if it is one, as slurm.conf may be."""
    there = host.path(path).resolve()
    return look(host, f"/{there.relative_to(host.root.resolve())}")


def _is_as(host: Host, seen: Before, wanted: Text) -> bool:
    if (seen.text, seen.mode) != (wanted.text, wanted.mode):
        return False
    return (seen.uid, seen.gid) == _numbers(host, wanted.owner)


def _said(seen: Before | None, wanted: Text) -> str:
    head = f"write {wanted.path} ({wanted.mode:04o} {wanted.owner})"
    if wanted.secret or (seen and seen.text == wanted.text):
        return head
    lines = difflib.unified_diff(
        seen.text.splitlines() if seen else [], wanted.text.splitlines(),
        wanted.path if seen else "/dev/null", wanted.path, lineterm="",
    )  # fmt: skip
    return "\n".join([head, *lines])


def _make_file(work: Work, wanted: Text) -> None:
    """With the folders above it, if they are not there."""
    _make_folder(work, str(Path(wanted.path).parent), 0o755, Owner())
    host, path = work.host, wanted.path
    seen, known = look(host, path), work.book.file(path)
    digest = digest_of(wanted.text)
    record = File(path, (digest,), seen)
    if known is not None:
        record = replace(known, sha256=(*known.sha256[-1:], digest))
    work.record(record, lambda: put_back(host, path, seen))
    if wanted.restart:
        work.book.mark(restart=True)
    with saying(f"write {path}"):
        owner = wanted.owner.numbers(host)
        host.write(path, encoded(wanted.text), wanted.mode, *owner)


def put_back(host: Host, path: str, before: Before | None) -> None:
    """A file as it was, or away if it was not there."""
    with suppress(FileNotFoundError, NotADirectoryError):
        host.path(unfinished(path)).unlink()
    if before is None:
        with suppress(FileNotFoundError, NotADirectoryError):
            host.path(path).unlink()
        return
    host.write(path, encoded(before.text), before.mode, before.uid, before.gid)


def rewrite(host: Host, path: str, text: str) -> None:
    """Another text for a file that stays what and where it is, behind a link as well."""
    there = host.path(path).resolve()
    seen = there.stat()
    name = f"/{there.relative_to(host.root.resolve())}"
    host.write(name, encoded(text), stat.S_IMODE(seen.st_mode), seen.st_uid, seen.st_gid)


def remove_folder(there: Path) -> bool:
    """An empty folder goes; one in which something is stays. Is it gone?"""
    with suppress(OSError):
        there.rmdir()
    return not there.exists()


def digest_of(text: str) -> str:
    """As the book keeps it."""
    return hashlib.sha256(encoded(text)).hexdigest()


def encoded(text: str) -> bytes:
    """The bytes of a text of :func:`look`."""
    return text.encode("utf-8", "surrogateescape")


@contextmanager
def saying(doing: str) -> Iterator[None]:
    """Errors of the system become those of setup, with what was being done."""
    try:
        yield
    except OSError as error:
        raise SetupError(f"cannot {doing}: {error.strerror or error}") from None
