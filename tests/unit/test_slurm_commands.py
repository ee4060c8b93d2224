"""Running Slurm's commands: time limits, floods and what never becomes an argument."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from ajrd.errors import ConfigError, SlurmRejected, SlurmUnavailable
from ajrd.slurm import process
from ajrd.slurm.cli import CliSlurm
from ajrd.slurm.select import choose


def command(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_a_command_that_hangs_is_killed(tmp_path: Path) -> None:
    command(tmp_path, "scontrol", f"echo $$ > {tmp_path}/pid; exec sleep 600")
    slurm = CliSlurm(bin_dir=str(tmp_path), timeout=0.5)
    with pytest.raises(SlurmUnavailable, match=r"within 0.5 s"):
        await slurm.cluster()
    assert gone(int((tmp_path / "pid").read_text()))


async def test_a_cancelled_call_leaves_no_process(tmp_path: Path) -> None:
    command(
        tmp_path,
        "scontrol",
        f"echo $$ > {tmp_path}/pid.new; mv {tmp_path}/pid.new {tmp_path}/pid; exec sleep 600",
    )
    task = asyncio.create_task(CliSlurm(bin_dir=str(tmp_path)).cluster())
    deadline = time.monotonic() + 20
    while not (tmp_path / "pid").exists():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gone(int((tmp_path / "pid").read_text()))


async def test_a_command_that_floods_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "MAX_OUTPUT", 100_000)
    command(tmp_path, "scontrol", "exec yes")
    with pytest.raises(SlurmUnavailable, match="more than 100000 bytes"):
        await CliSlurm(bin_dir=str(tmp_path)).cluster()


async def test_a_flood_that_is_too_slow_is_ended_as_well(tmp_path: Path) -> None:
    command(tmp_path, "scontrol", f"echo $$ > {tmp_path}/pid; exec yes")
    with pytest.raises(SlurmUnavailable):
        await CliSlurm(bin_dir=str(tmp_path), timeout=0.3).cluster()
    assert gone(int((tmp_path / "pid").read_text()))


async def test_a_missing_command_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(SlurmUnavailable, match="install the Slurm client commands"):
        await CliSlurm(bin_dir=str(tmp_path)).cluster()


async def test_an_answer_that_makes_no_sense_is_no_answer(tmp_path: Path) -> None:
    command(tmp_path, "scontrol", "echo hello")
    with pytest.raises(SlurmUnavailable, match="cannot read"):
        await CliSlurm(bin_dir=str(tmp_path)).cluster()


async def test_a_question_that_is_refused_is_not_answered(tmp_path: Path) -> None:
    """Whatever the words: the caller must not take it for news of the job."""
    for name in ("scontrol", "squeue"):
        command(tmp_path, name, "echo 'slurm_load error: no such words before' >&2; exit 1")
    slurm = CliSlurm(bin_dir=str(tmp_path))
    for call in (slurm.cluster, slurm.jobs, lambda: slurm.job("7")):
        with pytest.raises(SlurmUnavailable, match="no such words before"):
            await call()


@pytest.mark.parametrize("job_id", ["--help", "1;reboot", "1 2", "", "all"])
async def test_what_is_no_job_id_reaches_no_command(tmp_path: Path, job_id: str) -> None:
    slurm = CliSlurm(bin_dir=str(tmp_path))
    for call in (slurm.requeue, slurm.requeue_hold, slurm.hold, slurm.release, slurm.cancel):
        with pytest.raises(SlurmRejected, match="no job id"):
            await call(job_id)
    assert await slurm.job(job_id) is None


def test_the_environment_of_a_shell_does_not_change_the_output() -> None:
    env = process.environment({"SQUEUE_FORMAT": "%i", "PATH": "/bin", "TZ": "UTC"}, "/c")
    wanted = {"PATH": "/bin", "TZ": "UTC", "SLURM_TIME_FORMAT": "%s", "LC_ALL": "C"}
    assert env == wanted | {"SLURM_CONF": "/c"}


async def test_without_pyslurm_the_commands_are_used(tmp_path: Path) -> None:
    config = "ClusterName = c\\nJobRequeue = 1\\nMinJobAge = 300 sec\\nSLURM_VERSION = 22.05.8\\n"
    command(tmp_path, "scontrol", f"printf '{config}'")
    assert isinstance(await choose(bin_dir=str(tmp_path)), CliSlurm)
    with pytest.raises(ConfigError, match="pyslurm cannot be used"):
        await choose(bin_dir=str(tmp_path), prefer="pyslurm")


async def test_a_controller_that_is_away_gets_the_commands(tmp_path: Path) -> None:
    assert isinstance(await choose(bin_dir=str(tmp_path)), CliSlurm)
    with pytest.raises(SlurmUnavailable):
        await choose(bin_dir=str(tmp_path), prefer="pyslurm")
