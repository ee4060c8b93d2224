"""The lab itself: several at a time, accounting, clear failures, and nothing left behind."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from labcluster.cluster import Lab
from labcluster.errors import LabError
from labcluster.processes import marked, wait_until

LAB = Path(__file__).parents[2] / "slurm" / "lab"


def lab_command(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(LAB), *argv], capture_output=True, text=True, timeout=120)


def test_two_labs_run_beside_each_other_and_end_without_a_trace(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        done = lab_command("up", "--nodes", "2", "--dir", str(folder))
        assert done.returncode == 0, done.stderr
        assert "2 nodes are idle" in done.stdout
    env = {**os.environ, "SLURM_CONF": str(first / "slurm.conf")}
    argv = ["sbatch", "--parsable", "-N2", "-o", f"{tmp_path}/out", "--wrap=srun -N2 sleep 600"]
    job_id = subprocess.run(argv, env=env, capture_output=True, text=True).stdout.strip()
    steps = f"{job_id}.0"
    assert wait_until(lambda: steps in Lab(first).command("squeue", "-h", "-s", "-o", "%i"), 60), (
        "the step did not start"
    )
    assert lab_command("down", "--dir", str(first)).returncode == 0
    assert marked("SLURM_CONF", str(first / "slurm.conf")) == []
    assert lab_command("status", "--dir", str(first)).returncode == 3
    assert lab_command("status", "--dir", str(second)).returncode == 0
    assert lab_command("down", "--remove", "--dir", str(second)).returncode == 0
    assert not second.exists()


def test_env_is_all_that_a_shell_needs(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "lab")
    lab.up(nodes=1)
    try:
        script = f"eval $('{LAB}' env --dir '{lab.root}') && sinfo -h -o %D -p main"
        shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
        assert shell.stdout.strip() == "1", shell.stderr
    finally:
        lab.down()


def test_accounting_keeps_the_comment_of_a_job(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "lab")
    lab.up(nodes=1, accounting=True)
    try:
        lab.command("sbatch", "--comment=kept", "--chdir=/", "-o", "/dev/null", "--wrap=true")

        def accounted() -> bool:
            return "kept" in lab.command("sacct", "-n", "-X", "-P", "-o", "comment,state")

        assert wait_until(accounted, 60)
    finally:
        lab.down()


def test_a_failed_start_names_the_log_and_leaves_nothing_running(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "lab")
    with pytest.raises(
        LabError, match=r"slurmctld (did not come up|ended at once); read .*/log/slurmctld.log"
    ):
        lab.up(nodes=1, extra={"SelectType": "select/none_such"})
    assert marked("AJRD_LAB_DAEMON_OF", str(lab.root)) == []


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("ten years of work")
    with pytest.raises(LabError, match="is not empty and holds no lab"):
        Lab(tmp_path).up(nodes=1)
    Lab(tmp_path).remove()
    assert (tmp_path / "thesis.tex").exists()


def test_a_folder_that_slurm_conf_cannot_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="takes no blanks"):
        Lab(tmp_path / "a lab").up(nodes=1)


def test_a_lab_that_runs_is_not_started_again(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "lab")
    lab.up(nodes=1)
    try:
        with pytest.raises(LabError, match="a lab is running"):
            Lab(lab.root).up(nodes=1)
    finally:
        lab.down()
