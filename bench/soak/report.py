"""What a soak prints: the faults, the counts, and enough of each wrong one to find out why."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ajrd.store.history import JobHistory
from bench.soak.faults import Fault
from bench.soak.ledger import Execution
from bench.soak.reckoning import Count, Fate, Wish

#: Lines of one log that are shown of one job.
EXCERPT = 60


def faults_table(counts: Counter[Fault]) -> Table:
    """How many faults of each kind there were."""
    table = Table("fault", title="Faults injected", title_justify="left")
    table.add_column("times", justify="right")
    for fault in Fault:
        table.add_row(fault.value, str(counts[fault]))
    table.add_row("together", str(counts.total()), style="bold")
    return table


def counts_table(counts: Sequence[Count]) -> Table:
    """What was wanted and what became of it."""
    table = Table("recoveries", title="Counts", title_justify="left")
    for name in ("wanted", *Fate):
        table.add_column(name, justify="right")
    for wish in Wish:
        table.add_row(wish.value, *_row([count for count in counts if count.wish is wish]))
    table.add_row("together", *_row(counts), style="bold")
    return table


def _row(counts: Sequence[Count]) -> Iterator[str]:
    fates = Counter(count.fate for count in counts)
    yield str(fates[Fate.DONE] + fates[Fate.LOST])
    yield from (str(fates[fate]) for fate in Fate)


def store_table(histories: Sequence[JobHistory]) -> Table:
    """How the decisions ended, as the store tells it."""
    table = Table("decision", "outcome", title="Decisions in the store", title_justify="left")
    for name in ("number", "without the database", "leaders"):
        table.add_column(name, justify="right")
    decisions = [a.decision for history in histories for a in history.attempts if a.decision]
    ends = sorted({(d.verb, d.state, d.outcome) for d in decisions})
    for verb, state, outcome in ends:
        same = [d for d in decisions if (d.verb, d.state, d.outcome) == (verb, state, outcome)]
        degraded, epochs = sum(d.degraded for d in same), len({d.epoch for d in same})
        table.add_row(verb, outcome or state, str(len(same)), str(degraded), str(epochs))
    return table


def explain(
    console: Console,
    wrong: Count,
    runs: Sequence[Execution],
    history: JobHistory | None,
    logs: Sequence[Path],
) -> None:
    """All that is known of a job of which a count is wrong."""
    console.print(Text(f"\njob {wrong.job_id}: {wrong.fate}: {wrong.what}", "bold red"))
    for run in runs:
        console.print(Text(f"  ran: {run}"))
    for attempt in history.attempts if history else []:
        console.print(Text(f"  attempt: {attempt.attempt}"))
        console.print(Text(f"  decision: {attempt.decision}"))
    for log in logs:
        lines = [line for line in _lines(log) if _concerns(line, wrong.job_id)]
        console.print(Text(f"  {log}:", "bold"))
        for line in lines[-EXCERPT:]:
            console.print(Text(f"    {line}", "dim"))


def _lines(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines() if log.exists() else []


def _concerns(line: str, job_id: str) -> bool:
    if line.startswith("{"):
        return str(json.loads(line).get("job")) == job_id
    return re.search(rf"^\[.*\bJobId={job_id}\b", line) is not None
