"""Processes of ``ajrd run`` without the second that each would spend on imports.

A nursery is a process that has imported what ajrd needs and then waits. For each service it forks:
the child gets a session, an environment and an output of its own and then runs the very command, as
``python -m ajrd run`` would. What it has imported is code; nothing of a service is made before.

Talks in lines of JSON: ``[argv, environment, log]`` is answered by the process id of a new child,
a process id by the child's exit status: null while it runs.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any


class Nursery:
    """Has the services of one test worker as its children."""

    def __init__(self) -> None:
        self._one = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.nursery"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, start_new_session=True,
        )  # fmt: skip

    def start(self, argv: Sequence[str], environment: Mapping[str, str], log: Path) -> Child:
        """``python -m ajrd`` with these arguments; its output is appended to ``log``."""
        return Child(self, self.ask([argv, dict(environment), str(log)]))

    def ask(self, what: object) -> Any:
        """The answer of the process."""
        with self._one:
            print(json.dumps(what), file=_open(self._process.stdin), flush=True)
            return json.loads(_open(self._process.stdout).readline())

    def close(self) -> None:
        """Ends it; services that still run go on."""
        with self._process:
            _open(self._process.stdin).close()


class Child:
    """One service: what :class:`subprocess.Popen` would tell of it and do to it."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._nursery = nursery

    def poll(self) -> int | None:
        """The exit code, a signal that ended it as a negative number; None while it runs."""
        if self.returncode is None:
            status = self._nursery.ask(self.pid)
            self.returncode = None if status is None else os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended; raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if timeout is not None and deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("ajrd", timeout)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        """Unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """As ``kill -9`` would."""
        self.send_signal(signal.SIGKILL)


def _open(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def _serve() -> bool:
    """Answers until nobody asks any more; True in a new child."""
    for line in sys.stdin:
        request = json.loads(line)
        if isinstance(request, int):
            pid, status = os.waitpid(request, os.WNOHANG)
            answer = status if pid else None
        else:
            answer = os.fork()
            if answer == 0:
                _become(*request)
                return True
        print(json.dumps(answer), flush=True)  # noqa: T201 -- the answer
    return False


def _become(argv: list[str], environment: dict[str, str], log: str) -> None:
    """Nothing of the nursery is left but what it has imported."""
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number, instead in enumerate((os.open(os.devnull, os.O_RDONLY), output, output)):
        os.dup2(instead, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    sys.argv[1:] = argv


if __name__ == "__main__":
    import ajrd.cli.run
    import ajrd.daemon  # noqa: F401 -- all that a service imports

    if _serve():
        runpy.run_module("ajrd", run_name="__main__", alter_sys=True)
