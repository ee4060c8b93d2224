"""Finding Slurm's programs: those of ``SLURM_BIN`` if it is set, else the installed ones."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from labcluster.errors import LabError

#: Where distributions put daemons that an ordinary PATH does not name.
_SYSTEM = ("/usr/sbin", "/usr/local/sbin", "/sbin")
_PACKAGES = {
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "slurmdbd": "slurmdbd",
    "munged": "munge",
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
    "mariadb": "mariadb-client",
}


def find(program: str) -> str:
    """The path of a program; raises LabError with the package to install."""
    path = shutil.which(program, path=os.pathsep.join([*slurm_folders(), *_search_path()]))
    if path is None:
        package = _PACKAGES.get(program, "slurm-client")
        raise LabError(f"{program} is not installed; try: apt-get install {package}")
    return path


def slurm_folders() -> list[str]:
    """The bin and sbin folders of another installation, named by ``SLURM_BIN``."""
    given = os.environ.get("SLURM_BIN")
    return [given, str(Path(given).parent / "sbin")] if given else []


def _search_path() -> list[str]:
    return [*os.environ.get("PATH", "").split(os.pathsep), *_SYSTEM]


def slurm_version() -> tuple[int, int]:
    """Major and minor version of slurmctld."""
    done = subprocess.run([find("slurmctld"), "-V"], capture_output=True, text=True, check=False)
    found = re.search(r"(\d+)\.(\d+)", done.stdout)
    if found is None:
        raise LabError(f"slurmctld -V printed {done.stdout!r}: is this a Slurm?")
    return int(found[1]), int(found[2])
