"""``ajrd events``: the audit trail, of one job or of all, as it is or as it grows."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ajrd.cli.fields import Field, Row
from ajrd.cli.jobid import ARGUMENT, known_job
from ajrd.cli.listing import Output, listing
from ajrd.cli.look import Look, looking
from ajrd.cli.storeurl import CONFIG_OPTION
from ajrd.store.records import JobRecord

FIELDS = (
    Field("time"),
    Field("jobid"),
    Field("attempt"),
    Field("event"),
    Field("message", elastic=True),
    Field("name", elastic=True),
    Field("user", elastic=True),
    Field("partition", elastic=True),
    Field("id"),
)
#: Seconds between two looks with --follow, and how many events one look takes at most.
_PAUSE, _MOST = 1.0, 1000


@click.command()
@ARGUMENT
@click.option("-f", "--follow", is_flag=True, help="Go on with new events until Ctrl-C.")
@click.option("--limit", type=click.IntRange(0, 100_000), default=100, show_default=True)
@listing(FIELDS, "time,jobid,attempt,event,message")
@CONFIG_OPTION
def events(job_id: str | None, follow: bool, limit: int, out: Output, file: Path | None) -> None:
    """Show the newest events of a job, or of all jobs, oldest first.

    With --follow, --json prints one object a line.
    """
    with looking(file) as look:
        job = known_job(look, job_id) if job_id else None
        found = _after(look, 0, job, limit)
        if not follow:
            out.print(map(_row, found))
            return
        with interruptible():
            out.more(map(_row, found), begin=True)
            _follow(look, job, found, out)


def _follow(look: Look, job: JobRecord | None, found: list[Row], out: Output) -> None:
    last = found[-1:] or _after(look, 0, None, 1)
    number = _number(last[0]) if last else 0
    while True:
        time.sleep(_PAUSE)
        new = _after(look, number, job, _MOST)
        out.more(map(_row, new))
        sys.stdout.flush()
        number = _number(new[-1]) if new else number


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C, or a reader that has gone, is the ordinary end of what goes on for ever."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(130)


def _after(look: Look, number: int, job: JobRecord | None, limit: int) -> list[Row]:
    """Oldest first."""
    return [*look.events_after(number, job, limit)][::-1]


def _number(row: Row) -> int:
    number = row["id"]
    assert isinstance(number, int)
    return number


def _row(row: Row) -> Row:
    return {**row, "time": row["at"], "jobid": row["job_id"], "attempt": row["attempt_idx"]}
