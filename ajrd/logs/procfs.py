"""The output files of an ``srun`` on this host, read from its descriptors and its command line.

Before 25.05 no Slurm command tells where an srun step writes; ``scontrol show step`` gives host
and process of the srun, and proc(5) the rest. srun opens a file that all tasks share; files of
single tasks and nodes (``%t``, ``%n``) are opened by slurmstepd, and only srun's options tell.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from ajrd.logs.srunargs import output_patterns


def is_this_host(name: str) -> bool:
    """Host names are compared without their domain."""
    return bool(name) and name.partition(".")[0] == socket.gethostname().partition(".")[0]


def files_written_by_srun(pid: int, uid: int, proc: str = "/proc") -> list[str]:
    """Paths of the files that the process has open for writing.

    Empty if it is gone, if it is no ``srun`` (process numbers are reused), or not of ``uid``.
    """
    home = _srun(pid, uid, proc)
    if home is None:
        return []
    try:
        numbers = os.listdir(home / "fd")
    except OSError:
        return []
    found = (_written_file(home, number) for number in sorted(numbers))
    return list(dict.fromkeys(path for path in found if path))


def patterns_of_srun(pid: int, uid: int, proc: str = "/proc") -> list[str]:
    """The file name patterns that the process was started with, as absolute paths."""
    home = _srun(pid, uid, proc)
    if home is None:
        return []
    try:
        words = os.fsdecode((home / "cmdline").read_bytes()).split("\0")[1:-1]
        variables = os.fsdecode((home / "environ").read_bytes()).split("\0")
        folder = os.readlink(home / "cwd")
    except OSError:
        return []
    known = dict(variable.partition("=")[::2] for variable in variables)
    patterns, relative_to = output_patterns(words, known, folder)
    return [os.path.join(folder, relative_to, pattern) for pattern in patterns if _file(pattern)]


def _file(pattern: str) -> bool:
    """False for the words and numbers that srun takes in place of a file (srun(1), --output)."""
    special = pattern.lower() in ("none", "all", "-") or pattern.startswith("/dev/")
    return not special and not pattern.isdigit()


def _srun(pid: int, uid: int, proc: str) -> Path | None:
    """The folder of the process in proc(5), if it is an ``srun`` of this user."""
    home = Path(proc, str(pid))
    try:
        if home.stat().st_uid != uid or (home / "comm").read_text().strip() != "srun":
            return None
    except OSError:
        return None
    return home


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
