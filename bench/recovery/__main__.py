"""Recoveries on a private Slurm, beside ``scontrol requeue`` and ``requeuehold`` + ``release``.

All runs share one cluster and one stretch of time. The plain commands are given to running jobs
without a directive at the start, and their successors awaited while ajrd recovers one crashed
verification job after the other.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

from labcluster.cluster import Lab
from labdemo.__main__ import CRASH, JOB
from labdemo.service import Service
from labdemo.stages import STAGES, Stages, Watcher

#: What Slurm makes jobs wait, and a generous margin, seconds.
PATIENCE = 240.0


def main() -> int:
    """Prints three tables; exit code 1 if a recovery did not come to its end."""
    runs = _parser().parse_args().runs
    with tempfile.TemporaryDirectory(prefix="ajrd-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        lab = Lab(folder / "lab")
        lab.up(nodes=2 * runs + 4)
        try:
            return _measure(lab, folder, runs)
        finally:
            lab.down()


def _measure(lab: Lab, folder: Path, runs: int) -> int:
    print(f"{lab.command('sinfo', '--version').strip()}, {runs} runs each, settle 2 s\n")
    plain = {
        "scontrol requeue": [Plain(lab, folder, hold=False) for _ in range(runs)],
        "requeuehold + release": [Plain(lab, folder, hold=True) for _ in range(runs)],
    }
    threads = [threading.Thread(target=one.run) for ones in plain.values() for one in ones]
    for thread in threads:
        thread.start()
    work = folder / "ajrd"
    work.mkdir()
    service = Service(work, lab.conf)
    service.start()
    try:
        recoveries = [_recover(lab, service, work) for _ in range(runs)]
    finally:
        service.stop()
    _show_stages(recoveries)
    for thread in threads:
        thread.join()
    _show_peers(recoveries, {name: [one.took for one in ones] for name, ones in plain.items()})
    return 0 if all("first output" in stages.at for stages in recoveries) else 1


def _recover(lab: Lab, service: Service, work: Path) -> Stages:
    script = work / "verification.sh"
    script.write_text(JOB.read_text().replace("sleep 30", "sleep 1"))
    job_id = lab.submit(script)
    stages, deadline = Stages(), time.monotonic() + 60
    Watcher(lab.env, work, job_id).watch(stages, CRASH, lambda: time.monotonic() > deadline)
    lab.command("scancel", job_id)
    history = service.history(job_id)
    if history is not None and history.attempts:
        stages.take_from_store(history.attempts[0])
    return stages


class Plain:
    """One job that is requeued by hand; ``took`` is from the command to RUNNING, seconds."""

    def __init__(self, lab: Lab, folder: Path, *, hold: bool) -> None:
        self._lab = lab
        self._hold = hold
        script = folder / "plain.sh"
        script.write_text("#!/bin/bash\nsleep 1000\n")
        self._job = lab.submit(script)
        self._watcher = Watcher(lab.env, folder, self._job)
        self.took = float("nan")

    def run(self) -> None:
        """Requeues the job once it runs, and waits for it to run again."""
        self._await("RUNNING", 0)
        began = time.time()
        if self._hold:
            self._lab.command("scontrol", "requeuehold", self._job)
            self._await("PENDING", 1)
            self._lab.command("scontrol", "release", self._job)
        else:
            self._lab.command("scontrol", "requeue", self._job)
        if self._await("RUNNING", 1):
            self.took = time.time() - began
        self._lab.command("scancel", self._job)

    def _await(self, state: str, restarts: int) -> bool:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            seen, _reason, count = self._watcher.view()
            if (seen, count) == (state, restarts):
                return True
            time.sleep(0.25)
        return False


def _show_stages(recoveries: list[Stages]) -> None:
    print(f"{'stage':<14} {'after the line, s':>30}   {'after the stage before, s':>30}")
    print(f"{'':<14} {'min':>10}{'median':>10}{'max':>10}   {'min':>10}{'median':>10}{'max':>10}")
    for before, stage in zip(("line written", *STAGES), STAGES, strict=False):
        print(f"{stage:<14} {_row('line written', stage, recoveries)}   ", end="")
        print(_row(before, stage, recoveries))


def _row(first: str, last: str, recoveries: list[Stages]) -> str:
    seen = _seconds(first, last, recoveries)
    if not seen:
        return f"{'never':>30}"
    return f"{min(seen):>10.3f}{median(seen):>10.3f}{max(seen):>10.3f}"


def _seconds(first: str, last: str, recoveries: list[Stages]) -> list[float]:
    spans = (stages.seconds(first, last) for stages in recoveries)
    return [span for span in spans if span is not None]


def _show_peers(recoveries: list[Stages], plain: dict[str, list[float]]) -> None:
    ours = _seconds("kill begun", "running", recoveries)
    rows = {"ajrd": ours, **plain}
    print(f"\n{'kill to running, s':<24}{'min':>10}{'median':>10}{'max':>10}{'ratio':>10}")
    for name, took in rows.items():
        ratio = f"{median(took) / median(ours):>9.1f}x"
        print(f"{name:<24}{min(took):>10.2f}{median(took):>10.2f}{max(took):>10.2f}{ratio}")
    lines = _seconds("line written", "running", recoveries)
    slowest = min(median(took) for took in plain.values())
    print(f"\ncrash line to running: {median(lines):.2f} s, settle included;", end=" ")
    print(f"the plain commands take {slowest / median(lines):.1f} times as long from the kill on")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench/run recovery", description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="recoveries to measure")
    return parser


if __name__ == "__main__":
    sys.exit(main())
