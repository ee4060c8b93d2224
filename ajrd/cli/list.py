"""``ajrd list``: the jobs that ajrd knows, newest first, in the manner of squeue."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ajrd.cli.status_view import as_json
from ajrd.cli.storeurl import CONFIG_OPTION, store_address
from ajrd.cli.table import columns
from ajrd.store.history import JobHistory, read_history
from ajrd.store.read import Reader
from ajrd.text import local_time

_HEADER = ("JOBID", "NAME", "USER", "PARTITION", "STATE", "ATTEMPTS", "LAST", "SUBMITTED", "NOTE")


@click.command("list")
@click.option("-u", "--user", help="Only jobs of this user.")
@click.option("-p", "--partition", help="Only jobs of this partition.")
@click.option("-n", "--noheader", is_flag=True, help="No header line.")
@click.option("--limit", type=click.IntRange(1, 10000), default=100, show_default=True)
@click.option("--json", "to_json", is_flag=True, help="Print one JSON array.")
@CONFIG_OPTION
def list_jobs(
    user: str | None,
    partition: str | None,
    noheader: bool,
    limit: int,
    to_json: bool,
    file: Path | None,
) -> None:
    """List the jobs that ajrd knows, newest first."""
    reader = Reader(store_address(file))
    try:
        found = reader.recent_jobs(limit, user, partition)
        histories = [read_history(reader, job, events=0) for job in found]
    finally:
        reader.close()
    if to_json:
        click.echo(json.dumps([as_json(history) for history in histories], indent=2))
        return
    lines = columns(_HEADER, map(_row, histories))
    click.echo("\n".join(lines[1:] if noheader else lines))


def _row(history: JobHistory) -> tuple[object, ...]:
    job, attempts = history.job, history.attempts
    decision = attempts[-1].decision if attempts else None
    return (
        job.job_id,
        job.name,
        job.user,
        job.partition,
        "gone" if job.closed else job.state,
        len(attempts),
        f"{decision.verb} {decision.state}" if decision else "-",
        local_time(job.first_submit_time),
        job.note if len(job.note) <= 60 else job.note[:59] + "…",
    )
