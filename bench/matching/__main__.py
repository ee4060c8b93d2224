"""Scans a log of 1 GB on one core, hot cache, beside ripgrep and GNU grep.

The log is made up (``bench/healthy.py``): every third line is progress, and of all lines a share is
replaced by examples of the rules: none, one in a million, in a thousand, in ten. The programs read
the same file in turn, several times; medians are compared. GNU grep would take hours with so many
patterns: it reads the first megabyte once, for a minute at most, and is compared by its rate.
``ajrd scan`` does more than the others: progress, line numbers, facts, a verdict.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from ajrd.detect.catalogue import Catalogue
from bench.healthy import chunk
from bench.matching.commands import Run, commands, measure

_CHUNK = 16 * 1024 * 1024
DENSITIES = (0.0, 1e-6, 1e-3, 1e-1)
#: Programs that read a part of the log, once.
SLOW = frozenset({"GNU grep"})
#: Seconds of CPU for one run.
LIMIT, SLOW_LIMIT = 600, 60


def main() -> int:
    """Prints one table a density; exit code 0."""
    arguments = _parser().parse_args()
    catalogue = Catalogue.load()
    patterns = sum(len(rule.patterns) for rule in catalogue.rules)
    print(f"{len(catalogue.rules)} rules, {patterns} patterns, {arguments.megabytes} MB\n")
    with tempfile.TemporaryDirectory(prefix="ajrd-matching-") as name:
        folder = Path(name)
        programs = commands(catalogue, folder)
        env = {**os.environ, "LC_ALL": "C", "PYTHONPATH": str(Path.cwd())}
        for density in DENSITIES:
            log = folder / "train.log"
            write_log(log, arguments.megabytes * 1_000_000, density, catalogue)
            part = _first_part(log)
            measured = {name: _Measured(part if name in SLOW else log) for name in programs}
            _compare(programs, measured, env, arguments.runs)
            _show(density, measured)
    return 0


@dataclass(slots=True)
class _Measured:
    """The runs of one program on one log."""

    log: Path
    runs: list[Run] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """MB/s by the median of the wall clock."""
        return self.log.stat().st_size / 1e6 / median(run.wall for run in self.runs)


def _first_part(log: Path) -> Path:
    part = log.with_suffix(".part")
    with log.open("rb") as file:
        part.write_bytes(file.read(1_000_000))
    return part


def write_log(path: Path, size: int, density: float, catalogue: Catalogue) -> None:
    """Writes a log, and reads it once so that it is in memory."""
    clean = chunk(_CHUNK)
    hits = [line for rule in catalogue.rules for line in rule.examples]
    with path.open("wb") as file:
        lines = 0
        while file.tell() < size:
            file.write(_with_hits(clean, hits, density, lines) if density else clean)
            lines += clean.count(b"\n")
    with path.open("rb") as file:
        while file.read(_CHUNK):
            pass


def _with_hits(clean: bytes, hits: Sequence[str], density: float, before: int) -> bytes:
    """Every so many lines is one of the examples, in turn."""
    lines, every = clean.split(b"\n"), round(1 / density)
    first = -before % every
    for number in range(first, len(lines) - 1, every):
        lines[number] = hits[(before + number) // every % len(hits)].encode()
    return b"\n".join(lines)


def _compare(
    programs: dict[str, list[str]], measured: dict[str, _Measured], env: dict[str, str], runs: int
) -> None:
    core = max(os.sched_getaffinity(0))
    for number in range(runs):
        for name, argv in programs.items():
            if number == 0 or name not in SLOW:
                one = measured[name]
                limit = SLOW_LIMIT if name in SLOW else LIMIT
                one.runs.append(measure([*argv, str(one.log)], env, core, limit))


def _show(density: float, measured: dict[str, _Measured]) -> None:
    ours = measured["ajrd scan"].rate
    print(f"hits in {density:g} of the lines")
    print(f"{'':<12}{'wall s':>9}{'cpu s':>9}{'MB/s':>9}{'MB memory':>11}{'ajrd is':>12}")
    for name, one in measured.items():
        wall, cpu = (median(getattr(run, kind) for run in one.runs) for kind in ("wall", "cpu"))
        memory = max(run.memory for run in one.runs)
        print(f"{name:<12}{wall:>9.2f}{cpu:>9.2f}{one.rate:>9.0f}{memory:>11.0f}", end="")
        print(f"{ours / one.rate:>10.2f} x")
    print(flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench/run matching", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    return parser


if __name__ == "__main__":
    sys.exit(main())
