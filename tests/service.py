"""A running ajrd for tests: the real command in a process of its own, against a real Slurm."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import labdemo.service
from labdemo.service import PATIENCE, Process
from tests.conftest import Cluster
from tests.nursery import Nursery

T = TypeVar("T")


def until(what: str, condition: Callable[[], T | bool | None], patience: float = PATIENCE) -> T:
    """The first value of ``condition`` that is true."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value  # type: ignore[return-value]
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


class Service(labdemo.service.Service):
    """A service in ``folder`` that is quick to act, and the hands of users and administrators."""

    def __init__(
        self,
        cluster: Cluster,
        folder: Path,
        *,
        slurm: Mapping[str, Any] | None = None,
        database: Mapping[str, Any] | None = None,
        web: Mapping[str, Any] | None = None,
        nursery: Nursery | None = None,
        **recovery: Any,
    ) -> None:
        self.cluster = cluster
        self._nursery = nursery
        sections = {
            "slurm": {"poll": 0.2, **(slurm or {})},
            "recovery": {"settle": 0.5, **recovery},
            "database": dict(database or {}),
            "web": dict(web or {}),
        }
        super().__init__(folder, cluster.conf, **sections)

    def launch(self, argv: Sequence[str], environment: Mapping[str, str]) -> Process:
        """From the nursery, if there is one; but a library must be loaded before all others."""
        if self._nursery is None or "LD_PRELOAD" in environment:
            return super().launch(argv, environment)
        return self._nursery.start(argv, environment, self.log)

    def kill(self) -> None:
        """As ``kill -9`` would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def await_stop(self) -> None:
        """Waits until the process has frozen at a checkpoint."""
        until("the service to freeze", lambda: self.stands_still)

    @property
    def stands_still(self) -> bool:
        """Has the process frozen?"""
        return self._process_state() == "T"

    def wake(self) -> None:
        """Lets a frozen process go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def await_event(self, name: str) -> None:
        """Waits until the service says so once more."""
        before = self._said(name)
        until(f"ajrd to say {name}", lambda: self._said(name) > before)

    def _said(self, name: str) -> int:
        return self.log.read_text().count(f'"event": "{name}"')

    def freeze(self) -> None:
        """As a host that stands still."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        self.await_stop()

    def _process_state(self) -> str:
        """The third field of proc_pid_stat(5)."""
        assert self.process is not None
        assert self.running, f"ajrd has ended; read {self.log}"
        return Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def reads(self) -> list[str]:
        """The logs of jobs that it has open."""
        assert self.process is not None
        links = (os.readlink(each) for each in Path(f"/proc/{self.process.pid}/fd").iterdir())
        return [path for path in links if path.endswith(".out")]

    def reload(self) -> None:
        """As ``systemctl reload`` would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)

    def wait(self) -> int:
        """The exit code, once the process has ended by itself."""
        assert self.process is not None
        return self.process.wait(PATIENCE)

    def events(self) -> list[dict[str, Any]]:
        """The complete lines of its own log."""
        lines = self.log.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def last_words(self, count: int) -> list[str]:
        """The end of its own log, whatever stands there; nothing if it was never started."""
        return self.log.read_text().splitlines()[-count:] if self.log.exists() else []

    def said(self, event: str, **facts: Any) -> list[dict[str, Any]]:
        """Those of one event, and with these facts."""
        wanted = {"event": event, **facts}
        return [line for line in self.events() if wanted.items() <= line.items()]

    # Slurm, as a user and as an administrator

    def slurm(self, *argv: str) -> str:
        """Runs one Slurm command in the folder."""
        done = subprocess.run(
            argv, env=self.cluster.env, cwd=self.folder, capture_output=True, text=True,
            check=False, timeout=PATIENCE,
        )  # fmt: skip
        assert done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout.strip()

    def submit(self, script: str, *options: str) -> str:
        """Submits a batch script and returns the job id."""
        path = self.folder / "job.sh"
        path.write_text(script)
        return self.slurm("sbatch", "--parsable", *options, str(path))

    def state(self, job_id: str) -> str:
        """State, reason and restarts as squeue prints them; "" for a job that is gone."""
        argv = ("squeue", "-h", "-t", "all", "-j", job_id, "-O", "State:|,Reason:|,RestartCnt:|")
        done = subprocess.run(
            argv, env=self.cluster.env, capture_output=True, text=True, check=False, timeout=60
        )
        return "" if done.returncode else done.stdout.strip()

    def await_state(self, job_id: str, beginning: str) -> str:
        """Waits until :meth:`state` begins so."""

        def there() -> str | None:
            found = self.state(job_id)
            return found if found.startswith(beginning) else None

        return until(f"job {job_id} to be {beginning}", there)

    def cancel_all(self) -> None:
        """Leaves no job behind for the next test.

        Slurm shows them for minutes yet, but without a directive they are no business of ajrd.
        """
        jobs = self.slurm("squeue", "-h", "-o", "%A").split()
        if jobs:
            self._try("scontrol", "update", f"JobId={','.join(jobs)}", "Comment=")
        self._try("scancel", "--signal=KILL", "--full", "--user", "root")
        self._try("scancel", "--user", "root")
        until("the jobs to be gone", lambda: not self.slurm("squeue", "-h", "-o", "%i"))

    def _try(self, *argv: str) -> None:
        """Runs a command that may find nothing to do."""
        subprocess.run(argv, env=self.cluster.env, check=False, capture_output=True, timeout=60)
