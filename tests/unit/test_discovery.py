"""Log files are found by every road there is, once each, and within bounds."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ajrd.logs.discovery import DiscoveryLimits, Found, find_logs
from ajrd.logs.naming import carries, marks_of
from ajrd.logs.procfs import files_written_by_srun
from ajrd.model import LogOrigin, StepInfo
from tests.unit.samples import directive, job

NOW = datetime.now(UTC)
HOOK = Path(__file__).parents[2] / "slurm" / "hooks" / "srun-prolog"


def find(
    work: Path,
    *,
    steps: tuple[StepInfo, ...] = (),
    log_paths: tuple[str, ...] = (),
    report_dir: Path | None = None,
    limits: DiscoveryLimits | None = None,
    **changes: Any,
) -> Found:
    values = {"uid": os.getuid(), "gid": os.getgid(), "work_dir": str(work)}
    return find_logs(
        job(**values | changes),
        steps,
        directive(log_paths=log_paths),
        since=NOW - timedelta(minutes=1),
        report_dir=None if report_dir is None else str(report_dir),
        limits=limits,
    )


def names(found: Found) -> list[tuple[str, LogOrigin]]:
    return [(os.path.basename(file.path), file.origin) for file in found.files]


def step(**changes: Any) -> StepInfo:
    values: dict[str, Any] = {"job_id": "7", "step_id": "0", "name": "s", "nodes": "n1"}
    return StepInfo(**values | changes)


def write(path: Path, text: str = "text\n", age: float = 0.0) -> Path:
    path.write_text(text)
    moment = (NOW - timedelta(seconds=age)).timestamp()
    os.utime(path, (moment, moment))
    return path


def test_outputs_of_steps_and_batch_are_found_before_they_exist(tmp_path: Path) -> None:
    found = find(
        tmp_path,
        steps=(step(std_out="step.log"),),
        std_out=str(tmp_path / "out"),
        std_err=str(tmp_path / "err"),
    )
    assert names(found) == [
        ("step.log", LogOrigin.STEP),
        ("out", LogOrigin.BATCH),
        ("err", LogOrigin.BATCH),
    ]


def test_one_file_under_several_names_is_found_once(tmp_path: Path) -> None:
    write(tmp_path / "slurm-7.out")
    (tmp_path / "link-7.out").symlink_to("slurm-7.out")
    os.link(tmp_path / "slurm-7.out", tmp_path / "hard-7.out")
    out = str(tmp_path / "slurm-7.out")
    found = find(tmp_path, std_out=out, std_err=out, log_paths=("link-7.out",))
    assert names(found) == [("slurm-7.out", LogOrigin.BATCH)]


def test_paths_of_the_directive_are_expanded_and_relative_to_the_working_folder(
    tmp_path: Path,
) -> None:
    found = find(tmp_path, log_paths=("%x_%j.log", "rank%t.log", "/elsewhere/a.log"))
    assert [file.path for file in found.files] == [
        f"{tmp_path}/train_7.log",
        f"{tmp_path}/rank0.log",
        "/elsewhere/a.log",
    ]


def test_wildcards_of_the_directive_match_files_written_in_the_attempt(tmp_path: Path) -> None:
    write(tmp_path / "rank0.log")
    write(tmp_path / "rank1.log", age=3600)
    write(tmp_path / "other.txt")
    assert names(find(tmp_path, log_paths=("rank*.log",))) == [("rank0.log", LogOrigin.DIRECTIVE)]


def test_the_working_folder_is_searched_for_names_with_the_job_id(tmp_path: Path) -> None:
    write(tmp_path / "verify_7_2026.log")
    write(tmp_path / "verify_77_2026.log")
    write(tmp_path / "verify_7_old.log", age=3600)
    write(tmp_path / "checkpoint_7.bin", "PK\0\0")
    (tmp_path / "folder_7").mkdir()
    os.mkfifo(tmp_path / "fifo_7")
    assert names(find(tmp_path)) == [("verify_7_2026.log", LogOrigin.SEARCH)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_of_others_are_not_taken_for_logs_of_the_job(tmp_path: Path) -> None:
    os.chown(write(tmp_path / "log_7"), 54321, 54321)
    assert names(find(tmp_path)) == []


def test_the_folder_of_the_batch_output_is_searched_too(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    write(tmp_path / "logs" / "step-7.log")
    found = find(tmp_path, std_out=str(tmp_path / "logs" / "out"))
    assert names(found)[1:] == [("step-7.log", LogOrigin.SEARCH)]


def test_an_array_task_is_searched_by_both_of_its_numbers(tmp_path: Path) -> None:
    for name in ("a_40_3.log", "b_43.log", "c_40_31.log", "d_40.log"):
        write(tmp_path / name)
    found = find(tmp_path, job_id="40_3", raw_id=43, array_job_id=40)
    assert sorted(name for name, _ in names(found)) == ["a_40_3.log", "b_43.log"]


@pytest.mark.parametrize(
    ("name", "carried"),
    [("slurm-7.out", True), ("77.log", False), ("v17", False), ("chain7.9.out", False)],
)
def test_a_job_id_must_stand_as_a_whole_number(name: str, carried: bool) -> None:
    assert carries(name, ("7",)) is carried


def test_a_large_job_id_may_stand_beside_letters() -> None:
    assert carries("job10007.log", ("10007",))
    assert not carries("job110007.log", ("10007",))
    assert not carries("job1007.log", ("1007",))


def test_a_folder_with_too_many_entries_is_given_up_and_named(tmp_path: Path) -> None:
    for number in range(20):
        write(tmp_path / f"x{number}")
    found = find(tmp_path, limits=DiscoveryLimits(entries=10))
    assert found.gave_up == (f"{tmp_path} is too large to be searched",)


def test_a_folder_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    write(tmp_path / "log_7")
    found = find(tmp_path, limits=DiscoveryLimits(seconds=-1.0))
    assert found.gave_up == (f"{tmp_path} is too large to be searched",)


def test_no_more_files_are_found_than_the_limit_and_it_is_said(tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path / f"7.{number}")
    found = find(tmp_path, limits=DiscoveryLimits(files=3))
    assert len(found.files) == 3
    assert found.gave_up == ("more than 3 log files",)


def test_an_output_that_is_no_file_is_named(tmp_path: Path) -> None:
    found = find(tmp_path, std_out="/dev/null")
    assert found.files == ()
    assert "/dev/null is not a regular file" in found.gave_up


def test_a_missing_working_folder_is_named(tmp_path: Path) -> None:
    found = find(tmp_path / "gone")
    assert found.gave_up == (f"{tmp_path}/gone: No such file or directory",)


# reports of the step hook


def test_reports_of_the_step_hook_are_read(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    reports.mkdir()
    (reports / "7.0.123").write_text("/data/step.log\nrelative\n/data/%N.log\n")
    (reports / "77.0.9").write_text("/data/other.log\n")
    found = find(tmp_path, report_dir=reports)
    assert [file.path for file in found.files] == [
        "/data/step.log",
        "/data/n1.log",
        "/data/n2.log",
    ]
    assert {file.origin for file in found.files} == {LogOrigin.HOOK}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_report_of_another_user_does_not_count(tmp_path: Path) -> None:
    os.chown(write(tmp_path / "7.0", "/data/step.log\n"), 54321, 54321)
    found = find(tmp_path / "none", report_dir=tmp_path)
    assert found.files == ()
    assert f"report {tmp_path}/7.0 is not a file of the job's owner" in found.gave_up


def test_a_report_that_is_a_symlink_or_too_long_does_not_count(tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    reports.mkdir()
    (reports / "7.0").symlink_to(write(tmp_path / "file", "/data/step.log\n"))
    write(reports / "7.1", "/data/step.log\n" * 10_000)
    assert find(tmp_path, report_dir=reports).files == ()


# the srun on this host


@contextmanager
def fake_srun(log: Path, *command: str) -> Iterator[int]:
    """A process by the name of srun that writes to ``log`` and reads another file."""
    program = (
        "import sys, pathlib, signal\n"
        "pathlib.Path('/proc/self/comm').write_text('srun')\n"
        "kept = open(sys.argv[1], 'w'), open('/etc/passwd')\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n"
    )
    argv = [sys.executable, "-c", program, str(log)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


def test_files_that_an_srun_on_this_host_writes_are_found(tmp_path: Path) -> None:
    with fake_srun(tmp_path / "step.log") as pid:
        here = step(srun_host=socket.gethostname(), srun_pid=pid)
        there = step(srun_host="elsewhere", srun_pid=pid)
        assert names(find(tmp_path, steps=(here,))) == [("step.log", LogOrigin.STEP)]
        assert names(find(tmp_path, steps=(there,))) == []


def test_a_process_of_another_user_or_name_is_not_asked(tmp_path: Path) -> None:
    with fake_srun(tmp_path / "step.log") as pid:
        assert files_written_by_srun(pid, os.getuid() + 1) == []
    assert files_written_by_srun(os.getpid(), os.getuid()) == []


# the hook itself


def run_hook(shell: str, options: list[str], command: list[str], folder: Path) -> list[str]:
    """Runs the hook as a child of a process with srun's command line, in ``folder``."""
    reports = folder / "reports"
    reports.mkdir(exist_ok=True)
    script = f'"$SHELL_UNDER_TEST" "{HOOK}" "${{@:{len(options) + 1}}}"; echo "exit $?"'
    environment = {
        "PATH": os.environ["PATH"],
        "SHELL_UNDER_TEST": shell,
        "AJRD_REPORT_DIR": str(reports),
        "SLURM_JOB_ID": "7",
        "SLURM_STEP_ID": "2",
    }
    # bash -c SCRIPT NAME ARG...: three words stand before what would be srun's own arguments
    done = subprocess.run(
        ["bash", "-c", script, "srun", *options, *command],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.stdout == "exit 0\n"
    assert done.stderr == ""
    lines = [line for report in reports.iterdir() for line in report.read_text().splitlines()]
    assert all(report.name.startswith("7.2.") for report in reports.iterdir())
    return [line for line in lines if line]


@pytest.mark.parametrize("shell", ["dash", "bash"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--output=step.log"], ["{}/step.log"]),
        (["-n", "2", "-o", "a b.log", "--error", "/e/%J.err"], ["{}/a b.log", "/e/7.2.err"]),
        (["-ostep-%s.log"], ["{}/step-2.log"]),
        (["--output=none", "--error=3"], []),
        (["--output=/dev/null"], []),
        ([], []),
    ],
)
def test_the_srun_hook_reports_the_outputs_of_its_step(
    shell: str, options: list[str], expected: list[str], tmp_path: Path
) -> None:
    command = ["./train", "-o", "not-ours", "--output=neither"]
    lines = run_hook(shell, options, command, tmp_path)
    assert lines == [line.format(tmp_path) for line in expected]


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_the_srun_hook_never_fails(shell: str, tmp_path: Path) -> None:
    environment = {"AJRD_REPORT_DIR": str(tmp_path / "gone"), "PATH": os.environ["PATH"]}
    for extra in ({}, {"SLURM_JOB_ID": "x/../y"}, {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0"}):
        done = subprocess.run(
            [shell, str(HOOK), "a"], env=environment | extra, capture_output=True, timeout=20
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    ("name", "raw_id", "ours"),
    [
        ("slurm-7_2.out", 7, True),
        ("slurm-7_1.out", 7, False),
        ("slurm-7_12.out", 7, False),
        ("out.7_002.log", 7, True),
        ("train-8.log", 8, True),
        ("train-7.log", 8, False),
    ],
)
def test_a_task_with_the_number_of_its_array_claims_no_files_of_other_tasks(
    name: str, raw_id: int, ours: bool
) -> None:
    task = job(job_id="7_2", raw_id=raw_id, array_job_id=7)
    assert carries(name, marks_of(task)) is ours


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("slurm-7_12.out", False),
        ("slurm-7_2.out", True),
        ("train_7_12.log", False),
        ("slurm-9_12.out", False),
        ("train_20261126_12.log", True),
        ("slurm-12.out", True),
    ],
)
def test_the_number_of_a_task_is_not_that_of_a_job(name: str, ours: bool) -> None:
    """Task 2 of array 7 has the number 12, as task 12 of array 7 has in its name."""
    assert carries(name, ("7_2", "12")) is ours
