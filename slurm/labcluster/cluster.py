"""One lab: brings its daemons up in the order of their dependence, and down again.

What was started stands in ``lab.json`` with process numbers and start times, so ``down`` in
another process ends exactly that. Job steps are children of slurmd's slurmstepd, which leave
their session; they are found by a variable that slurmd passes on to them and nobody else has.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from labcluster.database import Database
from labcluster.errors import LabError
from labcluster.ports import answers, free_block
from labcluster.processes import Daemon, marked, start, wait_until, with_descendants
from labcluster.settings import CGROUP_DISABLED, Layout, slurm_conf, slurmdbd_conf
from labcluster.tools import find, slurm_folders, slurm_version

#: In the environment of a lab's daemons, and so of its slurmstepd; never in a shell's.
MARK = "AJRD_LAB_DAEMON_OF"
#: The type of a lab's GPUs.
GPU = "h100"
#: Seconds until the nodes must be idle. Much less is usual; a busy machine is no fault.
PATIENCE = 60.0


class Lab:
    """A lab in the directory ``root``, running or not."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.layout: Layout | None = None
        self.daemons: list[Daemon] = []
        self._read_state()

    # what others need

    @property
    def conf(self) -> Path:
        """slurm.conf."""
        return self.root / "slurm.conf"

    @property
    def env(self) -> dict[str, str]:
        """The environment in which Slurm's commands reach this lab."""
        return {**os.environ, **self.variables()}

    def variables(self) -> dict[str, str]:
        """What :attr:`env` adds to the caller's environment."""
        values = {"SLURM_CONF": str(self.conf)}
        if folders := slurm_folders():
            values["PATH"] = os.pathsep.join([*folders, os.environ.get("PATH", "")])
        return values

    def command(self, *argv: str, timeout: float = 60.0) -> str:
        """Runs one Slurm command on this lab; raises LabError with what it said."""
        done = subprocess.run(
            [find(argv[0]), *argv[1:]],
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        if done.returncode:
            raise LabError(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def submit(self, script: Path) -> str:
        """The id of a job that runs in the folder of its script; raises LabError."""
        return self.command("sbatch", "--parsable", f"--chdir={script.parent}", str(script)).strip()

    def daemon(self, name: str) -> Daemon:
        """A daemon by its name: munged, slurmctld, n1, …, mariadbd, slurmdbd."""
        for daemon in self.daemons:
            if daemon.name == name:
                return daemon
        raise LabError(f"the lab in {self.root} has no {name}")

    @property
    def running(self) -> bool:
        """True if every daemon of the lab is alive."""
        return bool(self.daemons) and all(daemon.alive for daemon in self.daemons)

    # up

    def up(
        self,
        nodes: int = 8,
        *,
        cpus: int = 1,
        accounting: bool = False,
        extra: Mapping[str, str] | None = None,
        gpus: int = 0,
    ) -> None:
        """From nothing to idle nodes of ``cpus`` and ``gpus`` each, which need not exist.

        ``extra`` are keys of slurm.conf. Raises LabError.
        """
        if any(daemon.alive for daemon in self.daemons):
            raise LabError(f"a lab is running in {self.root}; end it first: slurm/lab down")
        if not 1 <= nodes <= 2000:
            raise LabError("the number of nodes must be between 1 and 2000")
        self._clear()
        try:
            with _one_at_a_time():
                self._start(
                    nodes, cpus, accounting, {**self._gpu_keys(gpus), **(extra or {})}, gpus
                )
            self._await_nodes()
        except BaseException:
            self.down()
            raise

    def _gpu_keys(self, gpus: int) -> dict[str, str]:
        """The keys of slurm.conf for so many GPUs a node; ``DEFAULT`` stands before the nodes."""
        return {"GresTypes": "gpu", "NodeName=DEFAULT Gres": f"gpu:{GPU}:{gpus}"} if gpus else {}

    def _write_gres(self, gpus: int) -> None:
        """slurmd counts files: any will do, as long as nothing looks into them (seen on 22.05)."""
        devices = [self.root / f"gpu{number}" for number in range(gpus)]
        for device in devices:
            device.touch()
        lines = [f"Name=gpu Type={GPU} File={device}\n" for device in devices]
        if lines:
            (self.root / "gres.conf").write_text("".join(lines))

    def _start(
        self,
        nodes: int,
        cpus: int,
        accounting: bool,
        extra: Mapping[str, str],
        gpus: int,
    ) -> None:
        first = free_block(nodes + 3)
        layout = self.layout = Layout(
            root=self.root,
            nodes=nodes,
            controller_port=first,
            node_port=first + 3,
            cpus=cpus,
            accounting_port=first + 1 if accounting else None,
            database_port=first + 2 if accounting else None,
        )
        for folder in layout.folders():
            folder.mkdir(parents=True, exist_ok=True)
        layout.conf.write_text(slurm_conf(layout, extra))
        plugin = "disabled" if slurm_version() >= CGROUP_DISABLED else "cgroup/v1"
        (self.root / "cgroup.conf").write_text(f"CgroupPlugin={plugin}\n")
        self._write_gres(gpus)
        self._start_munge()
        if accounting:
            self._start_accounting(layout)
        self._refuse_one_slurmd_a_host(self.start_controller())
        for name in layout.node_names:
            self.start_node(name)

    def _start_munge(self) -> None:
        folder = self.root / "munge"
        key = folder / "key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(1024))
        argv = [
            find("munged"),
            "--foreground",
            "--force",
            f"--key-file={key}",
            f"--socket={folder / 'socket'}",
            f"--pid-file={folder / 'pid'}",
            f"--log-file={self.root / 'log' / 'munged.log'}",
            f"--seed-file={folder / 'seed'}",
        ]
        daemon = self._add("munged", argv)
        self._await("munged", lambda: (folder / "socket").exists() or not daemon.alive, daemon)

    def start_controller(self, *options: str) -> Daemon:
        """Starts slurmctld and waits until it listens; it goes on from its saved state."""
        assert self.layout is not None
        port = self.layout.controller_port
        daemon = self._add("slurmctld", [find("slurmctld"), "-D", *options])
        self._await("slurmctld", lambda: answers(port) or not daemon.alive, daemon)
        return daemon

    def _refuse_one_slurmd_a_host(self, controller: Daemon) -> None:
        """Such a Slurm gives all nodes but the first no address, and yet shows them as idle."""
        if "Duplicated NodeHostName" in controller.log.read_text(errors="replace"):
            raise LabError(
                f"{find('slurmctld')} cannot have several nodes on one host;"
                " it must be configured with --enable-multiple-slurmd"
            )

    def start_node(self, name: str) -> Daemon:
        """Starts the slurmd of one node."""
        return self._add(name, [find("slurmd"), "-D", "-N", name])

    def _start_accounting(self, layout: Layout) -> None:
        assert layout.database_port is not None
        assert layout.accounting_port is not None
        database = Database(self.root / "mariadb", layout.database_port)
        database.create()
        self.daemons.append(database.up())
        self._write_state()
        password = secrets.token_hex(16)
        database.query(
            "CREATE DATABASE slurm_acct_db;"
            f" CREATE USER slurm@'127.0.0.1' IDENTIFIED BY '{password}';"
            " GRANT ALL ON slurm_acct_db.* TO slurm@'127.0.0.1'"
        )
        conf = self.root / "slurmdbd.conf"
        conf.touch(mode=0o600)
        conf.write_text(slurmdbd_conf(layout, password))
        daemon = self._add("slurmdbd", [find("slurmdbd"), "-D"])
        port = layout.accounting_port
        self._await("slurmdbd", lambda: answers(port) or not daemon.alive, daemon)

    def _add(self, name: str, argv: list[str]) -> Daemon:
        log = self.root / "log" / f"{name}.log"
        daemon = start(name, argv, log, {**self.env, MARK: str(self.root)})
        self.daemons = [other for other in self.daemons if other.name != name] + [daemon]
        self._write_state()
        return daemon

    def _await(self, name: str, condition: Callable[[], bool], daemon: Daemon) -> None:
        if not wait_until(condition, PATIENCE) or not daemon.alive:
            raise LabError(f"{name} did not come up; read {daemon.log}{_last_words(daemon.log)}")

    def _await_nodes(self) -> None:
        assert self.layout is not None
        states: list[str] = []

        def all_idle() -> bool:
            nonlocal states
            with suppress(LabError, subprocess.TimeoutExpired):
                states = self.command("sinfo", "-h", "-N", "-p", "main", "-o", "%N %T").split("\n")
            return len([s for s in states if s.endswith(" idle")]) == self.layout_nodes

        if not wait_until(all_idle, PATIENCE):
            late = next((s.split()[0] for s in states if s and not s.endswith(" idle")), "n1")
            log = self.root / "log" / f"{late}.log"
            raise LabError(f"node {late} does not become idle; read {log}{_last_words(log)}")

    @property
    def layout_nodes(self) -> int:
        """How many nodes the lab has."""
        return self.layout.nodes if self.layout else 0

    # down

    def down(self) -> None:
        """Ends the jobs and every daemon that this lab started; the directory stays."""
        if not self._is_lab:
            return
        steps = self._steps()
        for daemon in reversed(self.daemons):
            daemon.tell(signal.SIGTERM)
            daemon.tell(signal.SIGCONT)
        for pid in with_descendants({*steps, *self._steps()}):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for daemon in reversed(self.daemons):
            daemon.end(patience=2.0)
        wait_until(lambda: not self._steps(), 2.0)  # until the kernel has done it
        self.daemons = []
        self._write_state()

    def _steps(self) -> set[int]:
        """The slurmstepd of this lab: marked, but no daemon that was started here."""
        ours = {daemon.pid for daemon in self.daemons}
        return {pid for pid in marked(MARK, str(self.root)) if pid not in ours}

    def remove(self) -> None:
        """Ends the lab and deletes its directory, if a lab made it."""
        if self._is_lab:
            self.down()
            shutil.rmtree(self.root, ignore_errors=True)

    # state

    @property
    def _is_lab(self) -> bool:
        return (self.root / "lab.json").exists()

    def _clear(self) -> None:
        if set(str(self.root)) & set(" \t\n#,="):
            raise LabError(f"{self.root}: slurm.conf takes no blanks, commas, = or # in a path")
        if self.root.exists() and any(self.root.iterdir()):
            if not self._is_lab:
                raise LabError(f"{self.root} is not empty and holds no lab; choose another --dir")
            shutil.rmtree(self.root)
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o755)
        self._write_state()

    def _read_state(self) -> None:
        try:
            state = json.loads((self.root / "lab.json").read_text())
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            raise LabError(f"cannot read {self.root / 'lab.json'}: {error}") from None
        if state["layout"]:
            self.layout = Layout(**{**state["layout"], "root": self.root})
        self.daemons = [Daemon(**{**d, "log": Path(d["log"])}) for d in state["daemons"]]

    def _write_state(self) -> None:
        state = {
            "layout": asdict(self.layout) if self.layout else None,
            "daemons": [asdict(daemon) for daemon in self.daemons],
        }
        waiting = self.root / "lab.json.new"
        waiting.write_text(json.dumps(state, indent=1, default=str))
        waiting.rename(self.root / "lab.json")


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two labs that come up together must not choose the same ports."""
    path = Path(tempfile.gettempdir()) / f"ajrd-lab-{os.getuid()}.lock"
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _last_words(log: Path) -> str:
    """The last lines of a log, for the message."""
    with suppress(OSError):
        lines = log.read_text(errors="replace").splitlines()[-3:]
        return "".join(f"\n  {line}" for line in lines)
    return ""
