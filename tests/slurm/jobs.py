"""The jobs of the tests: the verification job as it is given to users, and short relatives."""

from __future__ import annotations

from pathlib import Path

_JOBS = Path(__file__).parents[2] / "slurm" / "jobs"
#: Word for word the job by which an installation is checked.
VERIFICATION = (_JOBS / "verification.sh").read_text()

CRASH_LINE = "Rank0: (1) segmentation fault: artificial segfault"


def scaled(before: float = 1, after: float = 60) -> str:
    """The verification job with other sleeps: seconds before the crash line and after it."""
    return VERIFICATION.replace("sleep 30", f"sleep {before}").replace("sleep 60", f"sleep {after}")


def without_comment(script: str) -> str:
    """The script without its directive."""
    return "".join(
        line for line in script.splitlines(keepends=True) if "#SBATCH --comment" not in line
    )


#: Crashes in its batch output and stays, so that only ajrd (or a user) ends it.
CRASHING = f"#!/bin/bash\necho '{CRASH_LINE}'\nsleep 300\n"
#: Runs until it is ended, and nothing is wrong with it.
HEALTHY = "#!/bin/bash\necho working\nsleep 300\n"

REQUEUE = '--comment={"APS": {"auto_resume_mode": "requeue", "max_requeue_times": 1}}'
SINGLETON = '--comment={"APS": {"auto_resume_mode": "singleton_dependency"}}'
