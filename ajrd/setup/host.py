"""The host that is set up: its files, below a root folder, and its programs.

For tests, and nothing else, the root is another folder and programs are looked for in another
``PATH``: what is done stays the same.
"""

from __future__ import annotations

import fcntl
import grp
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from ajrd.errors import SetupError

#: Seconds that a program may take; starting the service waits for its first look at Slurm.
LIMIT = 60.0
#: In a folder that root alone may write, and that is empty after a boot.
_LOCK = "/run/ajrd-setup.lock"


@dataclass(frozen=True, slots=True)
class Done:
    """What a program left: its exit code, and both outputs as one text."""

    code: int
    said: str


@dataclass(frozen=True, slots=True)
class User:
    """A user of the host."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Host:
    """Where files lie and programs run."""

    root: Path = Path("/")
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def path(self, name: str) -> Path:
        """An absolute path of the host, as this process reaches it."""
        return self.root / name.lstrip("/")

    def has(self, program: str) -> bool:
        """Is there such a program?"""
        return shutil.which(program, path=self.environ.get("PATH")) is not None

    def user(self, name: str) -> User | None:
        """The user of that name."""
        if self.root == Path("/"):
            with suppress(KeyError):
                found = pwd.getpwnam(name)
                return User(name, found.pw_uid, found.pw_gid)
            return None
        for fields in self._lines("/etc/passwd"):
            if fields[0] == name:
                return User(name, int(fields[2]), int(fields[3]))
        return None

    def group(self, name: str) -> int | None:
        """The number of a group."""
        if self.root == Path("/"):
            with suppress(KeyError):
                return grp.getgrnam(name).gr_gid
            return None
        numbers = (int(f[2]) for f in self._lines("/etc/group") if f[0] == name)
        return next(numbers, None)

    def group_name(self, number: int) -> str:
        """The name of a group, its number if it has none."""
        if self.root == Path("/"):
            with suppress(KeyError):
                return grp.getgrgid(number).gr_name
            return str(number)
        names = (f[0] for f in self._lines("/etc/group") if f[2] == str(number))
        return next(names, str(number))

    def _lines(self, name: str) -> Iterator[list[str]]:
        with suppress(FileNotFoundError):
            for line in self.path(name).read_text(encoding="utf-8").splitlines():
                yield line.split(":")

    def write(self, name: str, content: bytes, mode: int, uid: int, gid: int) -> None:
        """A whole file that survives a crash, or none; raises OSError.

        What a run that was killed has left of it is known by its name.
        """
        path, new = self.path(name), self.path(unfinished(name))
        new.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        try:
            with open(os.open(new, flags, 0o600), "wb") as file:
                file.write(content)
                os.fchown(file.fileno(), uid, gid)
                os.fchmod(file.fileno(), mode)
                file.flush()
                os.fsync(file.fileno())
            os.rename(new, path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        sync(path.parent)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else sets this host up meanwhile; raises SetupError if somebody does.

        The lock is on a file that root alone can open: on any other, as a folder, every user could
        take it and keep root out.
        """
        path = self.path(_LOCK)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise SetupError(f"cannot lock {_LOCK}: {error.strerror}") from None
        try:
            if not _locked(descriptor):
                raise SetupError("another setup or uninstall of ajrd runs on this host")
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    @property
    def systemd(self) -> bool:
        """Does systemd run here? As sd_booted(3) tells it."""
        return self.path("/run/systemd/system").is_dir()

    def run(self, *argv: str, limit: float = LIMIT) -> str:
        """What a program said; raises SetupError if it is not there, too slow, or fails."""
        done = self.tried(*argv, limit=limit)
        if done.code:
            said = done.said.strip() or f"exit status {done.code}"
            raise SetupError(f"{' '.join(argv)}: {said[-2000:]}")
        return done.said

    def tried(self, *argv: str, limit: float = LIMIT) -> Done:
        """The same, whatever its exit code; raises SetupError if it cannot be run or is slow."""
        try:
            done = subprocess.run(
                argv, env={**self.environ, "LC_ALL": "C"}, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit, check=False,
            )  # fmt: skip
        except FileNotFoundError:
            raise SetupError(f"this host has no {argv[0]}") from None
        except OSError as error:
            raise SetupError(f"cannot run {argv[0]}: {error.strerror}") from None
        except subprocess.TimeoutExpired:
            raise SetupError(f"{' '.join(argv)} did not end within {limit:g} s") from None
        return Done(done.returncode, done.stdout.decode("utf-8", "replace"))


def _locked(descriptor: int) -> bool:
    """Is the lock ours now? Not on a file whose holder has deleted it at its end."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(descriptor).st_nlink > 0


def unfinished(name: str) -> str:
    """What a file is called while it is written."""
    folder, _, last = name.rpartition("/")
    return f"{folder}/.{last}.ajrd-new"


def sync(folder: Path) -> None:
    """Makes sure that a crash does not undo what has happened to the names in a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
