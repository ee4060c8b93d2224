"""The names that ajrd expands against the files that a real sbatch and srun create.

``ajrd.slurm.patterns`` has the rules of the versions that show a pattern in place of a name.
slurmd and srun of 25.11 have new ones (``expand_stdio_fields`` in ``src/common/print_fields.c``):
more conversions, another way with what is no conversion, and %N is the node's name. From 25.05
on Slurm shows the names of batch scripts' files, and ajrd takes those.
"""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from ClusterShell.NodeSet import NodeSet

from ajrd.slurm.cli import CliSlurm
from ajrd.slurm.patterns import PatternContext, expand_batch, expand_step

HOST = socket.gethostname().split(".", 1)[0]
#: From here on the rules differ in corners, and %N is the node's name.
NEW_RULES = (25, 11)
#: From here on Slurm shows the names of output files.
SHOWN = (25, 5)
#: What only the older rules read so.
OLD_ONLY = {
    "%x-%J-%u-%b.log",  # %b is no conversion
    "100%%_%%j_%5%.out",  # the percent sign of what is no conversion goes, its width stays …
    "%z%5z.out",
    "trailing%",  # … and a last one stays
    "two\\\\%j.out",  # a backslash protects a backslash
    "%x_%J_%A_%a",  # %a of a step outside of arrays is NO_VAL, not 0
}


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


async def version_of(lab: Any) -> tuple[int, int]:
    major, minor, _micro = (await CliSlurm(str(lab.conf)).cluster()).version
    return major, minor


def places(lab: Any, folder: Path, job_id: str, version: tuple[int, int]) -> tuple[str, ...]:
    """What %N stands for. All slurmd of the lab run on this host, which the old rules name."""
    nodes = run(lab, folder, "squeue", "-h", "-t", "all", "-j", job_id, "-o", "%N")
    return tuple(NodeSet(nodes)) if version >= NEW_RULES else (HOST,) * len(NodeSet(nodes))


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
async def test_sbatch_writes_where_the_pattern_says(lab: Any, tmp_path: Path, pattern: str) -> None:
    option = [f"--output={pattern}"] if pattern else []
    job_id = run(lab, tmp_path, "sbatch", "--parsable", "-J", "na.me", *option, "--wrap=true")
    files = wait_for_files(tmp_path, 1)
    version = await version_of(lab)
    if version >= SHOWN:
        job = await CliSlurm(str(lab.conf)).job(job_id)
        assert job is not None
        assert {job.std_out} == files
    if version < NEW_RULES or pattern not in OLD_ONLY:
        context = PatternContext(
            job_id=int(job_id), job_name="na.me", user="root", work_dir=str(tmp_path),
            nodes=places(lab, tmp_path, job_id, version),
        )  # fmt: skip
        assert {expand_batch(pattern, context)} == files


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
async def test_srun_writes_where_the_pattern_says(
    lab: Any, tmp_path: Path, pattern: str, count: int
) -> None:
    version = await version_of(lab)
    if version >= NEW_RULES and pattern in OLD_ONLY:
        pytest.skip("this Slurm reads the pattern otherwise")
    srun = ("srun", "-N2", "-n2", "-J", "step", f"--output={pattern}")
    run(lab, tmp_path, *srun, "printenv", "SLURM_JOB_ID")
    files = wait_for_files(tmp_path, 2 if pattern == "%N.out" and version >= NEW_RULES else count)
    (job_id,) = {word for path in files for word in Path(path).read_text().split()}
    context = PatternContext(
        job_id=int(job_id), job_name="step", user="root", work_dir=str(tmp_path), step_id="0",
        nodes=places(lab, tmp_path, job_id, version), tasks=2,
    )  # fmt: skip
    names = expand_step(pattern, context)
    assert files <= set(names)
    assert len(names) == (4 if "%n-%t" in pattern else len(files))


@pytest.mark.parametrize("pattern", ["none", "all", "0"])
def test_srun_without_a_file_of_its_own_makes_none(lab: Any, tmp_path: Path, pattern: str) -> None:
    run(lab, tmp_path, "srun", "-n2", f"--output={pattern}", "echo", "x")
    assert list(tmp_path.iterdir()) == []
    assert expand_step(pattern, PatternContext(job_id=1, work_dir=str(tmp_path), tasks=2)) == []
