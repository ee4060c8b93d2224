"""Which hooks Slurm would miss: it drains a node whose epilog is not there (slurm.conf(5))."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ajrd.errors import SetupError
from ajrd.hooks.install import HOOKS, without_lines
from ajrd.setup.book import File, Record, SlurmConf
from ajrd.setup.slurmtools import Tools


def require_forgotten(tools: Tools, going: Sequence[Record], known: SlurmConf | None) -> None:
    """Raises SetupError if one of the hooks that go stands in lines that people have written.

    ``known`` are ajrd's own lines, which go before the hooks do. Without an answer of Slurm
    nothing can be told.
    """
    paths = {r.path for r in going if isinstance(r, File) and r.path.rpartition("/")[2] in HOOKS}
    if not paths or not (named := paths & _named(tools)):
        return
    if known is not None:
        named &= _words(without_lines(_text(tools, known.path)))
    if named:
        raise SetupError(
            f"Slurm still runs {', '.join(sorted(named))}, and drains a node whose epilog is"
            " missing: take the lines out of slurm.conf, run scontrol reconfigure, and repeat this"
        )


def _named(tools: Tools) -> set[str]:
    """The values of Slurm's settings, as slurmctld has them."""
    try:
        return _words(tools.host.run(tools.command("scontrol"), "show", "config"))
    except SetupError:  # it may be gone for good, and this with it
        return set()


def _words(text: str) -> set[str]:
    lines: Iterable[str] = (line.partition("#")[0] for line in text.splitlines())
    return {word for line in lines for word in line.replace("=", " ").replace(",", " ").split()}


def _text(tools: Tools, path: str) -> str:
    try:
        return tools.host.path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
