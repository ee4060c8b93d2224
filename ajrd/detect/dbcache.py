"""hyperscan's databases: compiling takes tens of milliseconds, so they are kept on disk.

A kept database is used only if it belongs to the running user, nobody else may write it, and its
checksum is right; anything else is compiled anew. A folder that cannot be written is no error.
"""

from __future__ import annotations

import hashlib
import os
import platform
import stat
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import hyperscan

    AVAILABLE = True
    #: Raised by a scan whose handler said that it is enough.
    STOPPED: type[Exception] = hyperscan.ScanTerminated
except ImportError:  # no wheel for this machine: RE2 does the work alone
    AVAILABLE = False
    STOPPED = RuntimeError

#: Changes when the flags or the layout of the file change.
_FORMAT = b"ajrd-hyperscan-3\n"
_DIGEST = 32


@dataclass(frozen=True, slots=True)
class Expression:
    """A pattern for hyperscan; ``once``: one report for a block is enough."""

    pattern: str
    sensitive: bool
    once: bool = False

    @property
    def flags(self) -> int:
        """``^`` and ``$`` are the ends of lines."""
        flags: int = hyperscan.HS_FLAG_MULTILINE
        flags |= hyperscan.HS_FLAG_SINGLEMATCH if self.once else 0
        return flags if self.sensitive else flags | hyperscan.HS_FLAG_CASELESS


class RefusedError(ValueError):
    """hyperscan cannot compile an expression."""


def database(expressions: Sequence[Expression], cache: Path | None = None) -> Any:
    """A database for the expressions, numbered by their places; raises RefusedError."""
    path = (cache or default_folder()) / f"{_key(expressions)}.hsdb"
    kept = _load(path)
    if kept is not None:
        return kept
    compiled = _compile(expressions)
    with suppress(OSError):
        _keep(path, hyperscan.dumpb(compiled))
    return compiled


def scratch(compiled: Any) -> object:
    """Working memory for one thread."""
    return hyperscan.Scratch(compiled)


def refusal(expression: Expression) -> str:
    """Why hyperscan refuses an expression; "" if it does not."""
    try:
        _compile([expression])
    except RefusedError as error:
        return str(error)
    return ""


def default_folder() -> Path:
    """systemd's ``CacheDirectory=`` or the user's cache (XDG base directory specification)."""
    if given := os.environ.get("CACHE_DIRECTORY"):
        return Path(given.split(":")[0])
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home) / "ajrd"


def _compile(expressions: Sequence[Expression]) -> Any:
    compiled = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    try:
        compiled.compile(
            expressions=[e.pattern.encode("ascii") for e in expressions],
            ids=list(range(len(expressions))),
            elements=len(expressions),
            flags=[e.flags for e in expressions],
        )
    except hyperscan.error as error:
        raise RefusedError(str(error)) from None
    return compiled


def _key(expressions: Sequence[Expression]) -> str:
    made_by = (getattr(hyperscan, "__version__", ""), platform.machine())
    content = repr((made_by, [(e.pattern, e.flags) for e in expressions]))
    return hashlib.sha256(_FORMAT + content.encode()).hexdigest()


def _load(path: Path) -> Any | None:
    try:
        with path.open("rb") as file:
            if not _trusted(os.fstat(file.fileno())):
                return None
            digest, dump = file.read(_DIGEST), file.read()
    except OSError:
        return None
    if hashlib.sha256(dump).digest() != digest:
        return None
    try:
        return hyperscan.loadb(dump, hyperscan.HS_MODE_BLOCK)
    except hyperscan.error:  # made on another kind of processor (a shared home)
        return None


def _trusted(status: os.stat_result) -> bool:
    """A database is code to hyperscan: only this user may have written it."""
    return (
        stat.S_ISREG(status.st_mode)
        and status.st_uid == os.geteuid()
        and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


def _keep(path: Path, dump: bytes) -> None:
    """Writes beside the place and renames, so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(hashlib.sha256(dump).digest() + dump)
        os.replace(name, path)
    except OSError:
        with suppress(OSError):
            os.unlink(name)
        raise
