"""Crash lines in files that this version of Slurm names nowhere, found while the job runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from labcluster.cluster import Lab
from tests.service import Service
from tests.slurm.jobs import CRASH_LINE, REQUEUE

HOOK = Path(__file__).parents[2] / "slurm" / "hooks" / "srun-prolog"

#: The step begins late, and only in the first attempt it crashes.
LATE = f"""#!/bin/bash
[ $SLURM_RESTART_COUNT ] && exec sleep 300
sleep 1.5
srun {{options}} bash -c "echo start; sleep 0.5; echo '{CRASH_LINE}'; sleep 300"
"""


def late(options: str) -> str:
    return LATE.replace("{options}", options)


@pytest.mark.parametrize(
    "options",
    ["--output=logs/plain.txt", "--output=/dev/null --error=logs/%x.err", "-o logs/%j.%t"],
    ids=["no number in its name", "standard error", "one file a task"],
)
def test_the_file_of_a_late_step(service: Service, options: str) -> None:
    (service.folder / "logs").mkdir()
    script = late(options)
    if "--error" in options:
        script = script.replace(f"echo '{CRASH_LINE}'", f"echo '{CRASH_LINE}' >&2")
    job_id = service.submit(script, REQUEUE)
    service.await_state(job_id, "RUNNING|None|1|")


def test_a_file_that_the_owner_names(service: Service) -> None:
    script = f"""#!/bin/bash
[ $SLURM_RESTART_COUNT ] || echo '{CRASH_LINE}' > $PWD/rank0.txt
sleep 300
"""
    paths = '{"APS": {"auto_resume_mode": "requeue", "log_paths": ["rank*.txt"]}}'
    job_id = service.submit(script, f"--comment={paths}")
    service.await_state(job_id, "RUNNING|None|1|")


def test_a_file_that_the_step_hook_reports(tmp_path: Path) -> None:
    reports, work, far = (tmp_path / name for name in ("reports", "work", "far"))
    for folder in (reports, work, far):
        folder.mkdir()
    reports.chmod(0o1777)
    hook = tmp_path / "srun-prolog"
    hook.write_text(f'#!/bin/sh\nAJRD_REPORT_DIR={reports} exec {HOOK} "$@"\n')
    hook.chmod(0o755)
    lab = Lab(tmp_path / "lab")
    lab.up(nodes=1, extra={"SrunProlog": str(hook)})
    service = Service(lab, work)
    service.config.write_text(service.config.read_text() + f"logs: {{report_dir: '{reports}'}}\n")
    try:
        service.start()
        job_id = service.submit(late(f"--output={far}/named.txt"), REQUEUE)
        service.await_state(job_id, "RUNNING|None|1|")
        assert [path.read_text().strip() for path in reports.iterdir()] == [f"{far}/named.txt"]
    finally:
        service.stop()
        lab.down()
