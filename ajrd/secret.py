"""Passwords and tokens: from a file, or from the credentials that systemd hands to the service."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from ajrd.errors import ConfigError

#: Bytes of the longest secret.
_LONGEST = 16384
#: Where systemd keeps those of the running service (systemd.exec(5)).
RUNNING = Path("/run/credentials/ajrd.service")


def read_secret(
    file: str | None, credential: str, whose: str, environ: Mapping[str, str] = os.environ
) -> bytes:
    """The secret in ``file``, else in the credential of that name; empty if there is neither.

    Raises ConfigError for a file that it cannot or must not use.
    """
    if file:
        return _read(Path(file), whose)
    folder = environ.get("CREDENTIALS_DIRECTORY") or (RUNNING if os.geteuid() == 0 else "")
    return _read(Path(folder, credential), whose, optional=True) if folder else b""


def _read(path: Path, whose: str, *, optional: bool = False) -> bytes:
    """An ``optional`` file that is not there is empty."""
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & stat.S_IRWXO:
                raise ConfigError(f"everybody may read the password in {path}: chmod o= {path}")
            return file.read(_LONGEST).rstrip(b"\r\n")
    except OSError as error:
        if optional and isinstance(error, FileNotFoundError):
            return b""
        raise ConfigError(f"cannot read the password of {whose}: {error}") from None
