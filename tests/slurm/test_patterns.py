"""The names that ajrd expands against the files that a real sbatch and srun create."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from ajrd.slurm.cli import CliSlurm
from ajrd.slurm.patterns import PatternContext, expand_batch, expand_step

#: All slurmd of the lab run on this host: %N names the host, not the node.
HOST = socket.gethostname().split(".", 1)[0]


def run(lab: Any, folder: Path, *argv: str) -> str:
    done = subprocess.run(
        argv, env=lab.env, cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def wait_for_files(folder: Path, count: int) -> set[str]:
    deadline = time.monotonic() + 45
    while True:
        files = {str(path) for path in folder.rglob("*") if path.is_file()}
        if len(files) >= count:
            return files
        assert time.monotonic() < deadline, f"{files} are not {count} files"
        time.sleep(0.05)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "%j.out",
        "%x-%J-%u-%b.log",
        "%4j_%12j_%0j.out",
        "%A_%a_%N_%n_%t_%s",
        "100%%_%%j_%5%.out",
        "%5x_%5s_%3n_%3t",
        "%z%5z.out",
        "plain",
        "trailing%",
        "literal\\%j.out",
        "two\\\\%j.out",
    ],
)
def test_sbatch_writes_where_the_pattern_says(lab: Any, tmp_path: Path, pattern: str) -> None:
    option = [f"--output={pattern}"] if pattern else []
    job_id = run(lab, tmp_path, "sbatch", "--parsable", "-J", "na.me", *option, "--wrap=true")
    context = PatternContext(
        job_id=int(job_id), job_name="na.me", user="root", work_dir=str(tmp_path), nodes=(HOST,)
    )
    assert {expand_batch(pattern, context)} == wait_for_files(tmp_path, 1)


@pytest.mark.parametrize("pattern", ["", "%A_%3a.out", "%j-%a", "%x.%a.out"])
def test_each_array_task_writes_where_the_pattern_says(
    lab: Any, tmp_path: Path, pattern: str
) -> None:
    option = [f"--output={pattern}"] if pattern else []
    array = run(lab, tmp_path, "sbatch", "--parsable", "-a", "1,3", *option, "--wrap=true")
    files = wait_for_files(tmp_path, 2)
    listing = run(lab, tmp_path, "squeue", "-h", "-t", "all", "-j", array, "-r", "-o", "%K %A")
    raw_ids = dict(line.split() for line in listing.splitlines())
    names = {
        expand_batch(
            pattern,
            PatternContext(
                job_id=int(raw_ids[task]), job_name="wrap", user="root", work_dir=str(tmp_path),
                array_job_id=int(array), array_task_id=int(task), nodes=(HOST,),
            ),
        )
        for task in ("1", "3")
    }  # fmt: skip
    assert names == files


async def test_the_output_file_that_is_shown_exists(lab: Any, tmp_path: Path) -> None:
    slurm = CliSlurm(str(lab.conf))
    options = ("--output=%x-%4j.out", "--error=%j.err", "-J", "shown")
    plain = run(lab, tmp_path, "sbatch", "--parsable", *options, "--wrap=sleep 1")
    array = run(lab, tmp_path, "sbatch", "--parsable", "-a", "7", "--wrap=sleep 1")
    files = wait_for_files(tmp_path, 3)
    jobs = [await slurm.job(plain), await slurm.job(f"{array}_7")]
    assert {path for job in jobs if job for path in (job.std_out, job.std_err)} == files


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("%j.%s.log", 1),
        ("%x_%J_%A_%a", 1),
        ("%t.out", 2),
        ("%3t-%12t.out", 2),
        ("%n-%t.out", 2),
        ("%n.out", 2),
        ("%N.out", 1),
        ("%u.out", 1),
        ("%%%j.out", 1),
        ("%%t.out", 1),
        ("%5j.%3s", 1),
        ("no\\%t.out", 1),
    ],
)
def test_srun_writes_where_the_pattern_says(
    lab: Any, tmp_path: Path, pattern: str, count: int
) -> None:
    srun = ("srun", "-N2", "-n2", "-J", "step", f"--output={pattern}")
    run(lab, tmp_path, *srun, "printenv", "SLURM_JOB_ID")
    files = wait_for_files(tmp_path, count)
    (job_id,) = {word for path in files for word in Path(path).read_text().split()}
    context = PatternContext(
        job_id=int(job_id), job_name="step", user="root", work_dir=str(tmp_path), step_id="0",
        nodes=(HOST, HOST), tasks=2,
    )  # fmt: skip
    names = expand_step(pattern, context)
    assert files <= set(names)
    assert len(names) == (4 if "%n-%t" in pattern else count)


@pytest.mark.parametrize("pattern", ["none", "all", "0"])
def test_srun_without_a_file_of_its_own_makes_none(lab: Any, tmp_path: Path, pattern: str) -> None:
    run(lab, tmp_path, "srun", "-n2", f"--output={pattern}", "echo", "x")
    assert list(tmp_path.iterdir()) == []
    assert expand_step(pattern, PatternContext(job_id=1, work_dir=str(tmp_path), tasks=2)) == []
