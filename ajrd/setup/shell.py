"""What an administrator's shell knows of Slurm and a unit does not.

Where Slurm comes with a module, as on BCM, ``module load slurm`` sets PATH and SLURM_CONF; systemd
starts a unit with neither. So what was found by them is made an answer.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from ajrd.setup.answers import SlurmAnswers

#: Where systemd looks for programs (systemd.exec(5)), and the same before /bin became a link.
_UNIT_PATH = frozenset({
    "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
})  # fmt: skip


def with_shell(answers: SlurmAnswers, environ: Mapping[str, str]) -> SlurmAnswers:
    """The answers, and what the environment says where they say nothing."""
    return answers.model_copy(
        update={
            "conf": answers.conf or _absolute(environ.get("SLURM_CONF", "")),
            "bin_dir": answers.bin_dir or _folder(environ.get("PATH", "")),
        }
    )


def _folder(path: str) -> str | None:
    """Where scontrol is, unless a unit would find the same one."""
    found = shutil.which("scontrol", path=path)
    folder = None if found is None else _absolute(str(Path(found).parent))
    return None if folder in _UNIT_PATH else folder


def _absolute(path: str) -> str | None:
    """A unit starts in another folder than the shell is in."""
    return os.path.abspath(path) if path else None


def told(before: SlurmAnswers, after: SlurmAnswers) -> str:
    """What was taken from the environment, in words; "" for nothing."""
    taken = []
    if after.conf != before.conf:
        taken.append(f"slurm.conf is {after.conf} (SLURM_CONF)")
    if after.bin_dir != before.bin_dir:
        taken.append(f"Slurm's commands are in {after.bin_dir} (PATH)")
    return f"as in this shell, {'; '.join(taken)}" if taken else ""
