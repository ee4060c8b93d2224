"""Small files in a cache folder that nobody else may have written.

What is kept is used only if it belongs to the running user, nobody else may write it, and its
checksum is right; anything else is as good as absent. A folder that cannot be written is no error.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

#: Of root's commands. It ends with the boot, so that a host which ajrd leaves is as it was.
ROOTS = "/run/ajrd-root"
_DIGEST = 32


def default_folder() -> Path:
    """systemd's ``CacheDirectory=``, or the user's cache (XDG base directory specification)."""
    if given := os.environ.get("CACHE_DIRECTORY"):
        return Path(given.split(":")[0])
    if home := os.environ.get("XDG_CACHE_HOME"):
        return Path(home) / "ajrd"
    return Path(ROOTS) if os.geteuid() == 0 else Path(os.path.expanduser("~/.cache/ajrd"))


def recall(path: Path) -> bytes | None:
    """The content that :func:`keep` wrote; None if there is none to be trusted."""
    try:
        with path.open("rb") as file:
            if not _trusted(os.fstat(file.fileno())):
                return None
            digest, content = file.read(_DIGEST), file.read()
    except OSError:
        return None
    return content if hashlib.sha256(content).digest() == digest else None


def keep(path: Path, content: bytes) -> None:
    """Writes beside the place and renames, so that a reader never sees half of it."""
    with suppress(OSError):
        _write(path, hashlib.sha256(content).digest() + content)


def _trusted(status: os.stat_result) -> bool:
    return (
        stat.S_ISREG(status.st_mode)
        and status.st_uid == os.geteuid()
        and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except OSError:
        with suppress(OSError):
            os.unlink(name)
        raise
