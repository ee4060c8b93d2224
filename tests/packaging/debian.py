"""The Debian package, built; a Debian in a folder; every file of one, for a comparison."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEBIAN = ROOT / "etc/debian"
#: What dpkg and the tools for users write to remember what they have done.
BOOKS = re.compile(
    r"/(?:tmp|var/lib/dpkg|var/log)/|/etc/(?:passwd|shadow|group|gshadow)-$|/etc/\.pwd\.lock$"
)
#: The environment of commands in a clean Debian: its own, and caches where nobody looks.
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "XDG_CACHE_HOME": "/tmp/cache",
    "DEBIAN_FRONTEND": "noninteractive",
    "LC_ALL": "C",
}
#: A file: its mode, owner, group, and a digest of what is in it.
Looks = tuple[str, int, int, str]


def run(*argv: str | Path, **variables: str) -> str:
    """What a command says; fails if it does."""
    done = subprocess.run(
        argv,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def build(folder: Path) -> Path:
    """The package of this tree; not compressed, which takes a minute."""
    said = run(DEBIAN / "build", folder, DPKG_DEB_COMPRESSOR_TYPE="none")
    return Path(said.splitlines()[-1])


def release() -> str:
    """The code name of this host's."""
    return run("sh", "-c", ". /etc/os-release && echo $VERSION_CODENAME").strip()


class Clean:
    """A Debian in a folder, with what the package depends on and nothing of ajrd."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, *argv: str) -> str:
        """Runs a command in it."""
        return run("chroot", self.root, *argv, **ENVIRONMENT)

    def tree(self) -> dict[str, Looks]:
        """Every file but books."""
        return tree(self.root, BOOKS)


def tree(root: Path, ignored: re.Pattern[str], without: Collection[str] = ()) -> dict[str, Looks]:
    """Every file below ``root`` by its path there; nothing below the folders ``without``."""
    return {name: _looks(path) for name, path in _every(root, without) if not ignored.search(name)}


def _every(root: Path, without: Collection[str]) -> Iterator[tuple[str, Path]]:
    for top, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(top, name)
            yield f"/{path.relative_to(root)}", path
        above = f"/{Path(top).relative_to(root)}/".replace("/./", "/")
        folders[:] = [name for name in folders if above + name not in without]


def _looks(path: Path) -> Looks:
    found = path.lstat()
    content = ""
    if stat.S_ISLNK(found.st_mode):
        content = str(path.readlink())
    elif stat.S_ISREG(found.st_mode):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    return stat.filemode(found.st_mode), found.st_uid, found.st_gid, content
