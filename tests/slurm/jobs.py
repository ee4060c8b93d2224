"""The jobs of the tests: the verification job as it is given to users, and short relatives."""

from __future__ import annotations

#: Word for word the job by which an installation is checked.
VERIFICATION = r"""#!/bin/bash
#SBATCH -t 00:05:00
#SBATCH --comment='{"APS": {"auto_resume_mode": "requeue", "max_requeue_times": 1}}'
DATETIME=`date +'date_%y-%m-%d_time_%H-%M-%S'`
echo 'AJR light-weight fault simulation test (auto resume mode: requeue)'
srun --output="$(pwd)/%x_%j_$DATETIME.log" bash -c \
"echo 'Start time: $DATETIME' && echo 'Sleeping 30 seconds' && \
sleep 30 && echo 'Rank0: (1) segmentation fault: artificial segfault' && \
echo 'Sleep another 60 seconds' && \
sleep 60 && exit 1"
"""

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
