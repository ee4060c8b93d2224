"""The whole service with the user and the capabilities of its unit, on a real Slurm."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from labcluster.cluster import Lab
from tests.manager import listening
from tests.service import Service, until
from tests.slurm.jobs import REQUEUE
from tests.unit.units import USER, as_unit, why_not

#: A user that every system has.
OWNER = "daemon"
LINE = "Rank0: (1) segmentation fault: artificial segfault"

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
]


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ajrd-unit-") as folder:
        os.chmod(folder, 0o755)  # noqa: S103 -- the unit's user must get in
        yield Path(folder)


@pytest.fixture(scope="module")
def lab(place: Path) -> Iterator[Lab]:
    """One that other users reach, too."""
    lab = Lab(place / "lab")
    lab.up(nodes=1)
    (lab.root / "munge").chmod(0o711)
    (lab.root / "munge" / "socket").chmod(0o777)
    try:
        yield lab
    finally:
        lab.down()


@pytest.fixture
def home(place: Path) -> Path:
    """A folder that only the owner of the job may enter."""
    owner = pwd.getpwnam(OWNER)
    folder = place / "home"
    folder.mkdir(mode=0o700)
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    return folder


def submit(lab: Lab, home: Path) -> str:
    """A job of the owner that writes a private log."""
    wrap = f"echo '{LINE}'; sleep 300"
    argv = ["sbatch", "--parsable", f"--chdir={home}", REQUEUE, f"--wrap={wrap}"]
    options = [f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups"]
    inner = ["sh", "-c", 'umask 077; exec "$@"', "sh", *argv]
    done = subprocess.run(
        ["setpriv", *options, *inner], env=lab.env, cwd="/", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_finds_a_crash_in_a_log_that_only_the_owner_may_read(
    lab: Lab, place: Path, home: Path
) -> None:
    folder = place / "service"
    folder.mkdir()
    service = Service(lab, folder, mode="observe")
    service.values["database"] = {"url": f"sqlite:///{folder}/state/ajrd.sqlite"}
    service.values["web"] = {"socket": f"{folder}/state/socket"}
    service.config.write_text(yaml.safe_dump(service.values))
    (folder / "state").mkdir()
    os.chown(folder / "state", USER, USER)
    argv = as_unit("ajrd.service", sys.executable, "-m", "ajrd", "run", "--config", service.config)
    job_id = submit(lab, home)
    with listening() as manager, service.log.open("wb") as log:
        env = {**os.environ, "NOTIFY_SOCKET": manager.address, "HOME": str(folder / "state")}
        process = subprocess.Popen(argv, stdout=log, stderr=log, env=env)
        try:
            until("it to be ready", lambda: "READY=1" in manager.hear())
            status = Path(f"/proc/{process.pid}/status").read_text()
            assert "CapEff:\t00000000000000c0\n" in status
            assert "CapAmb:\t0000000000000000\n" in status

            def found() -> list[str]:
                history = service.history(job_id)
                attempts = history.attempts if history else []
                return [r.anomaly.source for attempt in attempts for r in attempt.anomalies]

            assert until("the crash", found) == [str(home / f"slurm-{job_id}.out")]
            log_file = home / f"slurm-{job_id}.out"
            assert log_file.stat().st_mode & 0o077 == 0
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            lab.command("scancel", job_id)
