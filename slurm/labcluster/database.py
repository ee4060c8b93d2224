"""A private MariaDB: its own directory, its own port on the loopback, ended by its process id."""

from __future__ import annotations

import getpass
import os
import subprocess
from pathlib import Path

from labcluster.errors import LabError
from labcluster.processes import Daemon, start, wait_until
from labcluster.tools import find

#: Small and quick; it survives that it is killed, not that the host loses its power.
_OPTIONS = (
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=16M",
    "--innodb-flush-method=nosync",
    "--skip-log-bin",
    "--skip-name-resolve",
    "--performance-schema=OFF",
)


class Database:
    """One server; the superuser is whoever started it, by the socket."""

    def __init__(self, root: Path, port: int) -> None:
        self.root = root
        self.port = port
        self.socket = root / "mysqld.sock"
        self.log = root / "mariadbd.log"

    def create(self) -> None:
        """Makes the data directory, if there is none yet."""
        data = self.root / "data"
        if (data / "mysql").is_dir():
            return
        self.root.mkdir(parents=True, exist_ok=True)
        argv = [
            find("mariadb-install-db"),
            "--no-defaults",
            f"--datadir={data}",
            f"--user={getpass.getuser()}",
            "--auth-root-authentication-method=socket",
            "--skip-test-db",
        ]
        with self.log.open("ab") as output:
            done = subprocess.run(
                argv, env=self._environment(), stdout=output, stderr=output, check=False
            )
        if done.returncode:
            raise LabError(f"mariadb-install-db failed; read {self.log}")

    def up(self, *options: str) -> Daemon:
        """Starts the server and waits until it answers."""
        argv = [
            find("mariadbd"),
            "--no-defaults",
            f"--datadir={self.root / 'data'}",
            f"--socket={self.socket}",
            f"--pid-file={self.root / 'mariadbd.pid'}",
            f"--user={getpass.getuser()}",
            "--bind-address=127.0.0.1",
            f"--port={self.port}",
            *_OPTIONS,
            *options,
        ]
        daemon = start("mariadbd", argv, self.log, self._environment())
        if not wait_until(lambda: not daemon.alive or self.answers(), 30) or not daemon.alive:
            daemon.end()
            raise LabError(f"mariadbd does not answer; read {self.log}")
        return daemon

    def _environment(self) -> dict[str, str]:
        """A place for its temporary tables: a server that starts deletes those that it finds."""
        folder = self.root / "tmp"
        folder.mkdir(exist_ok=True)
        return {**os.environ, "TMPDIR": str(folder)}

    def answers(self) -> bool:
        """True if a query is answered."""
        return self.socket.exists() and self._client("SELECT 1").returncode == 0

    def query(self, sql: str) -> str:
        """Runs SQL as the superuser and returns what the client prints."""
        done = self._client(sql)
        if done.returncode:
            raise LabError(f"MariaDB refused {sql.split(maxsplit=1)[0]}: {done.stderr.strip()}")
        return done.stdout

    def _client(self, sql: str) -> subprocess.CompletedProcess[str]:
        argv = [find("mariadb"), "--no-defaults", f"--socket={self.socket}", "-u", "root"]
        argv += ["--batch", "--skip-column-names", "-e", sql]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
