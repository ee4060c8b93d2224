"""Scans a log of 1 GB on one core, hot cache, beside ripgrep and GNU grep.

The log is made up (``bench/healthy.py``): every third line is progress, and of the rest a share is
replaced by examples of the rules: none, one line in a million, in a thousand, in ten. All programs
read the same file in turn, several times; medians are compared. ``ajrd scan`` does more than the
others: progress, line numbers, facts, a verdict.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from ajrd.detect.catalogue import Catalogue
from bench.healthy import chunk
from bench.matching.commands import Run, commands, measure

_CHUNK = 16 * 1024 * 1024
DENSITIES = (0.0, 1e-6, 1e-3, 1e-1)


def main() -> int:
    """Prints one table a density; exit code 0."""
    arguments = _parser().parse_args()
    catalogue = Catalogue.load()
    patterns = sum(len(rule.patterns) for rule in catalogue.rules)
    print(f"{len(catalogue.rules)} rules, {patterns} patterns, {arguments.megabytes} MB\n")
    with tempfile.TemporaryDirectory(prefix="ajrd-matching-") as name:
        folder = Path(name)
        programs = commands(catalogue, folder)
        if arguments.without_grep:
            programs.pop("GNU grep", None)
        env = {**os.environ, "LC_ALL": "C", "PYTHONPATH": str(Path.cwd())}
        for density in DENSITIES:
            log = folder / "train.log"
            size = write_log(log, arguments.megabytes * 1_000_000, density, catalogue)
            _show(density, size, _compare(programs, log, env, arguments.runs))
    return 0


def write_log(path: Path, size: int, density: float, catalogue: Catalogue) -> int:
    """Writes a log and returns its size in bytes."""
    clean = chunk(_CHUNK)
    hits = [line for rule in catalogue.rules for line in rule.examples]
    with path.open("wb") as file:
        lines = 0
        while file.tell() < size:
            file.write(_with_hits(clean, hits, density, lines) if density else clean)
            lines += clean.count(b"\n")
    path.read_bytes()
    return path.stat().st_size


def _with_hits(clean: bytes, hits: Sequence[str], density: float, before: int) -> bytes:
    """Every so many lines is one of the examples, in turn."""
    lines, every = clean.split(b"\n"), round(1 / density)
    first = -before % every
    for number in range(first, len(lines) - 1, every):
        lines[number] = hits[(before + number) // every % len(hits)].encode()
    return b"\n".join(lines)


def _compare(
    programs: dict[str, list[str]], log: Path, env: dict[str, str], runs: int
) -> dict[str, list[Run]]:
    measured: dict[str, list[Run]] = {name: [] for name in programs}
    core = max(os.sched_getaffinity(0))
    for _ in range(runs):
        for name, argv in programs.items():
            measured[name].append(measure([*argv, str(log)], env, core))
            time.sleep(0)
    return measured


def _show(density: float, size: int, measured: dict[str, list[Run]]) -> None:
    ours = median(run.wall for run in measured["ajrd scan"])
    print(f"hits in {density:g} of the lines")
    print(f"{'':<12}{'wall s':>9}{'cpu s':>9}{'MB/s':>9}{'MB memory':>11}{'ajrd is':>12}")
    for name, runs in measured.items():
        wall = median(run.wall for run in runs)
        cpu = median(run.cpu for run in runs)
        memory = max(run.memory for run in runs)
        print(f"{name:<12}{wall:>9.2f}{cpu:>9.2f}{size / wall / 1e6:>9.0f}{memory:>11.0f}", end="")
        print(f"{wall / ours:>10.2f} x")
    print()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench/run matching", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--without-grep", action="store_true", help="GNU grep can take minutes")
    return parser


if __name__ == "__main__":
    sys.exit(main())
