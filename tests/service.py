"""A running ajrd for tests: the real command in a process of its own, against a real Slurm."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from ajrd.errors import StoreUnavailable
from ajrd.store.history import JobHistory, read_history
from ajrd.store.read import Reader
from tests.conftest import Cluster

T = TypeVar("T")

#: Seconds of real time that a condition may take on a busy machine.
PATIENCE = 60.0


def until(what: str, condition: Callable[[], T | bool | None], patience: float = PATIENCE) -> T:
    """The first value of ``condition`` that is true."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value  # type: ignore[return-value]
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


class Service:
    """``ajrd run`` with a configuration and a store of its own in ``folder``."""

    def __init__(self, cluster: Cluster, folder: Path, **recovery: Any) -> None:
        self.cluster = cluster
        self.folder = folder
        self.config = folder / "config.yaml"
        self.log = folder / "ajrd.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.configure(**recovery)

    def configure(self, **recovery: Any) -> None:
        """Writes the configuration; quick but for what is given."""
        values = {
            "slurm": {"conf": str(self.cluster.conf), "poll": 0.2},
            "recovery": {"mode": "act", "settle": 0.5, **recovery},
            "database": {"url": f"sqlite:///{self.folder}/ajrd.sqlite"},
        }
        self.config.write_text(yaml.safe_dump(values))

    def start(self, **variables: str) -> None:
        """Starts the service and waits until it works."""
        before = self.log.read_text().count('"started"') if self.log.exists() else 0
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ajrd", "run", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **variables},
            )
        until("the service to start", lambda: self.log.read_text().count('"started"') > before)

    @property
    def running(self) -> bool:
        """Is the process there?"""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """As ``kill -9`` would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def wait(self) -> int:
        """The exit code, once the process has ended by itself."""
        assert self._process is not None
        return self._process.wait(PATIENCE)

    def stop(self) -> int | None:
        """As ``systemctl stop`` would; the exit code."""
        if self._process is None:
            return None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(PATIENCE)

    def reload(self) -> None:
        """As ``systemctl reload`` would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def events(self) -> list[dict[str, Any]]:
        """The lines of its own log."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def history(self, job_id: str) -> JobHistory | None:
        """What the store knows of a job."""
        try:
            reader = Reader(f"sqlite:///{self.folder}/ajrd.sqlite")
        except StoreUnavailable:
            return None
        try:
            job = reader.job(job_id)
            return read_history(reader, job) if job else None
        finally:
            reader.close()

    def ajrd(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Runs another command of ajrd with the same configuration."""
        return subprocess.run(
            [sys.executable, "-m", "ajrd", *argv],
            env={**os.environ, "AJRD_CONFIG": str(self.config)},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    def status(self, job_id: str) -> str:
        """What ``ajrd status`` prints."""
        done = self.ajrd("status", job_id)
        assert done.returncode == 0, done.stderr
        return done.stdout

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
        """Leaves no job behind for the next test."""
        argv = ["scancel", "--signal=KILL", "--full", "--user", "root"]
        subprocess.run(argv, env=self.cluster.env, check=False, capture_output=True, timeout=60)
        subprocess.run(
            ["scancel", "--user", "root"], env=self.cluster.env, check=False, capture_output=True,
            timeout=60,
        )  # fmt: skip
        until("the jobs to be gone", lambda: not self.slurm("squeue", "-h", "-o", "%i"))
