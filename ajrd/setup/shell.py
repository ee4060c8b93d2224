"""What an administrator's shell knows of Slurm and a unit does not.

Where Slurm comes with a module, as on BCM, ``module load slurm`` sets PATH and SLURM_CONF; systemd
starts a unit with neither. So what was found by them is made an answer.
"""

from __future__ import annotations

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
            "conf": answers.conf or environ.get("SLURM_CONF") or None,
            "bin_dir": answers.bin_dir or _folder(environ.get("PATH", "")),
        }
    )


def _folder(path: str) -> str | None:
    """Where scontrol is, unless a unit would find the same one."""
    found = shutil.which("scontrol", path=path)
    if found is None or str(Path(found).parent) in _UNIT_PATH:
        return None
    return str(Path(found).parent)


def told(before: SlurmAnswers, after: SlurmAnswers) -> str:
    """What was taken from the environment, in words; "" for nothing."""
    taken = []
    if after.conf != before.conf:
        taken.append(f"slurm.conf is {after.conf} (SLURM_CONF)")
    if after.bin_dir != before.bin_dir:
        taken.append(f"Slurm's commands are in {after.bin_dir} (PATH)")
    return f"as in this shell, {'; '.join(taken)}" if taken else ""
