"""``ajrd list``: the jobs that ajrd knows, newest first, in the manner of squeue."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ajrd.cli.fields import Field, Row
from ajrd.cli.listing import Output, listing
from ajrd.cli.look import looking
from ajrd.cli.status_view import as_json
from ajrd.cli.storeurl import CONFIG_OPTION
from ajrd.store.history import JobHistory

FIELDS = (
    Field("jobid"),
    Field("name", elastic=True),
    Field("user", elastic=True),
    Field("partition", elastic=True),
    Field("state"),
    Field("attempts"),
    Field("last", elastic=True),
    Field("submitted"),
    Field("note", elastic=True),
    Field("managed"),
    Field("paused"),
    Field("restarts"),
    Field("reason", elastic=True),
    Field("cluster"),
)


@click.command("list")
@click.option("-u", "--user", help="Only jobs of this user.")
@click.option("-p", "--partition", help="Only jobs of this partition.")
@click.option("--limit", type=click.IntRange(1, 10000), default=100, show_default=True)
@listing(FIELDS, "jobid,name,user,partition,state,attempts,last,submitted,note")
@CONFIG_OPTION
def list_jobs(
    user: str | None,
    partition: str | None,
    limit: int,
    out: Output,
    file: Path | None,
) -> None:
    """List the jobs that ajrd knows, newest first.

    With --json and without -o all that is known of each is printed, as by ajrd status.
    """
    with looking(file) as look:
        found = look.recent_jobs(limit, user, partition)
        histories = [look.story(job, events=0) for job in found]
    if out.form == "json" and not out.chosen:
        click.echo(json.dumps([as_json(history) for history in histories], indent=2))
    else:
        out.print(map(_row, histories))


def _row(history: JobHistory) -> Row:
    job, attempts = history.job, history.attempts
    decision = attempts[-1].decision if attempts else None
    return {
        "jobid": job.job_id,
        "name": job.name,
        "user": job.user,
        "partition": job.partition,
        "state": "gone" if job.closed else job.state,
        "attempts": len(attempts),
        "last": f"{decision.verb} {decision.state}" if decision else None,
        "submitted": job.first_submit_time,
        "note": "; ".join(filter(None, ("paused" if job.paused else "", job.note))),
        "managed": "yes" if job.managed else "no",
        "paused": "yes" if job.paused else "no",
        "restarts": job.restarts,
        "reason": job.reason,
        "cluster": job.cluster,
    }
