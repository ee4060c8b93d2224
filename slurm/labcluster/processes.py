"""Starting daemons and ending exactly those: a process is known by its number and start time.

A process number alone is reused by the kernel; with the start time of proc_pid_stat(5) it means
one process for as long as the host is up.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from labcluster.errors import LabError


@dataclass(frozen=True)
class Daemon:
    """A process that was started here; ``started`` is in clock ticks since boot."""

    name: str
    pid: int
    started: int
    log: Path

    @property
    def alive(self) -> bool:
        """True while it runs; a zombie is dead."""
        return start_time(self.pid) == self.started

    def tell(self, number: signal.Signals) -> None:
        """Sends a signal, unless the process is gone."""
        if self.alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def end(self, patience: float = 5.0) -> None:
        """SIGTERM, and SIGKILL after ``patience`` seconds; a frozen process is woken to die."""
        self.tell(signal.SIGTERM)
        self.tell(signal.SIGCONT)
        if not wait_until(lambda: not self.alive, patience):
            self.tell(signal.SIGKILL)
            wait_until(lambda: not self.alive, patience)


def start(name: str, argv: Sequence[str], log: Path, env: Mapping[str, str]) -> Daemon:
    """Starts a daemon in a session of its own; its output is appended to ``log``."""
    with log.open("ab") as output:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(env),
                cwd=log.parent,
                start_new_session=True,
            )
        except OSError as error:
            raise LabError(f"cannot start {name}: {argv[0]}: {error.strerror}") from None
    _REAPED.append(process)
    started = start_time(process.pid)
    if started is None:
        raise LabError(f"{name} ended at once; read {log}")
    return Daemon(name, process.pid, started, log)


#: Children of this very process: kept so that they are collected and do not stay zombies.
_REAPED: list[subprocess.Popen[bytes]] = []


def start_time(pid: int) -> int | None:
    """The 22nd field of proc_pid_stat(5); None if there is no such live process."""
    for child in _REAPED:
        if child.pid == pid:
            child.poll()
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Asks every 10 ms; False if the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def marked(variable: str, value: str) -> list[int]:
    """Processes whose environment holds ``variable=value``."""
    wanted = f"{variable}={value}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def with_descendants(pids: Iterable[int]) -> list[int]:
    """The processes and all their children, as proc_pid_stat(5) shows them."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], list(pids)
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found
