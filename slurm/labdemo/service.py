"""``ajrd run`` on a lab: a process of its own, with its configuration in one folder.

The store lies there, too, unless the configuration names another.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Protocol

import yaml

from ajrd.config import load
from ajrd.errors import StoreUnavailable
from ajrd.store.history import JobHistory, read_history
from ajrd.store.read import Reader
from labcluster.errors import LabError

#: Seconds for what takes a moment on an idle machine.
PATIENCE = 60.0


class Process(Protocol):
    """What is told of a process and done to it; see :class:`subprocess.Popen`."""

    pid: int

    def poll(self) -> int | None:
        """The exit code; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended."""

    def send_signal(self, sig: int, /) -> None:
        """Sends a signal."""

    def kill(self) -> None:
        """Sends SIGKILL."""


class Service:
    """The service of one lab. ``sections`` replace those of the configuration, key by key.

    ``values`` is the configuration.
    """

    def __init__(self, folder: Path, slurm_conf: Path, **sections: dict[str, Any]) -> None:
        self.folder = folder
        self.config = folder / "config.yaml"
        self.log = folder / "ajrd.log"
        self.process: Process | None = None
        values: dict[str, dict[str, Any]] = {
            "slurm": {"conf": str(slurm_conf)},
            "recovery": {"mode": "act"},
            "database": {"url": f"sqlite:///{folder}/ajrd.sqlite"},
        }
        for name, section in sections.items():
            values[name] = values.get(name, {}) | section
        self.values = values
        self.config.write_text(yaml.safe_dump(values, sort_keys=False))

    def start(self, **variables: str) -> None:
        """Starts the service and waits until it works; raises LabError if it does not."""
        before = self._starts()
        argv = ("run", "--config", str(self.config))
        self.process = self.launch(argv, {**os.environ, **variables})
        deadline = time.monotonic() + PATIENCE
        while self._starts() == before:
            if time.monotonic() > deadline or not self.running:
                raise LabError(f"ajrd did not start; read {self.log}")
            time.sleep(0.02)

    def launch(self, argv: Sequence[str], environment: Mapping[str, str]) -> Process:
        """``ajrd`` in a process of its own that writes into the log."""
        with self.log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "ajrd", *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )

    def _starts(self) -> int:
        return self.log.read_text().count('"started"') if self.log.exists() else 0

    @property
    def running(self) -> bool:
        """Is the process there?"""
        return self.process is not None and self.process.poll() is None

    def stop(self) -> int:
        """As ``systemctl stop`` would; the exit code."""
        self.terminate()
        assert self.process is not None
        return self.process.wait(PATIENCE)

    def terminate(self) -> None:
        """Asks it to stop, and does not wait."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def history(self, job_id: str) -> JobHistory | None:
        """What the store knows of a job; None also while it does not answer."""
        with (
            suppress(StoreUnavailable),
            closing(Reader(load(self.config).database.address())) as db,
        ):
            job = db.job(job_id)
            return read_history(db, job) if job else None
        return None

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
        if done.returncode:
            raise LabError(f"ajrd status {job_id} failed: {done.stderr.strip()}")
        return done.stdout
