"""A job crashes on a private Slurm, ajrd brings it back, and the demo tells how long it took."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ajrd.model import DecisionState
from ajrd.store.history import JobHistory
from labcluster.cluster import Lab
from labcluster.errors import LabError
from labcluster.ports import free_block
from labdemo.service import Service
from labdemo.stages import STAGES, Stages, Watcher
from labdemo.story import Story

JOB = Path(__file__).parents[1] / "jobs" / "verification.sh"
CRASH = "segmentation fault: artificial segfault"
#: Seconds after which the demo says that something is wrong.
LONGEST = 300.0


def main() -> int:
    """Exit code 0 if the job came back and was stopped at its limit, 1 if not."""
    arguments = _parser().parse_args()
    console = Console(highlight=False, soft_wrap=True)
    try:
        with _folder(keep=arguments.keep) as folder:
            return _play(console, folder, full=arguments.full, keep=arguments.keep)
    except (LabError, subprocess.CalledProcessError) as error:
        console.print(Text(f"slurm/demo: {error}", "red"))
        return 1


def _play(console: Console, folder: Path, *, full: bool, keep: bool) -> int:
    lab = Lab(folder / "lab")
    own = _subfolder(folder, "ajrd")
    service = Service(own, lab.conf, web=_web(own) if keep else {})
    began = time.monotonic()
    try:
        lab.up(nodes=8)
        version = lab.command("sinfo", "--version").strip()
        console.print(f"{version}: 8 nodes are idle after {time.monotonic() - began:.1f} s")
        service.start()
        console.print(f"ajrd runs in act mode on its embedded store, log {service.log}")
        if keep:
            console.print(f"dashboard: {_dashboard(service)}", style="bold")
        console.print()
        done = _run_job(console, lab, service, _subfolder(folder, "work"), full=full)
    finally:
        if not keep:
            _end(lab, service)
    _farewell(console, folder, lab, service, keep=keep)
    return 0 if done else 1


def _web(folder: Path) -> dict[str, Any]:
    """Pages for anybody on this host to read; who steers says by the socket who he is."""
    address = f"127.0.0.1:{free_block(1)}"
    return {"socket": str(folder / "ajrd.sock"), "listen": address, "anonymous_read": True}


def _dashboard(service: Service) -> str:
    return f"http://{service.values['web']['listen']}/"


def _run_job(console: Console, lab: Lab, service: Service, work: Path, *, full: bool) -> bool:
    script = work / "verification.sh"
    script.write_text(JOB.read_text() if full else _quick(JOB.read_text()))
    submitted = datetime.now(UTC)
    job_id = lab.submit(script)
    console.print(_line(0.0, f"job {job_id} submitted: {script}", "bold"))
    stages = Stages()
    ended = threading.Event()
    watcher = Watcher(lab.env, work, job_id)
    thread = threading.Thread(target=watcher.watch, args=(stages, CRASH, ended.is_set))
    thread.start()
    try:
        history = _tell(console, service, job_id, submitted)
    finally:
        ended.set()
        thread.join()
    if history is None:
        console.print(Text(f"the job did not come back; read {service.log}", "red"))
        return False
    stages.take_from_store(history.attempts[0])
    console.print(_table(stages))
    console.print(f"\n$ ajrd status {job_id}", style="bold")
    console.print(Text(service.status(job_id)))
    return True


def _tell(
    console: Console, service: Service, job_id: str, submitted: datetime
) -> JobHistory | None:
    """Prints the timeline until the second attempt is stopped; None if that takes too long."""
    story, deadline = Story(), time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        history = service.history(job_id)
        if history is not None:
            for when, text, style in story.news(history):
                console.print(_line((when - submitted).total_seconds(), text, style))
            if _over(history):
                return history
        time.sleep(0.05)
    return None


def _over(history: JobHistory) -> bool:
    decisions = [attempt.decision for attempt in history.attempts]
    closed = [d for d in decisions if d is not None and d.state is not DecisionState.OPEN]
    return len(closed) == 2 and history.attempts[-1].attempt.ended_at is not None


def _quick(script: str) -> str:
    """The same job with shorter sleeps."""
    return script.replace("sleep 30", "sleep 3").replace("sleep 60", "sleep 20")


def _line(seconds: float, text: str, style: str) -> Text:
    return Text.assemble((f"{max(seconds, 0):6.1f} s  ", "dim"), (text, style))


def _table(stages: Stages) -> Table:
    table = Table(title="The recovery of attempt 0, stage by stage", title_justify="left")
    for name in ("stage", "after the crash line", "took"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    seen = [stage for stage in STAGES if stage in stages.at]
    for before, stage in zip([seen[0], *seen], seen, strict=False):
        took = stages.seconds(before, stage) or 0.0
        since = stages.seconds(seen[0], stage) or 0.0
        table.add_row(stage, f"{since:.3f} s", f"{took:.3f} s")
    return table


def _end(lab: Lab, service: Service) -> None:
    if service.running:
        service.stop()
    lab.down()


def _farewell(console: Console, folder: Path, lab: Lab, service: Service, *, keep: bool) -> None:
    if not keep:
        console.print("Where to look next:", style="bold")
        console.print(
            "  slurm/demo --keep       leaves the cluster and the service running for you"
        )
        console.print(
            "  slurm/jobs/             the job that was run, and one for singleton chains"
        )
        console.print("  README.md, docs/        how to run ajrd on your own cluster")
        return
    console.print("Left running for you:", style="bold")
    console.print(f"  {_dashboard(service)}    the dashboard, for anybody on this host to read")
    console.print(f"  eval $(slurm/lab env --dir {lab.root})    then sbatch, squeue, scontrol")
    console.print(f"  export AJRD_CONFIG={service.config}    then .venv/bin/ajrd list")
    pid = service.process.pid if service.process else 0
    console.print(f"  tail -f {service.log}    what the service says")
    console.print(f"  end it:  kill {pid}; slurm/lab down --dir {lab.root}; rm -r {folder}")


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="ajrd-demo-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _subfolder(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="slurm/demo", description=__doc__)
    parser.add_argument(
        "--full", action="store_true", help="run the job with its original sleeps (about 80 s)"
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave the cluster and the service running"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
