"""How grave a line is, for systemd's journal: lines that begin with ``<N>`` (sd-daemon(3)).

Without it ``journalctl -p warning`` would show nothing of ajrd's: all that a service writes to
standard error has one level.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TextIO

#: syslog(3).
_NUMBERS = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}


def priority(
    level: str, stream: TextIO | None = None, environ: Mapping[str, str] = os.environ
) -> str:
    """What a line of that level begins with; "" where ``stream`` does not lead to the journal.

    systemd names the journal's end of standard error in JOURNAL_STREAM (systemd.exec(5)).
    """
    journal = environ.get("JOURNAL_STREAM")
    return f"<{_NUMBERS[level]}>" if journal and journal == _place(stream or sys.stderr) else ""


def _place(stream: TextIO) -> str:
    """Device and inode; "" for what is no file of the kernel's."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return ""
    return f"{found.st_dev}:{found.st_ino}"
