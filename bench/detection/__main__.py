"""Scores the catalogue on a labelled corpus, beside what a plain grep would say.

A corpus is JSON lines with ``id``, ``text``, ``label``, ``recoverable`` (yes, node, no; null for
benign) and ``key_line`` (0-based; null for benign). ``--healthy`` adds whole logs of runs that
ended well, a folder or a tar archive: any verdict on them is false.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from ajrd.detect.catalogue import Catalogue
from ajrd.detect.engine import Engine, compile_engine
from ajrd.offline import scan_stream
from bench.detection.scores import Judged, Sample, f1_of, score
from bench.healthy import chunk


def main() -> int:
    """Prints the scorecard; exit code 0."""
    arguments = _parser().parse_args()
    engine = compile_engine(Catalogue.load(arguments.rules))
    samples = [sample for sample in read_corpus(arguments.corpus) if arguments.half.takes(sample)]
    judged = [judge(sample, engine) for sample in samples]
    _show_totals(judged)
    _show_labels(judged)
    if arguments.mistakes:
        _show_mistakes(judged)
    if arguments.healthy:
        _show_healthy("healthy logs", _healthy_logs(arguments.healthy), engine)
    if arguments.generated:
        _show_healthy("generated healthy logs", _generated(arguments.generated), engine)
    return 0


class Half:
    """A fixed half of a corpus, by a checksum of the ids; rules are written from one half."""

    def __init__(self, name: str) -> None:
        if name not in ("all", "a", "b"):
            raise argparse.ArgumentTypeError("all, a or b")
        self._name = name

    def takes(self, sample: Sample) -> bool:
        """Is the sample in this half?"""
        odd = zlib.crc32(sample.id.encode()) % 2
        return self._name == "all" or odd == (self._name == "b")


def read_corpus(path: Path) -> Iterator[Sample]:
    """The samples of a JSON-lines file."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            values = json.loads(line)
            yield Sample(*(values[name] for name in Sample.__slots__))


def judge(sample: Sample, engine: Engine) -> Judged:
    """The verdict on one excerpt, as ``ajrd scan`` gives it."""
    stream = io.BytesIO(sample.text.encode() + b"\n")
    return Judged(sample, scan_stream(sample.id, stream, engine, lambda _finding: None))


def _show_totals(judged: list[Judged]) -> None:
    got = score(judged)
    print(f"{got.failures} failures, {got.benign} benign excerpts\n")
    print(f"{'':<34}{'ajrd':>8}{'grep':>8}")
    print(f"{'failures found':<34}{got.recall:>8.1%}{got.grep_recall:>8.1%}")
    print(f"{'cause right':<34}{got.cause:>8.1%}{'-':>8}")
    print(f"{'recovery right':<34}{got.recovery:>8.1%}{'-':>8}")
    print(f"{'key line within one line':<34}{got.line:>8.1%}{'-':>8}")
    print(f"{'macro-F1 over causes':<34}{got.macro_f1:>8.3f}{'-':>8}")
    false, grep = got.false_alarms, got.grep_false_alarms
    print(f"{'false verdicts on benign excerpts':<34}{false:>8.1%}{grep:>8.1%}\n")


def _show_labels(judged: list[Judged]) -> None:
    print(f"{'label':<26}{'n':>4}{'cause':>8}{'recovery':>10}{'line':>8}{'F1':>8}")
    for label in sorted({one.sample.label for one in judged}):
        mine = [one for one in judged if one.sample.label == label]
        shares = [sum(hits) / len(mine) for hits in (
            [one.cause_right or (one.sample.benign and not one.alarm) for one in mine],
            [one.recovery_right for one in mine],
            [one.line_right or one.sample.benign for one in mine],
        )]  # fmt: skip
        print(f"{label:<26}{len(mine):>4}", end="")
        print(f"{shares[0]:>8.0%}{shares[1]:>10.0%}{shares[2]:>8.0%}{f1_of(label, judged):>8.2f}")


def _show_mistakes(judged: list[Judged]) -> None:
    for one in judged:
        fine = not one.alarm if one.sample.benign else one.cause_right and one.recovery_right
        if fine:
            continue
        sample, verdict = one.sample, one.verdict
        print(f"\n=== {sample.id}: {sample.label} {sample.recoverable} at {sample.key_line}")
        print(f"    said {verdict.cause} {verdict.recovery}: {verdict.reason}")
        for number, line in enumerate(sample.text.split("\n")):
            print(f"    {'>' if number == sample.key_line else ' '} {line[:200]}")


def _show_healthy(what: str, logs: Iterable[tuple[str, bytes]], engine: Engine) -> None:
    files = false = lines = 0
    for name, data in logs:
        verdict = scan_stream(name, io.BytesIO(data), engine, lambda _finding: None)
        files, lines = files + 1, lines + data.count(b"\n")
        if verdict.cause is not None:
            false += 1
            shown = verdict.finding.text[:160] if verdict.finding else ""
            print(f"false verdict on {name}: {verdict.cause}: {shown}")
    print(f"\n{what}: {false} false verdicts on {files} logs, {lines} lines")


def _generated(megabytes: int) -> Iterator[tuple[str, bytes]]:
    """Logs of 10 MB each, every one with other numbers (see :mod:`bench.healthy`)."""
    for seed in range(megabytes // 10):
        yield f"generated {seed}", chunk(10_000_000, seed)


def _healthy_logs(path: Path) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            yield str(file), file.read_bytes()
        return
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is not None:
                yield member.name, content.read()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench/run detection", description=__doc__)
    parser.add_argument("corpus", type=Path, help="JSON lines")
    parser.add_argument("--healthy", type=Path, help="whole logs of runs that ended well")
    parser.add_argument("--generated", type=int, metavar="MB", help="so much of made-up ones")
    parser.add_argument("--rules", action="append", default=[], type=Path, help="site rules")
    parser.add_argument("--half", type=Half, default="all", help="all, a or b")
    parser.add_argument("--mistakes", action="store_true", help="print what was judged wrong")
    return parser


if __name__ == "__main__":
    sys.exit(main())
