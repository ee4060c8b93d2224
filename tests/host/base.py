"""The Debian that machines begin with: made once, shared by all processes of a run of the tests."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from tests.packaging.debian import release, run

#: Names a folder in which it is kept for the next run; by default it goes with the last user.
KEEP_VARIABLE = "AJRD_TEST_BASE"
#: What a head node has, with accounting and a database, and what the package depends on.
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "procps", "python3", "libstdc++6", "munge", "slurmctld",
    "slurmd", "slurmdbd", "slurm-client", "slurm-wlm-basic-plugins", "mariadb-server",
)  # fmt: skip
#: The name of the host and its address, one of those for documentation (RFC 5737).
NAME, ADDRESS = "head", "192.0.2.1"


@contextmanager
def base() -> Iterator[Path]:
    """The folder of it, for reading."""
    kept = os.environ.get(KEEP_VARIABLE)
    folder = Path(kept) if kept else Path(tempfile.gettempdir(), f"ajrd-base-{_digest()}")
    root = folder / "root"
    with Path(f"{folder}.lock").open("w") as lock:
        _share(lock, root)
        try:
            yield root
        finally:
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not kept:
                    shutil.rmtree(folder)


def _share(lock: TextIO, root: Path) -> None:
    """Makes it if it is not there; nobody removes it while the lock is shared."""
    while True:
        fcntl.flock(lock, fcntl.LOCK_SH)
        if root.exists():
            return
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            _make(root)


def _digest() -> str:
    return hashlib.sha256(" ".join((release(), *PACKAGES)).encode()).hexdigest()[:8]


def _make(root: Path) -> None:
    """A base that is half made has another name."""
    new = root.with_name("new")
    shutil.rmtree(new, ignore_errors=True)
    root.parent.mkdir(exist_ok=True)
    run("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", release(), new)
    (new / "etc/hostname").write_text(f"{NAME}\n")
    (new / "etc/hosts").write_text(f"127.0.0.1 localhost\n{ADDRESS} {NAME}\n")
    (new / "etc/resolv.conf").unlink()
    shutil.rmtree(new / "var/cache/apt")
    shutil.rmtree(new / "var/lib/apt/lists")
    new.rename(root)
