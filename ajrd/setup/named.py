"""Would Slurm still run a hook that is about to go?

Lines that people have put into slurm.conf themselves name it, too. A node whose epilog is missing
is drained, and no job starts whose prolog is: so the lines go first, by whoever has written them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ajrd.errors import SetupError
from ajrd.hooks.install import without_lines
from ajrd.setup.host import Host
from ajrd.setup.making import look_behind
from ajrd.setup.slurmtools import Tools

#: Where slurm.conf lies if nobody says so.
USUAL = "/etc/slurm/slurm.conf"


def require_unnamed(tools: Tools, confs: Iterable[str], hooks: Iterable[str], ours: bool) -> None:
    """Raises SetupError if Slurm, or a slurm.conf, names one of the hooks by its path.

    With ``ours`` setup takes its own lines out before, so neither they count, nor what Slurm has
    read of them.
    """
    paths = sorted(hooks)
    if not paths:
        return
    lines = [line.partition("#")[0] for line in _lines(tools, sorted(set(confs)), ours)]
    for path in paths:
        # epilog is no part of epilog-slurmctld
        if any(re.search(rf"{re.escape(path)}(?![\w.-])", line) for line in lines):
            raise SetupError(
                f"slurm.conf, or the running Slurm, still names {path}: without that file nodes"
                " would be drained or jobs not start. Take the line out of slurm.conf, then:"
                " scontrol reconfigure; and then this again"
            )


def _lines(tools: Tools, confs: Iterable[str], ours: bool) -> Iterator[str]:
    for conf in confs:
        text = _text(tools.host, conf)
        yield from (without_lines(text) if ours else text).splitlines()
    if not ours:
        yield from tools.settings()


def _text(host: Host, conf: str) -> str:
    """slurm.conf, "" where there is none."""
    seen = look_behind(host, conf)
    return seen.text if seen else ""
