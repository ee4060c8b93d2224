"""What a recovery consists of, stage by stage, and when each was reached.

The times come from different witnesses: the log file itself, the store of ajrd, and Slurm asked
from outside. All are seconds since the epoch on one host.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ajrd.store.history import AttemptHistory

#: In the order in which they are reached.
STAGES = (
    "line written",
    "detected",
    "decided",
    "kill begun",
    "held",
    "released",
    "running",
    "first output",
)


@dataclass
class Stages:
    """When each stage was reached; absent ones were not seen."""

    at: dict[str, float] = field(default_factory=dict)

    def reach(self, stage: str, when: float | None = None) -> None:
        """Notes the first time only."""
        self.at.setdefault(stage, time.time() if when is None else when)

    def take_from_store(self, attempt: AttemptHistory) -> None:
        """What ajrd itself has written down of the recovery of this attempt."""
        cause, decision = attempt.deciding(), attempt.decision
        if cause is not None:
            self.reach("detected", cause.anomaly.detected_at.timestamp())
        if decision is None:
            return
        self.reach("decided", decision.created_at.timestamp())
        for action in decision.actions:
            if action.step == "requeue_hold" and action.claimed_at:
                self.reach("kill begun", action.claimed_at.timestamp())
            if action.step == "release" and action.finished_at:
                self.reach("released", action.finished_at.timestamp())

    def seconds(self, first: str, last: str) -> float | None:
        """From one stage to another."""
        if first not in self.at or last not in self.at:
            return None
        return self.at[last] - self.at[first]


class Watcher:
    """Looks at one job from outside: its state in Slurm, the files it writes."""

    def __init__(self, env: Mapping[str, str], folder: Path, job_id: str) -> None:
        self._env = dict(env)
        self._folder = folder
        self._job_id = job_id

    def view(self) -> tuple[str, str, int]:
        """State, reason, restarts; ("", "", -1) once Slurm has forgotten the job."""
        argv = ["squeue", "-h", "-t", "all", "-j", self._job_id]
        argv += ["-O", "State:|,Reason:|,RestartCnt:|"]
        done = subprocess.run(argv, env=self._env, capture_output=True, text=True, check=False)
        parts = done.stdout.strip().split("|")
        if done.returncode or len(parts) < 3:
            return "", "", -1
        return parts[0], parts[1], int(parts[2])

    def step_files(self) -> list[Path]:
        """The files of the job's steps, oldest first."""
        return sorted(self._folder.glob(f"*_{self._job_id}_*.log"))

    def watch(self, stages: Stages, crash: str, give_up: Callable[[], bool]) -> None:
        """Follows attempt 0 into attempt 1, noting what can be seen from outside."""
        while "first output" not in stages.at and not give_up():
            files = self.step_files()
            if files and "line written" not in stages.at and crash in files[0].read_text():
                stages.reach("line written")
            if len(files) > 1 and files[1].stat().st_size:
                stages.reach("first output")
            if "line written" in stages.at and "running" not in stages.at:
                self._look(stages)
            time.sleep(0.005)

    def _look(self, stages: Stages) -> None:
        state, reason, restarts = self.view()
        if restarts == 1 and state == "PENDING" and "held" in reason:
            stages.reach("held")
        if restarts == 1 and state == "RUNNING":
            stages.reach("running")
