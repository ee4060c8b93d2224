"""How soon, how fast and how completely lines in Loki become anomalies, beside a client that tails.

Latency: single crash lines are pushed at random moments; an anomaly counts when the store has kept
it. Burst: 100,000 lines with 50 crash lines among them are pushed at once; a client that only
tails, as it is written first, listens to the same stream. Catch-up: that burst is read once more by
a new reader, by the sweep alone; and then as many lines as pass the filter, all of them. Without
``--url`` it runs against the double of the tests, which has the limits and losses that were seen on
Loki 3.3, but not its speed.
"""

from __future__ import annotations

import argparse
import random
import secrets
import sys
import time
from statistics import median

from bench.loki.processes import Child, only_tail, read, serve
from tests.loki.shipping import Shipper, numbered

LINES, CRASHES = 100_000, 50
CRASH = "Rank{}: (1) segmentation fault: artificial segfault"
INTERVAL = 5.0


def main() -> int:
    """Prints the figures; exit code 1 if a line was lost, told twice, or late."""
    arguments = _parser().parse_args()
    loki = None if arguments.url else Child.start(serve)
    url = loki.first if loki else arguments.url
    try:
        checks = [
            _latency(url, "tail", arguments.lines, tail=True, limit=1.0),
            _latency(url, "sweep", arguments.lines, tail=False, limit=INTERVAL + 2),
            _burst(url),
            _dense(url),
        ]
    finally:
        if loki is not None:
            loki.end()
    return 0 if all(checks) else 1


def _latency(url: str, how: str, lines: int, *, tail: bool, limit: float) -> bool:
    job = f"b{secrets.token_hex(4)}"
    reader = Child.start(read, url, job, 5.0, tail, INTERVAL)
    shipper, took = Shipper(url), []
    for number in range(lines):
        time.sleep(random.uniform(0.05, INTERVAL / 2))  # noqa: S311 -- no secret
        began = time.time()
        shipper.push({"job": job, "job_id": "7"}, [(time.time_ns(), CRASH.format(number))])
        kept = reader.hear(60)
        took.append(kept[1] - began if kept else 60.0)
    reader.end()
    print(f"push to anomaly by {how}: min {min(took):.3f} s, median {median(took):.3f} s,", end=" ")
    print(f"max {max(took):.3f} s ({lines} lines; interval {INTERVAL:g} s; limit {limit:g} s)")
    return median(took) < limit


def _burst(url: str) -> bool:
    job = f"b{secrets.token_hex(4)}"
    reader = Child.start(read, url, job, 5.0, True, INTERVAL)
    naive = Child.start(only_tail, url, job)
    before, began = reader.cpu, time.time()
    every, start = LINES // CRASHES, time.time_ns()
    lines = [
        CRASH.format(n // every) if n % every == every // 2 else f"[{n}] all is well so far"
        for n in range(LINES)
    ]
    values = numbered(lines, start, 1_000_000_000 // LINES)
    Shipper(url).push({"job": job, "job_id": "7"}, values, at_once=20_000)
    pushed = time.time() - began
    told = _gather(reader)
    print(f"\nburst of {LINES} lines with {CRASHES} crash lines, pushed in {pushed:.1f} s")
    print(f"  ajrd: {len(told)} kept, {len(set(told))} of them different;", end=" ")
    print(f"{reader.cpu - before:.2f} s of CPU, {reader.memory:.0f} MB; {reader.ask('health')}")
    print(f"  a client that only tails: {naive.ask('counts')}")
    reader.end()
    naive.end()
    return sorted(told) == sorted(CRASH.format(n) for n in range(CRASHES)) and _catch_up(url, job)


def _catch_up(url: str, job: str) -> bool:
    """The same burst, by a reader that comes later; a long job makes it read an hour."""
    began = time.time()
    reader = Child.start(read, url, job, 3600.0, False, INTERVAL)
    told = _gather(reader, patience=0.5)
    took = time.time() - began
    print(f"  a new reader, by the sweep alone: {len(told)} kept within {took:.1f} s;", end=" ")
    print(f"{reader.cpu:.2f} s of CPU in all, start included, {reader.memory:.0f} MB")
    reader.end()
    return len(told) == CRASHES


def _dense(url: str) -> bool:
    """Lines that all pass the filter: what a page costs from the answer to the judgement."""
    job, shipper = f"b{secrets.token_hex(4)}", Shipper(url)
    start = time.time_ns() - 1_000_000_000
    lines = [f"[{number}] error: exceeded, retrying (exit" for number in range(LINES)]
    shipper.push({"job": job, "job_id": "7"}, numbered(lines, start, 1000), at_once=20_000)
    reader = Child.start(read, url, job, 60.0, False, INTERVAL)
    before, began = reader.cpu, time.time()
    while (read_so_far := reader.ask("health")["entries"]) < LINES:
        time.sleep(0.02)
    took, cpu = time.time() - began, reader.cpu - before
    print(f"\nsweep of {read_so_far} lines that pass: {read_so_far / took:.0f} lines/s,", end=" ")
    print(f"{read_so_far / cpu:.0f} for a second of ajrd's CPU; {reader.memory:.0f} MB")
    reader.end()
    return True


def _gather(reader: Child, patience: float = 2 * INTERVAL) -> list[str]:
    """What is kept, until nothing more has come for ``patience`` seconds."""
    told: list[str] = []
    while (kept := reader.hear(30 if len(told) < CRASHES else patience)) is not None:
        told.append(kept[0])
    return told


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench/run loki", description=__doc__)
    parser.add_argument("--url", help="a real Loki, instead of the double")
    parser.add_argument("--lines", type=int, default=15, help="lines for each latency")
    return parser


if __name__ == "__main__":
    sys.exit(main())
