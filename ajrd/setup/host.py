"""The host that is set up: its files, below a root folder, and its programs.

For tests, and nothing else, the root is another folder and programs are looked for in another
``PATH``: what is done stays the same.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ajrd.errors import SetupError

#: Seconds that a program may take; starting the service waits for its first look at Slurm.
LIMIT = 60.0


@dataclass(frozen=True, slots=True)
class Done:
    """What a program left: its exit code, and both outputs as one text."""

    code: int
    said: str


@dataclass(frozen=True, slots=True)
class Host:
    """Where files lie and programs run."""

    root: Path = Path("/")
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def path(self, name: str) -> Path:
        """An absolute path of the host, as this process reaches it."""
        return self.root / name.lstrip("/")

    def has(self, program: str) -> bool:
        """Is there such a program?"""
        return shutil.which(program, path=self.environ.get("PATH")) is not None

    @property
    def systemd(self) -> bool:
        """Does systemd run here? As sd_booted(3) tells it."""
        return self.path("/run/systemd/system").is_dir()

    def run(self, *argv: str, limit: float = LIMIT) -> str:
        """What a program said; raises SetupError if it is not there, too slow, or fails."""
        done = self.tried(*argv, limit=limit)
        if done.code:
            said = done.said.strip() or f"exit status {done.code}"
            raise SetupError(f"{' '.join(argv)}: {said[-2000:]}")
        return done.said

    def tried(self, *argv: str, limit: float = LIMIT) -> Done:
        """The same, whatever its exit code; raises SetupError if it cannot be run or is slow."""
        try:
            done = subprocess.run(
                argv, env={**self.environ, "LC_ALL": "C"}, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit, check=False,
            )  # fmt: skip
        except FileNotFoundError:
            raise SetupError(f"this host has no {argv[0]}") from None
        except OSError as error:
            raise SetupError(f"cannot run {argv[0]}: {error.strerror}") from None
        except subprocess.TimeoutExpired:
            raise SetupError(f"{' '.join(argv)} did not end within {limit:g} s") from None
        return Done(done.returncode, done.stdout.decode("utf-8", "replace"))
