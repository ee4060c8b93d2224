"""A Slurm that a test may break: daemons that die or freeze, commands with bad manners."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ajrd.clock import ticks
from labcluster.cluster import Lab
from labcluster.processes import wait_until
from labcluster.tools import find
from labdemo.service import PATIENCE
from tests.service import Service, until

#: Crashes in its first attempt only, when it is told to; its starts can be counted.
CRASHES_WHEN_TOLD = """#!/bin/bash
echo start >>starts
[ $SLURM_RESTART_COUNT ] || {
    until [ -e crash ]; do sleep 0.05; done
    echo 'Rank0: (1) segmentation fault: artificial segfault'
}
sleep 300
"""


@contextmanager
def own_lab(nodes: int = 3, **extra: str) -> Iterator[Lab]:
    """A lab of a test module's own; ``extra`` are keys of slurm.conf."""
    with tempfile.TemporaryDirectory(prefix="ajrd-lab-") as folder:
        lab = Lab(Path(folder))
        lab.up(nodes, extra=extra)
        try:
            yield lab
        finally:
            lab.down()


def kill(lab: Lab, name: str) -> None:
    """As ``kill -9`` of a daemon would."""
    daemon = lab.daemon(name)
    daemon.tell(signal.SIGKILL)
    assert wait_until(lambda: not daemon.alive, PATIENCE)


def mend(lab: Lab) -> None:
    """Every daemon runs again, and no process is frozen."""
    for daemon in lab.daemons:
        daemon.tell(signal.SIGCONT)
    if not lab.daemon("slurmctld").alive:
        lab.start_controller()
    assert lab.layout is not None
    for name in lab.layout.node_names:
        if not lab.daemon(name).alive:
            lab.start_node(name)


def pass_by(seconds: float) -> None:
    """So much time goes by on the host."""
    end = ticks() + seconds
    until("time to pass", lambda: ticks() > end, seconds + 10)


def submit_saved(lab: Lab, service: Service, *options: str) -> str:
    """A running job that crashes when told to, and that a slurmctld killed by now remembers.

    Slurm writes its state up to 5 s late (SAVE_MAX_WAIT in ``state_save.c``).
    """
    job_id = service.submit(CRASHES_WHEN_TOLD, f"--chdir={service.folder}", *options)
    service.await_state(job_id, "RUNNING")
    saved = lab.root / "state" / "job_state"
    before = saved.stat().st_mtime_ns
    service.slurm("scontrol", "update", f"JobId={job_id}", "Requeue=1")
    until("the job to be saved", lambda: saved.stat().st_mtime_ns > before)
    return job_id


class Manners:
    """A folder with Slurm's commands, which first do what they are told in shell.

    ``$real`` is the command itself and ``$said`` a file beside the script for each of its verbs.
    """

    def __init__(self, folder: Path) -> None:
        self.bin_dir = folder
        self._script = folder / "manners"
        self._script.touch()
        for name in ("scontrol", "squeue", "scancel"):
            lines = [f"real={find(name)}", f"said={folder}/said.{name}.$1", f". {self._script}"]
            command = folder / name
            command.write_text("\n".join(["#!/bin/sh", *lines, 'exec "$real" "$@"\n']))
            command.chmod(0o755)

    def be(self, script: str) -> None:
        """From now on every command begins with ``script``."""
        new = self.bin_dir / "manners.new"
        new.write_text(script)
        new.rename(self._script)

    def once(self, verb: str, script: str) -> None:
        """The next ``scontrol`` whose arguments match ``verb`` begins with ``script``."""
        self.be(f'case "$*" in {verb}) : >{self._script}; {script};; esac')
