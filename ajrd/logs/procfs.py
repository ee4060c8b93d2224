"""The output files of an ``srun`` on this host, read from its open descriptors.

Before 25.05 no Slurm command tells where an srun step writes; ``scontrol show step`` gives host
and process of the srun, and proc(5) its descriptors.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path


def is_this_host(name: str) -> bool:
    """Host names are compared without their domain."""
    return bool(name) and name.partition(".")[0] == socket.gethostname().partition(".")[0]


def files_written_by_srun(pid: int, uid: int, proc: str = "/proc") -> list[str]:
    """Paths of the files that the process has open for writing.

    Empty if it is gone, if it is no ``srun`` (process numbers are reused), or not of ``uid``.
    """
    home = Path(proc, str(pid))
    try:
        if home.stat().st_uid != uid or (home / "comm").read_text().strip() != "srun":
            return []
        numbers = os.listdir(home / "fd")
    except OSError:
        return []
    found = (_written_file(home, number) for number in sorted(numbers))
    return list(dict.fromkeys(path for path in found if path))


def _written_file(home: Path, number: str) -> str | None:
    """A pipe, socket or device has no path of its own, or one below /dev or /proc."""
    try:
        path = os.readlink(home / "fd" / number)
        info = (home / "fdinfo" / number).read_text()
    except OSError:
        return None
    if not path.startswith("/") or path.startswith(("/dev/", "/proc/", "/sys/")):
        return None
    return path if _for_writing(info) and not path.endswith(" (deleted)") else None


def _for_writing(fdinfo: str) -> bool:
    """``flags:`` is the octal value of open(2)."""
    for line in fdinfo.splitlines():
        key, _, value = line.partition(":")
        if key == "flags":
            return int(value, 8) & os.O_ACCMODE != os.O_RDONLY
    return False
