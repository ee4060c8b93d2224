"""A host as sites have it: a Debian with its own systemd as process 1, in namespaces of its own.

Every machine begins with the same base (``tests/host/base.py``) and writes into an overlay, so it
begins clean and what it did can be told. Its network is a loopback alone: its ports collide with
nobody's. Everything of it ends with its first process: the other processes, the network, the
mounts; and that one ends with whoever started it, however that ended.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.host.base import ADDRESS
from tests.packaging.debian import BOOKS, ENVIRONMENT, Looks, tree
from tests.service import until

BOOT = Path(__file__).with_name("boot")
#: As systemd(1) has it: SIGRTMIN+4 powers off.
POWER_OFF = signal.SIGRTMIN + 4
#: Folders of the kernel's, and of what ends with the machine.
PASSING = ("/proc", "/sys", "/dev", "/run")
#: What the other daemons of a site change by themselves while they run.
BY_OTHERS = re.compile(
    f"{BOOKS.pattern}|"
    r"/var/lib/(?:systemd|slurm|munge|mysql|private)/|/var/(?:cache|spool|tmp)/(?!ajrd)"
)
#: Seconds for a boot, a command, an end; on a busy host.
PATIENCE = 120.0


class Machine:
    """A machine on ``base``, from :meth:`boot` to :meth:`stop`; ``folder`` gets what it writes."""

    def __init__(self, base: Path, folder: Path) -> None:
        self.base = base
        self.folder = folder
        self.pid = 0
        self._cgroup = f"ajrd-test-{os.getpid()}-{folder.name}"
        self._process: subprocess.Popen[bytes] | None = None

    # from the start to the end

    def boot(self) -> None:
        """Until systemd says that all units are up; the log of the boot is FOLDER/boot.log."""
        for name in ("root", "upper", "work"):
            (self.folder / name).mkdir(exist_ok=True)
        argv = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--uts", "--ipc"]
        argv += ["--net", "--fork", "--kill-child", str(BOOT), str(self.base), str(self.folder)]
        with (self.folder / "boot.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*argv, ADDRESS, self._cgroup], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.pid = until("the first process", self._first_process, PATIENCE)
        until("systemd to answer", self._answers, PATIENCE)
        state = self.tries("systemctl", "is-system-running", "--wait").stdout.strip()
        assert state == "running", f"{state}: {self('systemctl', '--failed', '--no-legend')}"

    def stop(self) -> None:
        """Powers off, and takes its cgroups away; its files stay in the folder."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            if self.pid:
                os.kill(self.pid, POWER_OFF)
                process.wait(PATIENCE)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass
        finally:
            process.kill()
            process.wait()
            self.pid = 0
            self._remove_cgroups()

    def _first_process(self) -> int | None:
        """The only child of unshare, once it has become systemd."""
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "boot.log").read_text()
        parent = self._process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for child in children:
            if Path(f"/proc/{child}/comm").read_text() == "systemd\n":
                return int(child)
        return None

    def _answers(self) -> bool:
        said = self.tries("systemctl", "is-system-running").stdout.strip()
        return said not in ("", "offline", "unknown")

    def _remove_cgroups(self) -> None:
        remove = 'mount -t cgroup2 cgroup2 "$1" && find "$1/$2" -depth -type d -exec rmdir {} +'
        root = str(self.folder / "root")
        argv = ["unshare", "--mount", "sh", "-c", remove, "sh", root, self._cgroup]
        until("its cgroups to be empty", lambda: not subprocess.run(argv).returncode, PATIENCE)

    # what is done in it

    def tries(
        self, *argv: str, user: str = "root", cwd: str = "/", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command in it, which may fail."""
        assert self.pid, "the machine does not run"
        env = [f"{key}={value}" for key, value in {**ENVIRONMENT, **variables}.items()]
        inside = ["nsenter", "--target", str(self.pid), "--all", "--"]
        who = [] if user == "root" else ["runuser", "-u", user, "--"]
        return subprocess.run(
            [*inside, "env", "-i", f"--chdir={cwd}", *env, *who, *argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
        )

    def __call__(self, *argv: str, user: str = "root", cwd: str = "/", **variables: str) -> str:
        """What a command says in it; fails if it does."""
        done = self.tries(*argv, user=user, cwd=cwd, **variables)
        assert done.returncode == 0, f"{argv}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def shell(self, script: str, *, user: str = "root", cwd: str = "/") -> str:
        """As a call of ``sh -c``."""
        return self("sh", "-ec", script, user=user, cwd=cwd)

    def unit(self, name: str, *keys: str) -> Mapping[str, str]:
        """What ``systemctl show`` says of a unit."""
        said = self("systemctl", "show", name, f"--property={','.join(keys)}")
        return dict(line.split("=", 1) for line in said.splitlines())

    # its files

    def path(self, name: str) -> Path:
        """A file of it, as this host reaches it; no symlink on the way may be absolute."""
        return Path(f"/proc/{self.pid}/root{name}")

    def write(self, name: str, text: str, mode: int = 0o644, owner: str = "root:root") -> None:
        """Makes or replaces a file, and the folders on the way."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        self("chown", owner, name)

    def read(self, name: str) -> str:
        """The text of a file."""
        return self.path(name).read_text()

    def tree(self) -> dict[str, Looks]:
        """Every file of it, but what passes with it and what others change by themselves."""
        return tree(self.path("/"), BY_OTHERS, PASSING)


def why_not() -> str:
    """Why no machine can be started here; "": one can."""
    needed = ("debootstrap", "unshare", "nsenter", "setpriv", "pivot_root", "ip")
    missing = [name for name in needed if not shutil.which(name)]
    if os.geteuid() != 0 or missing:
        return f"needs root and {', '.join(missing or needed)}"
    with tempfile.TemporaryDirectory() as folder:
        for name in ("lower", "upper", "work", "root"):
            (Path(folder) / name).mkdir()
        options = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"
        attempt = (
            f"mount -t overlay -o {options} o {folder}/root && mount -t cgroup2 c {folder}/root"
        )
        argv = ["unshare", "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--fork"]
        done = subprocess.run([*argv, "sh", "-c", attempt], capture_output=True, text=True)
    return "" if not done.returncode else f"no namespaces and mounts: {done.stderr.strip()}"
